"""pages: select pages of a process by state and place, and look at single pages."""

from collections.abc import Iterator
from itertools import islice

import attrs
import numpy as np

from memtierd import native
from memtierd.errors import CommandError
from memtierd.linux.numa import node_map
from memtierd.linux.page_frames import KPF_NAMES, is_idle, page_flags, set_idle
from memtierd.linux.proc import process_key
from memtierd.linux.proc_maps import Mapping
from memtierd.linux.proc_mem import opened
from memtierd.model import AddressRange, Bool, ProcessKey
from memtierd.prompt.context import Context, DaemonPort, Selection
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import COUNT, NODE, PFN, PID, RANGES, some_of
from memtierd.prompt.page_walk import (
    EXCLUSIVE,
    FILE,
    PRESENT,
    SOFT_DIRTY,
    SWAPPED,
    UFFD_WP,
    Piece,
    Ranges,
    intersection,
    kernel_errors,
    pieces,
    runs_of,
    tracked_ranges,
)
from memtierd.units import PAGE_BYTES

_BITS = {
    "softdirty": SOFT_DIRTY,
    "exclusive": EXCLUSIVE,
    "uffd_wp": UFFD_WP,
    "file": FILE,
    "swap": SWAPPED,
    "present": PRESENT,
}
_STATES = {
    "Present": (PRESENT, True),
    "Exclusive": (EXCLUSIVE, True),
    "Dirty": (SOFT_DIRTY, True),
    "NotDirty": (SOFT_DIRTY, False),
}
_DEFAULT_STATES = ("Present", "Exclusive")
_SWAP_TYPE_BITS = 5


def _is_heap(mapping: Mapping) -> bool:
    return mapping.path == "[heap]"


def _is_anonymous(mapping: Mapping) -> bool:
    return not mapping.path or mapping.path.startswith("[anon:")


_PLACES = {"InHeap": _is_heap, "InAnonymous": _is_anonymous}


@attrs.frozen(kw_only=True)
class Options:
    """Options of pages."""

    pid: int | None = flag(PID, "select pages of a process", changes=False)
    attrs_: tuple[str, ...] = flag(
        some_of("attribute", "ATTR[,ATTR...]", *_STATES, *_PLACES),
        f"{', '.join(_STATES)} (default: {','.join(_DEFAULT_STATES)}); {', '.join(_PLACES)} (default: anywhere)",
        default=(),
        changes=False,
    )
    node: int | None = flag(NODE, "pages must be on a node", changes=False)
    ranges: tuple[AddressRange, ...] = flag(
        RANGES,
        "pages must be in START (one page), START-END or START+SIZE, hexadecimal; SIZE like 64M",
        default=(),
        changes=False,
    )
    pr: int | None = flag(COUNT, "print only the first N address ranges", changes=False)
    pm: int | None = flag(COUNT, "print only the pagemap entries of the first N pages", changes=False)
    pk: int | None = flag(PFN, "print the kernel's flags of a page frame", changes=False)
    pi: int | None = flag(PFN, "print whether a page frame is marked idle", changes=False)
    si: int | None = flag(PFN, "mark a page frame idle", changes=True)


def run(context: Context, options: Options) -> None:
    """Select pages, print what was asked for, or tell where the selected pages lie."""
    if options.pid is not None:
        _look_at_process(context, options, options.pid)
    elif (
        options.attrs_ or options.node is not None or options.ranges or options.pr is not None or options.pm is not None
    ):
        raise UsageError("a process is needed: -pid PID")
    _look_at_frames(context, options)
    if options == Options():
        _print_selected(context)


def _look_at_process(context: Context, options: Options, pid: int) -> None:
    roots = context.daemon.roots
    key = process_key(pid, roots)
    context.line(f"searching for address ranges of pid {pid}")
    places = [_PLACES[name] for name in options.attrs_ if name in _PLACES]
    ranges = tracked_ranges(pid, roots, lambda mapping: not places or any(place(mapping) for place in places))
    context.line(f"found {len(ranges)} address ranges")
    if options.ranges:
        ranges = intersection(ranges, options.ranges)
        context.line(f"using {len(ranges)} address ranges")
    if not len(ranges):
        raise CommandError(f"pid {pid} has no memory in such address ranges; its mappings are in /proc/{pid}/maps")
    if options.pr is not None:
        context.lines(islice(ranges.lines(), options.pr))
    if options.pm is not None:
        _print_pagemap(context, key, ranges, options.pm)
    if options.pr is None and options.pm is None:
        _select(context, key, ranges, options)


