"""Which tracker is built, and what is said when it can't work."""

from typing import Any

import attrs
import pytest

from memtierd.errors import UnsupportedError
from memtierd.parameters import option_of
from memtierd.trackers.build import REGISTRY, build
from memtierd.trackers.params import AutoParams
from tests.unit.trackers.tracker_fakes import FakeKernel, fake_features

UNITLESS = {
    *("track_referenced", "trackers"),
    *("connection", "kdamonds_list", "nr_kdamonds", "interface", "sysfs_regions_manager"),
}
ALL = ("idlepage", "softdirty", "referenced")


@pytest.mark.parametrize("name", ALL)
def test_a_tracker_is_built_by_name_with_its_params(name: str) -> None:
    params = REGISTRY[name](scan_interval_ms=123)
    tracker = build(name, params, FakeKernel(), fake_features(name, "pagemap_pfn"))
    assert (tracker.name, tracker.params, tracker.interval_ms, tracker.why) == (name, params, 123, "")
    tracker.close()


@pytest.mark.parametrize("name", ALL)
def test_a_tracker_that_cant_work_is_refused_with_what_to_change(name: str) -> None:
    working = [other for other in (*ALL, "pagemap_pfn") if other != name]
    with pytest.raises(UnsupportedError, match=f"^tracker {name} .*{name} is off; switch it on$"):
        build(name, REGISTRY[name](), FakeKernel(), fake_features(*working))


@pytest.mark.parametrize(
    ("working", "chosen", "rejected"),
    [
        (ALL, "idlepage", ()),
        (("softdirty", "referenced"), "softdirty", ("idlepage",)),
        (("referenced",), "referenced", ("idlepage", "softdirty")),
    ],
)
def test_auto_takes_the_best_that_works_and_says_why(
    working: tuple[str, ...], chosen: str, rejected: tuple[str, ...]
) -> None:
    tracker = build("auto", AutoParams(scan_interval_ms=77), FakeKernel(), fake_features(*working, "pagemap_pfn"))
    tracker.close()
    assert tracker.name == chosen
    assert tracker.interval_ms == 77
    assert isinstance(tracker.params, REGISTRY[chosen])
    assert [name for name in ALL if f"{name} is off; switch it on" in tracker.why] == list(rejected)


def test_auto_hands_on_its_region_size_and_maximum_count() -> None:
    params = AutoParams(pages_in_region=4, scan_interval_ms=5, max_count_per_region=6, regions_update_ms=7)
    tracker = build("auto", params, FakeKernel(), fake_features("softdirty", "pagemap_pfn"))
    handed: Any = tracker.params
    assert {field.name: getattr(handed, field.name) for field in attrs.fields(AutoParams)} == attrs.asdict(params)


def test_auto_names_every_reason_when_nothing_works() -> None:
    with pytest.raises(UnsupportedError) as raised:
        build("auto", AutoParams(), FakeKernel(), fake_features("pagemap_pfn"))
    assert all(f"{name} is off; switch it on" in str(raised.value) for name in ALL)


def test_page_frame_numbers_are_needed_unless_there_is_one_node() -> None:
    params = REGISTRY["softdirty"]()
    assert build("softdirty", params, FakeKernel(nodes=1), fake_features(*ALL)).name == "softdirty"
    with pytest.raises(UnsupportedError, match="pagemap_pfn is off; switch it on"):
        build("softdirty", params, FakeKernel(nodes=2), fake_features(*ALL))


@pytest.mark.parametrize("cls", REGISTRY.values())
def test_every_parameter_is_described_and_has_a_default(cls: type[Any]) -> None:
    for field in attrs.fields(cls):
        described = option_of(field)
        assert described.doc, field.name
        assert not described.required, field.name
        plain = field.name.startswith("pagemap_bit_") or field.name in UNITLESS
        assert described.unit or plain or "readahead" in field.name, field.name
    cls()
