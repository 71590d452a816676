"""swap: swap memory of processes in and out, and tell how much is swapped out."""

import glob
import os
from collections.abc import Iterator

import attrs
import numpy as np

from memtierd import native
from memtierd.errors import CommandError, MemtierdError
from memtierd.linux.cgroup import pids_below
from memtierd.linux.pidfd import open_pidfd
from memtierd.linux.proc import process_key
from memtierd.linux.proc_mem import opened, read_through
from memtierd.model import SWAP_NODE, AddressRange, CallReport, ProcessKey
from memtierd.mover import Batch
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import Command, UsageError, flag
from memtierd.prompt.kinds import NAMES, PID, PIDS, RANGES, SWITCH
from memtierd.prompt.page_walk import (
    SWAPPED,
    Ranges,
    SwapUse,
    intersection,
    kernel_errors,
    pieces,
    runs_of,
    swap_use,
    tracked_ranges,
)
from memtierd.regions.carving import HUGE_PAGE_BYTES
from memtierd.units import MIB, PAGE_BYTES, format_bytes

_CALL_RANGES = 1024
_CALL_BYTES = 1 << 28
"""One process_madvise takes at most 1024 ranges and 2 GiB - 1 page (mm/madvise.c)."""


@attrs.frozen(kw_only=True)
class Options:
    """Options of swap."""

    pid_cgroups: tuple[str, ...] = flag(
        NAMES,
        "take the processes of control groups, with those below; * and ? work",
        metavar="DIR[,DIR...]",
        default=(),
        changes=False,
    )
    pid: int | None = flag(PID, "take a process", changes=False)
    pids: tuple[int, ...] = flag(PIDS, "take processes", default=(), changes=False)
    ranges: tuple[AddressRange, ...] = flag(
        RANGES,
        "only memory in START (one page), START-END or START+SIZE, hexadecimal; SIZE like 64M",
        default=(),
        changes=False,
    )
    in_: bool = flag(SWITCH, "swap in what is swapped out", default=False, changes=True)
    out: bool = flag(SWITCH, "swap out", default=False, changes=True)
    mover: bool = flag(SWITCH, "let the mover do -out, within its bandwidth", default=False, changes=True)
    status: bool = flag(SWITCH, "print how much is swapped out", default=False, changes=False)
    vaddrs: bool = flag(SWITCH, "print the address ranges that are swapped out", default=False, changes=False)


def run(context: Context, options: Options) -> None:
    """Work on one process after the other; one that fails does not keep the others from their turn."""
    if not (options.in_ or options.out or options.status or options.vaddrs):
        raise UsageError("nothing to do, give one of -in, -out, -status, -vaddrs")
    if options.mover and not options.out:
        raise UsageError("flag -mover: only together with -out")
    if (options.in_ or options.out) and context.daemon.dry_run:
        raise CommandError("dry run: nothing is swapped; end the dry run with: policy -dry-run off")
    if options.out and not context.daemon.machine().swap_total_pages:
        raise CommandError("swap out: the system has no swap space; add some with swapon, /proc/swaps lists it")
    for pid in context.while_wanted(_pids(context, options)):
        try:
            _swap_process(context, options, pid)
        except MemtierdError as error:
            context.fail(str(error))


def _pids(context: Context, options: Options) -> list[int]:
    pids = list(options.pids)
    if options.pid is not None:
        pids.insert(0, options.pid)
    for pattern in options.pid_cgroups:
        found = sorted(set().union(*_pids_of(context, pattern)) - {os.getpid()})
        context.line(f"pids in {pattern}: {', '.join(map(str, found)) or 'none'}")
        pids[:0] = found
    if not pids and not options.pid_cgroups:
        raise UsageError("no process is given, add -pid PID, -pids PID[,PID...] or -pid-cgroups DIR[,DIR...]")
    return list(dict.fromkeys(pids))


def _pids_of(context: Context, pattern: str) -> Iterator[frozenset[int]]:
    directories = sorted(path for path in glob.glob(pattern) if os.path.isdir(path))
    if not directories:
        raise CommandError(f"find control groups {pattern!r}: there is no such directory")
    for directory in directories:
        listing = pids_below(directory, context.daemon.roots)
        for error in listing.refused:
            context.fail(str(error))
        yield listing.pids


def _swap_process(context: Context, options: Options, pid: int) -> None:
    roots = context.daemon.roots
    key = process_key(pid, roots)
    ranges = tracked_ranges(pid, roots)
    if options.ranges:
        ranges = intersection(ranges, options.ranges)
        context.line(f"using {len(ranges)} address ranges")
    if not len(ranges):
        raise CommandError(f"pid {pid} has no memory in such address ranges; its mappings are in /proc/{pid}/maps")
    with opened(key, "pagemap", roots) as pagemap_fd:
        if options.in_:
            _swap_in(context, key, ranges, pagemap_fd)
        if options.out:
            _swap_out(context, options, key, ranges, pagemap_fd)
        if options.status:
            context.line(_status_line(pid, swap_use(pagemap_fd, ranges)))
        if options.vaddrs:
            context.lines(_swapped(pagemap_fd, ranges).lines())


