"""Parameters of the trackers."""

from collections.abc import Iterator
from typing import Any

import attrs

from memtierd.parameters import FieldProblem, Part, option, part
from memtierd.regions.carving import MAX_REGION_PAGES

DAY_MS = 86_400_000
_ACCESSED_BITS = ("damon", "idlepage", "referenced")
UNUSED = "Accepted for existing configurations, without effect: pages are read in bulk, far ahead, anyway."


def uses_accessed_bits(name: str, params: Any) -> bool:
    """Tell whether a tracker looks at the accessed bits of page tables, and clears them."""
    return name in _ACCESSED_BITS or bool(getattr(params, "track_referenced", False))


def _pages_in_region() -> Any:
    return option(
        512,
        doc="Size of a region; regions begin at multiples of it or with their mapping, and huge pages stay whole.",
        unit="pages",
        at_least=1,
        at_most=MAX_REGION_PAGES,
    )


def _scan_interval_ms() -> Any:
    return option(
        5000,
        doc="Time from the start of a scan to the start of the next; a scan that takes longer is followed at once.",
        unit="ms",
        at_least=1,
        at_most=DAY_MS,
    )


def _max_count_per_region() -> Any:
    return option(
        1,
        doc="Stop counting accessed pages of a region here, which scores huge and base pages alike; 0 counts all.",
        unit="pages",
        at_least=0,
        at_most=MAX_REGION_PAGES,
    )


def _regions_update_ms() -> Any:
    return option(
        10_000,
        doc="How often new memory regions of a process are looked for; 0: before every scan.",
        unit="ms",
        at_least=0,
        at_most=DAY_MS,
    )


@attrs.frozen(kw_only=True)
class GridParams:
    """What trackers that cut memory into regions of one size have in common."""

    pages_in_region: int = _pages_in_region()
    scan_interval_ms: int = _scan_interval_ms()
    max_count_per_region: int = _max_count_per_region()
    regions_update_ms: int = _regions_update_ms()


@attrs.frozen(kw_only=True)
class SoftDirtyParams(GridParams):
    """Parameters of the softdirty tracker."""

    skip_page_prob: int = option(0, doc=UNUSED, unit="‰", at_least=0, at_most=1000)
    pagemap_readahead: int = option(0, doc=UNUSED, at_least=-1)
    track_referenced: bool = option(
        False,
        doc=(
            "Count reads, too: the kernel says how many pages of each mapping were referenced (smaps), which is"
            " spread evenly over the mapping. Costs a second walk and disturbs the kernel's own page aging."
        ),
    )


@attrs.frozen(kw_only=True)
class IdlePageParams(GridParams):
    """Parameters of the idlepage tracker."""

    skip_page_prob: int = option(0, doc=UNUSED, unit="‰", at_least=0, at_most=1000)
    pagemap_readahead: int = option(0, doc=UNUSED, at_least=-1)
    kpageflags_readahead: int = option(0, doc=UNUSED, at_least=-1)
    bitmap_readahead: int = option(0, doc=UNUSED, at_least=-1)


@attrs.frozen(kw_only=True)
class ReferencedParams:
    """Parameters of the referenced tracker; its regions are the mappings, found again at every scan."""

    scan_interval_ms: int = _scan_interval_ms()


@attrs.frozen(kw_only=True)
class AutoParams(GridParams):
    """Parameters of whichever tracker turns out to work; one that it doesn't have is left unused."""


@attrs.frozen(kw_only=True)
class StubParams:
    """The stub tracker has no parameters."""


@attrs.frozen(kw_only=True)
class FinderParams:
    """Parameters of the finder tracker; of the pagemap bits, null doesn't look at one."""

    pages_in_region: int = _pages_in_region()
    scan_interval_ms: int = option(
        5000,
        doc="Time from the start of a scan to the start of the next, unless regionsupdatems is shorter and not 0.",
        unit="ms",
        at_least=1,
        at_most=DAY_MS,
    )
    regions_update_ms: int = option(
        5000,
        doc="How often the regions of a process are found anew; 0: before every scan.",
        unit="ms",
        at_least=0,
        at_most=DAY_MS,
    )
    report_accesses: int = option(
        0,
        doc="Accesses reported of every region, at most its pages; 0: none, and nothing is said of use or non-use.",
        unit="pages",
        at_least=0,
        at_most=MAX_REGION_PAGES,
    )
    pagemap_bit_exclusive: bool | None = option(
        None, doc="true: only pages that this process alone maps; false: only others."
    )
    pagemap_bit_present: bool | None = option(None, doc="true: only pages in memory; false: only others.")
    pagemap_bit_soft_dirty: bool | None = option(
        None, doc="true: only pages written since their soft-dirty bits were cleared last; false: only others."
    )


@attrs.frozen(kw_only=True)
class MultiParams:
    """Parameters of the multi tracker."""

    trackers: tuple[Part, ...] = part(
        "tracker", (), doc="The trackers that it runs, each with name and config, at their own intervals.", many=True
    )

    def problems(self) -> Iterator[FieldProblem]:
        """Yield what is wrong: nothing to run, or another multi."""
        if not self.trackers:
            yield FieldProblem("trackers", "at least one tracker", "no trackers")
        for index, tracker in enumerate(self.trackers):
            if tracker.name == "multi":
                yield FieldProblem("trackers", "any other tracker", "a multi tracker in a multi tracker", index)
