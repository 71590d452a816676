"""The parts that a configuration can name, and the classes of their parameters."""

from memtierd import mover, trackers, watchers
from memtierd.config.structuring import Registries
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatParams

REGISTRIES: Registries = {
    "policy": {"age": AgeParams, "heat": HeatParams},
    "tracker": trackers.REGISTRY,
    "pidwatcher": watchers.REGISTRY,
    "mover": mover.MoverParams,
}
