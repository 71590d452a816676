"""The mover's port on the real kernel."""

import errno
import os
from collections.abc import Callable

import numpy as np

from memtierd import native
from memtierd.linux.pidfd import is_alive, open_pidfd
from memtierd.linux.roots import ROOTS, Roots
from memtierd.linux.swaps import swaps
from memtierd.model import U32, U64
from memtierd.mover.kernel import Collected, CollectPages, MoverKernel, Stop
from memtierd.units import KIB, PAGE_BYTES

NodesOfFrames = Callable[[], tuple[native.NodeMap, tuple[int, ...]]]
"""Returns which node a page frame is on, and the node ids that the map's indices mean; asked at every chunk."""


def host_kernel(nodes: NodesOfFrames, pagemap_scan: bool, roots: Roots = ROOTS) -> MoverKernel:
    """Return the port; `pagemap_scan` says whether this kernel has PAGEMAP_SCAN (native.has_pagemap_scan)."""
    return MoverKernel(
        open_pidfd=lambda key: open_pidfd(key, roots),
        is_alive=is_alive,
        open_pagemap=lambda pid: _open(f"{roots.proc}/{pid}/pagemap"),
        open_kpageflags=lambda: _open(f"{roots.proc}/kpageflags"),
        close=os.close,
        collect_pages=_collector(nodes),
        move_pages=native.move_pages,
        query_nodes=native.query_nodes,
        presence=_presence_fast if pagemap_scan else _presence,
        page_out=native.page_out,
        swap_free_pages=lambda: sum(area.free_kb for area in swaps(roots)) * KIB // PAGE_BYTES,
    )


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _collector(nodes: NodesOfFrames) -> CollectPages:
    def collect_pages(
        pagemap_fd: int,
        kpageflags_fd: int,
        start: U64,
        pages: U32,
        range_index: int,
        page_index: int,
        target: int,
        max_pages: int,
        stop: Stop,
    ) -> Collected:
        node_map, node_ids = nodes()
        if target not in node_ids:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return native.collect_pages(
            pagemap_fd,
            kpageflags_fd,
            start,
            pages,
            range_index,
            page_index,
            node_map,
            node_ids.index(target),
            max_pages,
            stop,
        )

    return collect_pages


def _presence_fast(pagemap_fd: int, start: U64, pages: U32) -> tuple[U32, U32]:
    swapped, present = np.zeros(len(start), np.uint32), np.zeros(len(start), np.uint32)
    order = np.argsort(start)
    native.scan_presence_fast(pagemap_fd, start[order], pages[order], swapped, present, _never())
    unsorted = np.argsort(order)
    return swapped[unsorted], present[unsorted]


def _presence(pagemap_fd: int, start: U64, pages: U32) -> tuple[U32, U32]:
    no_nodes = native.NodeMap(1, np.empty(0, np.int8))
    swapped, present = np.zeros(len(start), np.uint64), np.zeros(len(start), np.uint64)
    range_index = page_index = 0
    while range_index < len(start):
        seen = native.collect_pages(pagemap_fd, -1, start, pages, range_index, page_index, no_nodes, -1, 1, _never())
        swapped += seen.already_there
        present += seen.present
        range_index, page_index = seen.range_index, seen.page_index
    return swapped.astype(np.uint32), present.astype(np.uint32)


def _never() -> Stop:
    """Return a stop flag that nobody sets: once a call was made its result is wanted, and a piece is small."""
    return np.zeros(1, np.int32)
