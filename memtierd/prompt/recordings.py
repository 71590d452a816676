"""The words start, new and stop behind -dump raw and -dump moves."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from memtierd.errors import CommandError
from memtierd.model import ProcessScan
from memtierd.prompt.context import Context
from memtierd.prompt.grammar import UsageError
from memtierd.prompt.stats_summary import call_line
from memtierd.recording import Recording
from memtierd.statistics import Statistics

T = TypeVar("T")
Word = Literal["start", "new", "stop"]
_WORDS = ("start", "new", "stop")
RAW_HEADER = f"{'timestamp':>20} {'pid':>8} {'addr':>16} {'pages':>8} {'accs':>8} {'writes':>8}"


def dump_raw(context: Context, words: Sequence[str]) -> None:
    """Record what every scan counts in every region, or print what was recorded since the last time."""

    def show(scans: Sequence[ProcessScan]) -> Iterator[str]:
        yield RAW_HEADER
        to_wall_ns = time.time_ns() - context.clock_ns()
        for scan in scans:
            yield from _raw_lines(scan, scan.started_ns + to_wall_ns)

    _obey(context, words, "raw", "raw access events recording", lambda statistics: statistics.recorded_scans, show)


def dump_moves(context: Context, words: Sequence[str]) -> None:
    """Record every system call of the mover, or print what was recorded since the last time."""
    _obey(
        context,
        words,
        "moves",
        "recording moves",
        lambda statistics: statistics.recorded_calls,
        lambda calls: map(call_line, calls),
    )


def _raw_lines(scan: ProcessScan, at_ns: int) -> Iterator[str]:
    columns = (scan.start, scan.pages, scan.accessed_pages, scan.written_pages)
    for start, pages, accessed, written in zip(*(column.tolist() for column in columns), strict=True):
        yield f"{at_ns:20d} {scan.key.pid:8d} {start:16x} {pages:8d} {accessed:8d} {written:8d}"


def _obey(
    context: Context,
    words: Sequence[str],
    what: str,
    spoken: str,
    recording_of: Callable[[Statistics], Recording[T]],
    show: Callable[[Sequence[T]], Iterator[str]],
) -> None:
    if len(words) != 1 or words[0] not in _WORDS:
        given = f"invalid {what} parameter {' '.join(words)!r}" if words else f"{what} needs a parameter"
        raise UsageError(f"-dump: {given}, expected: -dump {what} {'|'.join(_WORDS)}")
    word = words[0]
    if word == "new":
        _print_new(context, what, recording_of, show)
        return

    def switch(recording: Recording[T]) -> None:
        recording.start() if word == "start" else recording.stop()

    context.daemon.call(lambda reconciler: switch(recording_of(reconciler.statistics)))
    context.line(f"{spoken} {'started' if word == 'start' else 'stopped'}")


def _print_new(
    context: Context,
    what: str,
    recording_of: Callable[[Statistics], Recording[T]],
    show: Callable[[Sequence[T]], Iterator[str]],
) -> None:
    def take(recording: Recording[T]) -> tuple[list[T], int] | None:
        return recording.take() if recording.is_on else None

    taken = context.daemon.call(lambda reconciler: take(recording_of(reconciler.statistics)))
    if taken is None:
        raise CommandError(f"not recording; start it with: -dump {what} start")
    items, dropped = taken
    if dropped:
        context.report(f"-dump {what} new: {dropped} older entries were dropped; ask more often")
    context.lines(show(items))
