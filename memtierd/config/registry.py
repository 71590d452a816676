"""The parts that a configuration can name, and the classes of their parameters."""

from memtierd import forecasters, mover, policies, routines, trackers, watchers
from memtierd.config.structuring import Registries

REGISTRIES: Registries = {
    "policy": policies.REGISTRY,
    "tracker": trackers.REGISTRY,
    "pidwatcher": watchers.REGISTRY,
    "mover": mover.MoverParams,
    "routine": routines.REGISTRY,
    "forecaster": forecasters.REGISTRY,
}
