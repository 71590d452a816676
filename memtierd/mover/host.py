"""The mover's port on the real kernel."""

import errno
import os
from collections.abc import Callable

from memtierd import native
from memtierd.linux.page_frames import open_kpageflags
from memtierd.linux.pidfd import is_alive, open_pidfd
from memtierd.linux.proc_mem import open_file
from memtierd.linux.reclaim import reclaim
from memtierd.linux.roots import ROOTS, Roots
from memtierd.linux.swaps import swaps
from memtierd.model import U32, U64
from memtierd.mover.kernel import CollectPages, MoverKernel
from memtierd.units import KIB, PAGE_BYTES

NodesOfFrames = Callable[[], tuple[native.NodeMap, tuple[int, ...]]]
"""Returns which node a page frame is on, and the node ids that the map's indices mean; asked at every chunk."""


def host_kernel(nodes: NodesOfFrames, roots: Roots = ROOTS) -> MoverKernel:
    """Return the port."""
    return MoverKernel(
        open_pidfd=lambda key: open_pidfd(key, roots),
        is_alive=is_alive,
        open_pagemap=lambda key: open_file(key, "pagemap", roots),
        open_kpageflags=lambda: open_kpageflags(roots),
        close=os.close,
        collect_pages=_collector(nodes),
        move_pages=native.move_pages,
        query_nodes=native.query_nodes,
        presence=native.presence,
        page_out=native.page_out,
        reclaim=lambda key, size_bytes: reclaim(key, size_bytes, roots),
        swap_free_pages=lambda: sum(area.free_kb for area in swaps(roots)) * KIB // PAGE_BYTES,
    )


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
        stop: native.Stop,
    ) -> native.Collected:
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
