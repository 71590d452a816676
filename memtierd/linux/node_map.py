"""Which NUMA node a page frame (PFN) belongs to, from memory blocks in sysfs or from /proc/zoneinfo."""

import re
from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from memtierd.linux.roots import Roots, list_names, read_optional
from memtierd.native import NodeMap
from memtierd.units import MIB, PAGE_BYTES

UNKNOWN_NODE = -1
ONE_NODE = NodeMap(block_pages=1 << 52, index_of_block=np.zeros(1, np.int8), index_of_hidden=0)
"""The map of a machine with one node: one block that holds every page frame."""
_LARGEST_BLOCK_PAGES = 128 * MIB // PAGE_BYTES
_SMALLEST_BLOCK_PAGES = 2 * MIB // PAGE_BYTES
_MEMORY_BLOCK_NAME = re.compile(r"memory([0-9]+)")
_ZONE_HEADING = re.compile(r"^Node ([0-9]+), zone +\w+$", re.MULTILINE)
_SPANNED = re.compile(r"^ +spanned +([0-9]+)$", re.MULTILINE)
_START_PFN = re.compile(r"^ +start_pfn: +([0-9]+)$", re.MULTILINE)


@attrs.frozen
class ZoneSpan:
    """Half-open range of page frames from the first to the last frame of one zone of a node, holes included."""

    node: int
    start_pfn: int
    end_pfn: int

    @property
    def spanned_pages(self) -> int:
        """Return the number of frames, holes included."""
        return self.end_pfn - self.start_pfn


def parse_zoneinfo(text: str) -> list[ZoneSpan]:
    """Return the zones of a zoneinfo file that have frames (mm/vmstat.c, zoneinfo_show_print)."""
    pieces = _ZONE_HEADING.split(text)[1:]  # node, body, node, body, …
    spans = []
    for node, body in zip(pieces[::2], pieces[1::2], strict=True):
        spanned, start = _SPANNED.search(body), _START_PFN.search(body)
        if spanned and start and int(spanned[1]):
            spans.append(ZoneSpan(int(node), int(start[1]), int(start[1]) + int(spanned[1])))
    return spans


def node_map(roots: Roots, node_ids: Sequence[int]) -> NodeMap:
    """Return the map from page frames to indexes in `node_ids`; frames of other nodes are UNKNOWN_NODE.

    The links node*/memory* (Documentation/admin-guide/mm/memory-hotplug.rst) say it for whole memory
    blocks.  A block that two nodes share, and a kernel without memory blocks, are looked up in
    /proc/zoneinfo.  Valid until memory is plugged in, taken out or brought online.
    """
    spans = [span for span in parse_zoneinfo(read_optional(f"{roots.proc}/zoneinfo") or "") if span.node in node_ids]
    size = read_optional(f"{roots.sys}/devices/system/memory/block_size_bytes")
    linked = [_linked_blocks(roots, node) for node in node_ids]
    if size is None or not any(map(len, linked)):
        block_pages = _block_pages(spans, _LARGEST_BLOCK_PAGES)
        return NodeMap(block_pages, paint(spans, node_ids, block_pages))
    # A power of two: drivers/base/memory.c, memory_dev_init.
    return map_blocks(int(size, 16) // PAGE_BYTES, linked, spans, node_ids)


class MemoryBlocks:
    """The node map of this machine, read anew when memory was plugged in or out.

    One thread refreshes it; any other may look at `node_map`.
    """

    def __init__(self, roots: Roots, node_ids: Sequence[int]) -> None:
        """Read it.  Raises KernelError."""
        self._roots = roots
        self._node_ids = tuple(node_ids)
        self._total: str | None = None
        self.node_map = ONE_NODE
        self.refresh()

    def refresh(self) -> None:
        """Read the map anew if the amount of memory is not what it was.  Raises KernelError."""
        if len(self._node_ids) == 1:
            return
        total, _, _ = (read_optional(f"{self._roots.proc}/meminfo") or "").partition("\n")
        if total != self._total:
            self.node_map = node_map(self._roots, self._node_ids)
            self._total = total


def map_blocks(
    block_pages: int, linked: Sequence[npt.NDArray[np.int64]], spans: Sequence[ZoneSpan], node_ids: Sequence[int]
) -> NodeMap:
    """Return the map for memory blocks of `block_pages`, given the block numbers linked by each node.

    Where two nodes link a block the map is cut finer, and `spans` decides each of the pieces.
    """
    links = np.bincount(np.concatenate(linked))
    index_of_block = np.full(len(links), UNKNOWN_NODE, np.int8)
    for index, blocks in enumerate(linked):
        index_of_block[blocks] = index
    if links.max() == 1:
        return NodeMap(block_pages, index_of_block)
    piece_pages = _block_pages(spans, block_pages)
    pieces = block_pages // piece_pages
    index_of_piece = np.repeat(index_of_block, pieces)
    painted = np.full(len(index_of_piece), UNKNOWN_NODE, np.int8)
    by_zone = paint(spans, node_ids, piece_pages)[: len(painted)]
    painted[: len(by_zone)] = by_zone
    decided = np.repeat(links > 1, pieces) & (painted != UNKNOWN_NODE)
    index_of_piece[decided] = painted[decided]
    return NodeMap(piece_pages, index_of_piece)


def paint(spans: Sequence[ZoneSpan], node_ids: Sequence[int], block_pages: int) -> npt.NDArray[np.int8]:
    """Return the index in `node_ids` for every block that a zone of those nodes touches, UNKNOWN_NODE for the others.

    A zone spans the holes that other nodes fill, so where zones overlap the smaller one has the frames.
    """
    blocks = max((-(-span.end_pfn // block_pages) for span in spans), default=0)
    index_of_block = np.full(blocks, UNKNOWN_NODE, np.int8)
    for span in sorted(spans, key=lambda span: span.spanned_pages, reverse=True):
        first, behind = span.start_pfn // block_pages, -(-span.end_pfn // block_pages)
        index_of_block[first:behind] = node_ids.index(span.node)
    return index_of_block


def _block_pages(spans: Sequence[ZoneSpan], at_most: int) -> int:
    """Return the largest power of two up to `at_most` (one itself) that puts no border of two zones inside a block.

    Borders off 2 MiB are not followed: at most one such piece is given to the wrong one of two nodes.
    """
    lowest = min((span.start_pfn for span in spans), default=0)
    borders = [span.start_pfn for span in spans if span.start_pfn > lowest]
    borders += [a.end_pfn for a in spans if any(b.start_pfn < a.end_pfn < b.end_pfn for b in spans)]
    together = int(np.bitwise_or.reduce(borders)) if borders else 0
    alignment = together & -together if together else at_most
    return min(at_most, max(alignment, _SMALLEST_BLOCK_PAGES))


def _linked_blocks(roots: Roots, node: int) -> npt.NDArray[np.int64]:
    found = map(_MEMORY_BLOCK_NAME.fullmatch, list_names(f"{roots.sys}/devices/system/node/node{node}"))
    return np.array([int(match[1]) for match in found if match], np.int64)