def _swapped(pagemap_fd: int, ranges: Ranges) -> Ranges:
    return runs_of(pieces(pagemap_fd, ranges), lambda piece: piece.has(SWAPPED))


def _swap_in(context: Context, key: ProcessKey, ranges: Ranges, pagemap_fd: int) -> None:
    before = _swapped(pagemap_fd, ranges)
    tried = f"read the memory of pid {key.pid}"
    with opened(key, "mem", context.daemon.roots) as mem_fd:
        found = zip(before.start.tolist(), before.end.tolist(), strict=True)
        for start, end in context.while_wanted(found):
            with kernel_errors(tried):
                read_through(mem_fd, start, end - start)
    left = swap_use(pagemap_fd, before)
    context.line(
        f"pid {key.pid}: swapped in {_amount(left.present_pages)}, {_amount(left.swapped_pages)} stay swapped out"
    )


def _swap_out(context: Context, options: Options, key: ProcessKey, ranges: Ranges, pagemap_fd: int) -> None:
    before = swap_use(pagemap_fd, ranges)
    if options.mover:
        start, pages = ranges.as_regions()
        context.daemon.mover.start()
        context.daemon.mover.add(Batch(key, SWAP_NODE, start, pages, before.present_pages, "prompt"))
        context.line(f"pid {key.pid}: the mover swaps out {_amount(before.present_pages)}")
        return
    pidfd = open_pidfd(key, context.daemon.roots)
    try:
        for part in context.while_wanted(calls(ranges)):
            _page_out(context, key, part, pidfd, pagemap_fd)
    finally:
        os.close(pidfd)
    after = swap_use(pagemap_fd, ranges)
    swapped = max(0, after.swapped_pages - before.swapped_pages)
    context.line(f"pid {key.pid}: swapped out {_amount(swapped)}, {_amount(after.present_pages)} stay in memory")
    if not swapped and before.present_pages:
        context.fail(f"swap out pages of pid {key.pid}: the kernel swapped out none; {_why_none(context)}")
    elif after.present_pages and not context.daemon.machine().swap_free_pages:
        context.fail(f"swap out pages of pid {key.pid}: the swap space is full; add some (swapon) for the rest")


def _page_out(context: Context, key: ProcessKey, part: Ranges, pidfd: int, pagemap_fd: int) -> None:
    """Make one system call, and let the statistics know what really came of it."""
    before = swap_use(pagemap_fd, part)
    if not before.present_pages:
        return
    returned, errnos = 0, dict[int, int]()
    with kernel_errors(f"swap out pages of pid {key.pid}"):
        try:
            returned = native.page_out(pidfd, part.start, part.end - part.start)
        except OSError as error:
            returned, errnos = -(error.errno or 0), {error.errno or 0: before.present_pages}
            raise
        finally:
            swapped = max(0, swap_use(pagemap_fd, part).swapped_pages - before.swapped_pages)
            report = CallReport(
                key=key,
                call="process_madvise",
                target=SWAP_NODE,
                requested_pages=before.present_pages,
                done_pages=swapped,
                first_address=int(part.start[0]),
                returned=returned,
                errnos=errnos,
                at_ns=context.clock_ns(),
            )
            context.daemon.call(lambda reconciler: reconciler.statistics.call(report))


def _why_none(context: Context) -> str:
    if not context.daemon.machine().swap_free_pages:
        return "the swap space is full"
    return "they may be locked, shared with other processes or in use"


def calls(ranges: Ranges) -> Iterator[Ranges]:
    """Yield the ranges for one process_madvise call each; none is cut inside a huge page."""
    starts: list[int] = []
    ends: list[int] = []
    room_bytes = _CALL_BYTES
    for start, end in zip(ranges.start.tolist(), ranges.end.tolist(), strict=True):
        at = start
        while at < end:
            cut = end if end - at <= room_bytes else (at + room_bytes) // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
            if len(starts) == _CALL_RANGES or cut <= at:
                yield Ranges(np.array(starts, np.uint64), np.array(ends, np.uint64))
                starts, ends, room_bytes = [], [], _CALL_BYTES
                continue
            starts.append(at)
            ends.append(cut)
            at, room_bytes = cut, room_bytes - (cut - at)
    if starts:
        yield Ranges(np.array(starts, np.uint64), np.array(ends, np.uint64))


def _status_line(pid: int, use: SwapUse) -> str:
    total = use.present_pages + use.swapped_pages
    percent = 100 * use.swapped_pages / total if total else 0.0
    megabytes = f"{use.swapped_pages * PAGE_BYTES // MIB} / {total * PAGE_BYTES // MIB} MB"
    return f"{pid} {use.swapped_pages} / {total} pages, {megabytes} ({percent:.1f} %) swapped out"


def _amount(pages: int) -> str:
    return f"{pages} pages ({format_bytes(pages * PAGE_BYTES)})"


COMMAND = Command(
    "swap",
    "swap memory of processes in and out",
    run,
    Options,
    ("swap -pid 4242 -out -status", "swap -pid-cgroups '/sys/fs/cgroup/foobar/*' -in", "swap -pids 4242,4300 -vaddrs"),
)
