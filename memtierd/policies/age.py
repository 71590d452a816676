"""The age policy: memory idle for long goes to slow nodes or to swap, memory in steady use to fast nodes."""

import attrs

from memtierd.parameters import option
from memtierd.policies.common import PolicyParams


@attrs.frozen(kw_only=True)
class AgeParams(PolicyParams):
    """Parameters of the age policy; a duration of 0 or an empty node list switches that movement off."""

    idle_duration_ms: int = option(0, doc="Memory not accessed for this long is idle.", unit="ms", at_least=0)
    idle_numas: tuple[int, ...] = option((), doc="Nodes for idle memory; any of them is right.", unit="node")
    active_duration_ms: int = option(
        0, doc="Memory seen accessed in every scan for this long is active.", unit="ms", at_least=0
    )
    active_numas: tuple[int, ...] = option((), doc="Nodes for active memory; any of them is right.", unit="node")
    swap_out_ms: int = option(0, doc="Memory not accessed for this long is swapped out.", unit="ms", at_least=0)
