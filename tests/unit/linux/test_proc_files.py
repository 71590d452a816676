"""The parsers of /proc/PID/*, driven by case files."""

import json
from pathlib import Path

import attrs
import pytest

from memtierd.linux.proc import parse_maps, parse_smaps, parse_stat, parse_status
from tests.unit.linux.fake_kernel import CASES


def _expectations(kind: str) -> list[Path]:
    found = sorted((CASES / kind).glob("*.json"))
    assert found
    return found


def _name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("expectation", _expectations("stat"), ids=_name)
def test_stat(expectation: Path) -> None:
    found = parse_stat(expectation.with_suffix(".txt").read_text())
    assert attrs.asdict(found) == json.loads(expectation.read_text())


@pytest.mark.parametrize(("state", "kernel_thread", "has_memory"), [("S", False, True), ("R", True, False)])
def test_kernel_threads_have_no_memory(state: str, kernel_thread: bool, has_memory: bool) -> None:
    text = (CASES / "stat" / "kernel-thread.txt").read_text().replace(") S ", f") {state} ")
    assert attrs.evolve(parse_stat(text), kernel_thread=kernel_thread).has_memory is has_memory


def test_a_zombie_has_no_memory() -> None:
    assert not parse_stat((CASES / "stat" / "zombie.txt").read_text()).has_memory


@pytest.mark.parametrize("expectation", _expectations("status"), ids=_name)
def test_status(expectation: Path) -> None:
    found = parse_status(expectation.with_suffix(".txt").read_text())
    expected = json.loads(expectation.read_text())
    sets = {name: frozenset(expected[name]) for name in ("allowed_nodes", "allowed_cpus")}
    assert attrs.asdict(found) == expected | sets


def test_status_without_cpusets_allows_no_named_node() -> None:
    text = (CASES / "status" / "6.12.txt").read_text().replace("Mems_allowed_list", "Other_list")
    assert parse_status(text).allowed_nodes == frozenset()


@pytest.mark.parametrize("expectation", _expectations("maps"), ids=_name)
def test_maps(expectation: Path) -> None:
    mappings = parse_maps(expectation.with_suffix(".txt").read_text())
    expected = json.loads(expectation.read_text())
    first = mappings[0]
    assert len(mappings) == expected["mappings"]
    assert [f"{first.start:x}", f"{first.end:x}", first.perms, first.offset, first.device, first.path] == expected[
        "first"
    ]
    assert [f"{mapping.start:x}" for mapping in mappings if mapping.is_tracked] == expected["tracked"]


def _verdicts() -> list[tuple[str, bool]]:
    lines = (CASES / "maps" / "tracked.txt").read_text().split("\n")
    cases = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(line, verdict == "yes") for verdict, _, line in cases]


@pytest.mark.parametrize(("line", "tracked"), _verdicts())
def test_is_tracked(line: str, tracked: bool) -> None:
    (mapping,) = parse_maps(line + "\n")
    assert mapping.is_tracked is tracked


def test_a_path_keeps_its_spaces_and_escapes() -> None:
    text = "7f10-7f20 rw-p 00001000 fe:0a 1311                   /tmp/with  space\\012and newline \n"
    (mapping,) = parse_maps(text)
    assert (mapping.path, mapping.offset, mapping.device, mapping.inode) == (
        "/tmp/with  space\\012and newline ",
        0x1000,
        "fe:0a",
        1311,
    )


def test_no_mappings() -> None:
    assert parse_maps("") == []
    assert parse_smaps("") == []


def test_smaps() -> None:
    uses = parse_smaps((CASES / "smaps" / "swapped-6.12.txt").read_text())
    # Summed up with awk over the same text.
    assert len(uses) == 66
    assert sum(use.rss_kb for use in uses) == 14384
    assert sum(use.referenced_kb for use in uses) == 14384
    assert sum(use.private_dirty_kb for use in uses) == 8300
    assert sum(use.anonymous_kb for use in uses) == 8300
    assert [(use.mapping.end - use.mapping.start, use.swap_kb, use.rss_kb) for use in uses if use.swap_kb] == [
        (4 << 20, 2048, 2048)
    ]
    # The same process's maps, read just before.
    mappings = parse_maps((CASES / "maps" / "python-6.12-hugetlb.txt").read_text())
    assert [use.mapping for use in uses] == mappings


def test_smaps_without_a_line_counts_zero() -> None:
    (use,) = parse_smaps("7f1000000000-7f1000200000 rw-p 00000000 00:00 0 \nRss:   8 kB\n")
    assert (use.rss_kb, use.swap_kb, use.referenced_kb) == (8, 0, 0)
