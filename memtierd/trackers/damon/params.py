"""Parameters of the damon tracker."""

from collections.abc import Iterator
from typing import Any

import attrs

from memtierd.parameters import FieldProblem, option
from memtierd.trackers.params import DAY_MS

CONNECTIONS = ("auto", "bpftrace", "perf", "tracefs", "sysfs")
AUTODETECT, SYSFS, DEBUGFS = 0, 1, 2
UNLIMITED = -1
DEFAULT_IF_ZERO = {
    "sampling_us": 5000,
    "aggregation_us": 100_000,
    "regions_update_us": 1_000_000,
    "min_target_regions": 10,
    "max_target_regions": 1000,
    "filter_address_range_size_max": 32 << 20,
}
"""What 0 stands for, as in configurations of old."""
_LEAST_REGIONS = 3  # mm/damon/core.c, damon_set_attrs
_MOST_KDAMONDS = 1024
_MOST_US = 3_600_000_000


def _connection(value: str) -> str | None:
    word, _, rest = value.partition(" ")
    if word in CONNECTIONS and (not rest or word == "perf"):
        return None
    return f"one of {', '.join(CONNECTIONS)}, or perf and its options"


def _distinct(value: tuple[int, ...]) -> str | None:
    return None if len(set(value)) == len(value) else "each kdamond once"


@attrs.frozen(kw_only=True)
class DamonParams:
    """Parameters of the damon tracker; a size, interval or number of regions of 0 stands for the default."""

    connection: str = option(
        "auto",
        doc=(
            "How DAMON's reports are read: tracefs, sysfs, bpftrace or perf, which may be followed by options of its"
            " own. auto: the first of these that works."
        ),
        check=_connection,
    )
    kdamonds_list: tuple[int, ...] = option(
        (),
        doc="The kdamonds to be used, by their numbers in sysfs; empty: all, when memtierd itself made them.",
        at_least=0,
        at_most=_MOST_KDAMONDS - 1,
        check=_distinct,
    )
    nr_kdamonds: int = option(
        0,
        doc=(
            "How many kdamonds to make when the system has none, enough for all users of DAMON; 0: none, somebody else"
            " makes them."
        ),
        at_least=0,
        at_most=_MOST_KDAMONDS,
    )
    interface: int = option(
        AUTODETECT,
        doc="How DAMON is configured: 1 is sysfs, 2 debugfs, 0 the first of these that there is.",
        at_least=AUTODETECT,
        at_most=DEBUGFS,
    )
    filter_address_range_size_max: int = option(
        DEFAULT_IF_ZERO["filter_address_range_size_max"],
        doc=(
            "Ignore accesses that DAMON reports of longer ranges: they tell too little of where they were. -1: ignore"
            " none."
        ),
        unit="bytes",
        at_least=UNLIMITED,
        at_most=1 << 47,
    )
    sampling_us: int = option(
        DEFAULT_IF_ZERO["sampling_us"], doc="DAMON's sampling interval.", unit="us", at_least=0, at_most=_MOST_US
    )
    aggregation_us: int = option(
        DEFAULT_IF_ZERO["aggregation_us"],
        doc="DAMON's aggregation interval: after each it reports how often regions were accessed.",
        unit="us",
        at_least=0,
        at_most=_MOST_US,
    )
    regions_update_us: int = option(
        DEFAULT_IF_ZERO["regions_update_us"],
        doc="How often DAMON looks for new mappings.",
        unit="us",
        at_least=0,
        at_most=_MOST_US,
    )
    min_target_regions: int = option(
        DEFAULT_IF_ZERO["min_target_regions"],
        doc="The fewest regions into which a kdamond divides what it monitors, 3 or more.",
        unit="regions",
        at_least=0,
        at_most=1_000_000,
    )
    max_target_regions: int = option(
        DEFAULT_IF_ZERO["max_target_regions"],
        doc="The most regions, of all processes that share a kdamond: they limit what DAMON costs.",
        unit="regions",
        at_least=0,
        at_most=1_000_000,
    )
    sysfs_regions_manager: int = option(
        0,
        doc="1: let DAMON begin with the mappings of a process as its regions; 0: it finds them by itself.",
        at_least=0,
        at_most=1,
    )
    scan_interval_ms: int = option(
        5000,
        doc="How often DAMON's reports are taken in, and where pages are is looked up.",
        unit="ms",
        at_least=1,
        at_most=DAY_MS,
    )
    align_pages: int = option(
        512,
        doc="Bounds of regions are rounded to multiples of this, so that they change less; 1 takes DAMON's own bounds.",
        unit="pages",
        at_least=1,
        at_most=1 << 18,
    )
    snapshot_ms: int = option(
        1000,
        doc="How often the sysfs connection asks DAMON for its regions; the others get all reports.",
        unit="ms",
        at_least=1,
        at_most=DAY_MS,
    )

    def resolved(self) -> "DamonParams":
        """Return the parameters with their defaults in place of zeros."""
        zeros: dict[str, Any] = {name: value for name, value in DEFAULT_IF_ZERO.items() if getattr(self, name) == 0}
        return attrs.evolve(self, **zeros)

    @property
    def max_accesses(self) -> int:
        """Return the most accesses that DAMON can count for a region: one a sample of an aggregation."""
        return max(self.aggregation_us // self.sampling_us, 1)

    def problems(self) -> Iterator[FieldProblem]:
        """Return intervals and numbers that don't fit together."""
        full = self.resolved()
        if full.min_target_regions < _LEAST_REGIONS:
            yield FieldProblem("min_target_regions", f"{_LEAST_REGIONS} or more, or 0 for the default")
        if full.max_target_regions < full.min_target_regions:
            expected = f"mintargetregions, {full.min_target_regions}, or more"
            yield FieldProblem("max_target_regions", expected, depends_on=("min_target_regions",))
        for name in ("aggregation_us", "regions_update_us"):
            if getattr(full, name) < full.sampling_us:
                expected = f"samplingus, {full.sampling_us} us, or more"
                yield FieldProblem(name, expected, depends_on=("sampling_us",))
        if self.interface == DEBUGFS and self.connection == "sysfs":
            expected = "auto, tracefs, bpftrace or perf with interface 2, debugfs"
            yield FieldProblem("connection", expected, depends_on=("interface",))
        if self.nr_kdamonds and max(self.kdamonds_list, default=0) >= self.nr_kdamonds:
            expected = f"kdamonds from 0 to {self.nr_kdamonds - 1}, below nrkdamonds"
            yield FieldProblem("kdamonds_list", expected, depends_on=("nr_kdamonds",))
