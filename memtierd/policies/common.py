"""Parameters that every policy shares: whom to watch, how to track, how fast to move, how often to decide."""

from typing import Any

import attrs

from memtierd.parameters import Part, option, part


@attrs.frozen(kw_only=True)
class PolicyParams:
    """Base of all policies' parameters."""

    interval_ms: int = option(5000, doc="How often the policy decides and plans.", unit="ms", at_least=1)
    pidwatcher: Part | None = part("pidwatcher", None, doc="Which processes are managed.")
    cgroups: tuple[str, ...] = option((), doc="Short form of the cgroups pidwatcher: directories, taken recursively.")
    pids: tuple[int, ...] = option((), doc="Short form of the pidlist pidwatcher.", at_least=1)
    tracker: Part | None = part("tracker", None, doc="How accesses are observed; missing: auto.")
    mover: Any = part("mover", None, doc="How fast memory is moved.", named=False)
