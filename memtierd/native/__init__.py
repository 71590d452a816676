"""System calls and bulk page table reads in C; every function raises OSError with the kernel's errno."""

from memtierd.native.collect import Collected, collect_pages
from memtierd.native.move import NOT_ATTEMPTED, move_pages, outcome_of_errno, page_out, query_nodes, tally
from memtierd.native.nodemap import NodeMap
from memtierd.native.probe import has_pagemap_scan, soft_dirty_works
from memtierd.native.ranges import count_swapped, populated, scan_presence_fast, scan_soft_dirty_fast
from memtierd.native.scan import read_pagemap, scan_idle, scan_presence, scan_soft_dirty

__all__ = [
    "NOT_ATTEMPTED",
    "Collected",
    "NodeMap",
    "collect_pages",
    "count_swapped",
    "has_pagemap_scan",
    "move_pages",
    "outcome_of_errno",
    "page_out",
    "populated",
    "query_nodes",
    "read_pagemap",
    "scan_idle",
    "scan_presence",
    "scan_presence_fast",
    "scan_soft_dirty",
    "scan_soft_dirty_fast",
    "soft_dirty_works",
    "tally",
]