def _select(context: Context, key: ProcessKey, ranges: Ranges, options: Options) -> None:
    context.line(f"aranges = <{len(ranges)} address ranges of pid {key.pid}>")
    required, forbidden = _wanted_bits(options.attrs_)
    on_node = None if options.node is None else _NodeTest(context.daemon, options.node)

    def chosen(piece: Piece) -> Bool:
        fits: Bool = (piece.entries & np.uint64(required | forbidden)) == np.uint64(required)
        return fits if on_node is None else fits & on_node(piece)

    with opened(key, "pagemap", context.daemon.roots) as pagemap_fd:
        start, pages = runs_of(context.while_wanted(pieces(pagemap_fd, ranges)), chosen).as_regions()
    context.memory.selection = selection = Selection(key, start, pages)
    context.line(f"pages = <{selection.total_pages} pages of pid {key.pid}>")


def _wanted_bits(names: tuple[str, ...]) -> tuple[int, int]:
    """Return the bits that must be set and those that must not, for the named attributes or else the default ones."""
    required = forbidden = 0
    for name in [name for name in names if name in _STATES] or _DEFAULT_STATES:
        bit, is_set = _STATES[name]
        required, forbidden = (required | bit, forbidden) if is_set else (required, forbidden | bit)
    if required & forbidden:
        raise UsageError(f"flag -attrs: no page is both Dirty and NotDirty: {','.join(names)}")
    return required, forbidden


class _NodeTest:
    """Tells of present pages whether they lie on a node."""

    def __init__(self, daemon: DaemonPort, node: int) -> None:
        nodes = daemon.machine().node_ids
        if node not in nodes:
            known = ", ".join(map(str, nodes))
            raise CommandError(f"node {node} is not online with memory; these are: {known}")
        self._map = node_map(daemon.roots, nodes)
        self._index = nodes.index(node)

    def __call__(self, piece: Piece) -> Bool:
        block = piece.low_bits // np.uint64(self._map.block_pages)
        known = piece.has(PRESENT) & (piece.low_bits != 0) & (block < np.uint64(len(self._map.index_of_block)))
        here: Bool = known & (self._map.index_of_block[np.where(known, block, 0).astype(np.intp)] == self._index)
        return here


def _print_pagemap(context: Context, key: ProcessKey, ranges: Ranges, count: int) -> None:
    context.line(f"bits: {', '.join(_BITS)}")
    with opened(key, "pagemap", context.daemon.roots) as pagemap_fd:
        context.lines(islice(_entry_lines(pieces(pagemap_fd, ranges, sparse=False)), count))


def _entry_lines(walk: Iterator[Piece]) -> Iterator[str]:
    for piece in walk:
        for position, (entry, low) in enumerate(zip(piece.entries.tolist(), piece.low_bits.tolist(), strict=True)):
            bits = "".join("1" if entry & bit else "0" for bit in _BITS.values())
            yield f"{piece.start + position * PAGE_BYTES:x}: bits: {bits}{_where(entry, low)}"


def _where(entry: int, low: int) -> str:
    if entry & PRESENT:
        return f" pfn: {low}"
    if entry & SWAPPED:
        return f" swap: type {low & ((1 << _SWAP_TYPE_BITS) - 1)} offset {low >> _SWAP_TYPE_BITS}"
    return ""


def _look_at_frames(context: Context, options: Options) -> None:
    roots = context.daemon.roots
    if options.pk is not None:
        flags = page_flags(options.pk, roots)
        context.lines(f"{name:<14} {flags >> bit & 1}" for bit, name in enumerate(KPF_NAMES))
    if options.pi is not None:
        context.line(f"PFN {options.pi} idle: {str(is_idle(options.pi, roots)).lower()}")
    if options.si is not None:
        set_idle(options.si, roots)
        context.line(f"PFN {options.si} idle: {str(is_idle(options.si, roots)).lower()}")


def _print_selected(context: Context) -> None:
    """Print on which nodes the selected pages are now."""
    selection = context.memory.selection
    if selection is None:
        raise CommandError("no pages are selected, select some with: pages -pid PID")
    nodes = context.daemon.machine().node_ids
    swapped = np.zeros(len(selection.start), np.uint32)
    node_pages = np.zeros((len(nodes), len(selection.start)), np.uint32)
    tried = f"read the pagemap of pid {selection.key.pid}"
    with opened(selection.key, "pagemap", context.daemon.roots) as pagemap_fd, kernel_errors(tried):
        native.scan_presence(
            pagemap_fd,
            selection.start,
            selection.pages,
            node_map(context.daemon.roots, nodes),
            swapped,
            node_pages,
            np.zeros(1, np.int32),
        )
    context.line(f"pages of pid {selection.key.pid}")
    for node, count in zip(nodes, node_pages.sum(axis=1, dtype=np.uint64).tolist(), strict=True):
        if count:
            context.line(f"node {node}: {count}")
    if total := int(swapped.sum(dtype=np.uint64)):
        context.line(f"swap: {total}")


COMMAND = Command(
    "pages",
    "select pages of a process, and look at pages",
    run,
    Options,
    (
        "pages -pid 4242",
        "pages -pid 4242 -node 0 -attrs Present,Exclusive,NotDirty",
        "pages -pid 4242 -ranges 7f2a40000000+64k -pm 16",
        "pages -pk 1565209 | grep ' 1$'",
    ),
)
