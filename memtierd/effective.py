"""What is set up to run at this moment, from the configuration file and the prompt, as one tree of parameters."""

from typing import Any

import attrs

from memtierd.parameters import Part, part


@attrs.frozen(kw_only=True)
class Effective:
    """As a configuration file, and the parts that were made at the prompt and belong to no policy."""

    policy: Part | None = part("policy", None, doc="What is managed, and by which rules.")
    routines: tuple[Part, ...] = part("routine", (), doc="Commands that run beside the policy.", many=True)
    tracker: Part | None = part("tracker", None, doc="A tracker that the policy does not use.")
    pidwatcher: Part | None = part("pidwatcher", None, doc="A pidwatcher that the policy does not use.")
    mover: Any = part("mover", None, doc="How fast memory is moved without a policy.", named=False)
