"""Which NUMA node a page frame belongs to."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.native._memtierd import ffi
from memtierd.native.arrays import pointer


@attrs.frozen(eq=False)
class NodeMap:
    """Nodes by memory block; ValueError unless `block_pages` is a power of two."""

    block_pages: int = attrs.field()
    """Pages of a memory block: /sys/devices/system/memory/block_size_bytes divided by the page size."""
    index_of_block: npt.NDArray[np.int8]
    """Entry PFN // block_pages: index of the node in MachineFacts.nodes, -1 where there is no memory."""

    index_of_hidden: int = -1
    """For pages whose PFN is hidden for want of CAP_SYS_ADMIN: 0 on a machine with one node, else -1, unknown."""

    @block_pages.validator
    def _check_block_pages(self, _attribute: "attrs.Attribute[int]", value: int) -> None:
        if value <= 0 or value & (value - 1):
            raise ValueError(f"block_pages {value} is not a power of two")


def node_map_struct(node_map: NodeMap, nodes: int) -> tuple[Any, Any]:
    """Return the struct for C, for columns of `nodes` rows, and the array it points into: keep both during the call."""
    blocks = pointer("index_of_block", node_map.index_of_block, np.int8, (len(node_map.index_of_block),))
    struct = ffi.new(
        "struct node_map *",
        {
            "index_of_block": blocks,
            "blocks": len(node_map.index_of_block),
            "block_shift": node_map.block_pages.bit_length() - 1,
            "nodes": nodes,
            "index_of_hidden": node_map.index_of_hidden,
        },
    )
    return struct, blocks
