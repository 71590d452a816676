"""What -check says of trackers and connections, from what was tried."""

from memtierd.linux.probe import Feature, Features
from memtierd.trackers import REGISTRY
from memtierd.trackers.abilities import CONNECTIONS, Ability, abilities

NAMES = (
    "idlepage",
    "softdirty",
    "referenced",
    "pagemap_pfn",
    "damon_sysfs",
    "damon_debugfs",
    "damon_tracefs",
    "damon_bpftrace",
    "damon_perf",
)


def found(*missing: str, nodes: int = 2) -> dict[str, Ability]:
    """Return the abilities of a machine where all works but what is missing, by "kind name"."""
    features = tuple(Feature(name, name not in missing, f"about {name}") for name in NAMES)
    return {f"{one.kind} {one.name}": one for one in abilities(Features(features, "never", ()), nodes)}


def test_every_tracker_and_connection_is_told_of() -> None:
    assert set(found()) == {f"tracker {name}" for name in REGISTRY} | {f"connection {name}" for name in CONNECTIONS}
    assert all(ability.works for ability in found().values())


def test_auto_becomes_the_best_that_works() -> None:
    assert found()["tracker auto"].detail == "becomes idlepage"
    assert found("idlepage")["tracker auto"].detail == "becomes softdirty"
    assert not found("idlepage", "softdirty", "referenced")["tracker auto"].works


def test_a_tracker_lacks_what_its_feature_lacks() -> None:
    able = found("softdirty")
    assert able["tracker softdirty"] == Ability("tracker", "softdirty", False, "about softdirty")
    assert able["tracker idlepage"].works


def test_damon_works_with_any_connection() -> None:
    able = found("damon_bpftrace", "damon_perf", "damon_tracefs")
    assert able["tracker damon"].works
    assert able["tracker damon"].detail == "with the connections sysfs"
    assert able["connection perf"] == Ability("connection", "perf", False, "about damon_perf")


def test_without_an_interface_no_connection_works() -> None:
    able = found("damon_sysfs", "damon_debugfs", "damon_perf")
    assert not able["tracker damon"].works
    assert able["connection tracefs"].detail == "about damon_sysfs"
    assert able["connection perf"].detail == "about damon_sysfs; about damon_perf"


def test_the_old_interface_serves_all_but_the_sysfs_connection() -> None:
    able = found("damon_sysfs")
    assert able["connection bpftrace"].works
    assert not able["connection sysfs"].works


def test_where_pages_are_must_be_seen_on_several_nodes() -> None:
    assert not any(ability.works for key, ability in found("pagemap_pfn").items() if key.startswith("tracker"))
    assert found("pagemap_pfn", nodes=1)["tracker idlepage"].works
