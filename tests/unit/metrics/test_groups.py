"""Groups of processes: control groups or names, few, and steady."""

from pathlib import Path

import attrs
import pytest

from memtierd.linux.roots import Roots
from memtierd.metrics.groups import OTHER, Groups, group_below
from tests.unit.regions.region_samples import facts_of


@pytest.mark.parametrize(
    ("directories", "text", "expected"),
    [
        (["/sys/fs/cgroup/a"], "0::/a\n", "/sys/fs/cgroup/a"),
        (["/sys/fs/cgroup/a/"], "0::/a/b/c\n", "/sys/fs/cgroup/a/b/c"),
        (["/sys/fs/cgroup/a", "/sys/fs/cgroup/a/b"], "0::/a/b/c\n", "/sys/fs/cgroup/a/b/c"),
        (["/sys/fs/cgroup/memory/a"], "5:memory:/a/b\n4:cpu,cpuacct:/x\n0::/y\n", "/sys/fs/cgroup/memory/a/b"),
        (["/sys/fs/cgroup/a:b"], "0::/a:b/c\n", "/sys/fs/cgroup/a:b/c"),
        (["/sys/fs/cgroup/a"], "0::/aa\n", None),
        (["/sys/fs/cgroup/a"], "0::/\n", None),
        (["/sys/fs/cgroup/a"], "", None),
        ([], "0::/a\n", None),
    ],
)
def test_the_group_of_a_process_is_found_below_what_is_watched(
    directories: list[str], text: str, expected: str | None
) -> None:
    assert group_below(directories, text) == expected


class Clock:
    """Time that stands still until it is set."""

    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def test_without_watched_groups_it_is_the_name_on_one_line(tmp_path: Path) -> None:
    groups = Groups(Roots(proc=str(tmp_path)), Clock())
    one, two = facts_of(1), attrs.evolve(facts_of(2), name="a\nb")
    assert groups.of([one, two], ()) == {one.key: "program1", two.key: "a\\nb"}
    renamed = attrs.evolve(one, name="other program")
    assert groups.of([renamed], ()) == {one.key: "other program"}, "it has executed another program"


def test_a_process_that_is_moved_or_has_gone(tmp_path: Path) -> None:
    clock = Clock()
    groups, one = Groups(Roots(proc=str(tmp_path)), clock), facts_of(1)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "cgroup").write_text("0::/a/b\n")
    watched = ("/cg/a",)
    assert groups.of([one], watched) == {one.key: "/cg/a/b"}
    (tmp_path / "1" / "cgroup").write_text("0::/a/c\n")
    clock.now_ns += 1_000_000_000
    assert groups.of([one], watched) == {one.key: "/cg/a/b"}, "it is not asked for every time"
    clock.now_ns += 60_000_000_000
    assert groups.of([one], watched) == {one.key: "/cg/a/c"}
    (tmp_path / "1" / "cgroup").unlink()
    (tmp_path / "1").rmdir()
    clock.now_ns += 60_000_000_000
    assert groups.of([one], watched) == {one.key: "program1"}


def test_groups_are_few_and_keep_their_places(tmp_path: Path) -> None:
    groups = Groups(Roots(proc=str(tmp_path)), Clock(), most=2)
    one, two, three = facts_of(1), facts_of(2), facts_of(3)
    named = {one.key: "program1", two.key: "program2", three.key: OTHER}
    assert groups.of([one, two, three], ()) == named
    assert groups.of([three, two, one], ()) == named, "the order is no matter"
    assert groups.of([three, two], ()) == {two.key: "program2", three.key: "program3"}, "a place came free"
    assert groups.of([one, two, three], ())[one.key] == OTHER
