"""System calls and bulk page table reads in C; every function raises OSError with the kernel's errno."""

from memtierd.native.arrays import Stop
from memtierd.native.collect import Collected, collect_pages, presence
from memtierd.native.filter import PAGEMAP_EXCLUSIVE, PAGEMAP_PRESENT, PAGEMAP_SOFT_DIRTY, find_pages
from memtierd.native.move import MAX_RANGES, NOT_ATTEMPTED, move_pages, outcome_of_errno, page_out, query_nodes
from memtierd.native.nodemap import NodeMap
from memtierd.native.probe import has_pagemap_scan, soft_dirty_works
from memtierd.native.ranges import huge_mapped, populated
from memtierd.native.scan import read_pagemap, scan_idle, scan_presence, scan_soft_dirty

__all__ = [
    "MAX_RANGES",
    "NOT_ATTEMPTED",
    "PAGEMAP_EXCLUSIVE",
    "PAGEMAP_PRESENT",
    "PAGEMAP_SOFT_DIRTY",
    "Collected",
    "NodeMap",
    "Stop",
    "collect_pages",
    "find_pages",
    "has_pagemap_scan",
    "huge_mapped",
    "move_pages",
    "outcome_of_errno",
    "page_out",
    "populated",
    "presence",
    "query_nodes",
    "read_pagemap",
    "scan_idle",
    "scan_presence",
    "scan_soft_dirty",
    "soft_dirty_works",
]
