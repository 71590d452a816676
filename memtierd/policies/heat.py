"""The heat policy: memory is divided into classes by how hot it is, and each class has its nodes."""

import attrs

from memtierd.parameters import option
from memtierd.policies.common import PolicyParams


@attrs.frozen(kw_only=True)
class HeatmapParams:
    """How counted accesses become heat."""

    heat_max: float = option(1.0, doc="Heat is limited to this; it is the top of the hottest class.", at_least=0)
    heat_retention: float = option(
        0.9513, doc="Portion of the heat left after one second without accesses.", at_least=0, at_most=1
    )
    heat_classes: int = option(10, doc="Number of heat classes.", at_least=1, at_most=240)


@attrs.frozen(kw_only=True)
class HeatParams(PolicyParams):
    """Parameters of the heat policy."""

    heatmap: HeatmapParams = option(factory=HeatmapParams, doc="How counted accesses become heat.")
    heat_numas: dict[int, tuple[int, ...]] = option(
        factory=dict, doc="Nodes for each heat class, -1 is swap; a class that is missing is not moved."
    )
    numa_size: dict[int, str] = option(
        factory=dict, doc="At most this much tracked memory on a node: 512k, 64M, 2G, or 30% of the node."
    )
