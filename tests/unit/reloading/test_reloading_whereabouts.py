"""Which directories have to be watched for a path, and when its files may have changed."""

import os
from pathlib import Path

from memtierd.reloading.whereabouts import mark, watch_plan


def test_a_plain_file_is_watched_in_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "memtierd.yaml"
    assert watch_plan(str(file)) == {str(tmp_path): frozenset(("memtierd.yaml", "memtierd.d"))}
    file.touch()
    assert watch_plan(str(file)) == {str(tmp_path): frozenset(("memtierd.yaml", "memtierd.d"))}
    drop_ins = tmp_path / "memtierd.d"
    drop_ins.mkdir()
    assert watch_plan(str(file)) == {
        str(tmp_path): frozenset(("memtierd.yaml", "memtierd.d")),
        str(drop_ins): None,
    }


def test_where_something_is_missing_its_parent_is_watched(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "memtierd.yaml"
    assert watch_plan(str(file)) == {str(tmp_path): frozenset(("a",))}
    (tmp_path / "a").mkdir()
    assert watch_plan(str(file)) == {str(tmp_path / "a"): frozenset(("b",))}


def test_a_mounted_config_map_is_watched_where_its_link_is_swapped(tmp_path: Path) -> None:
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "memtierd.yaml").touch()
    (tmp_path / "..data").symlink_to("..1")
    file = tmp_path / "memtierd.yaml"
    file.symlink_to("..data/memtierd.yaml")
    plan = watch_plan(str(file))
    assert plan[str(tmp_path)] == frozenset(("memtierd.yaml", "..data", "memtierd.d"))
    assert plan[str(tmp_path / "..1")] == frozenset(("memtierd.yaml",))
    before = mark(str(file))
    (tmp_path / "new").symlink_to("..2")
    (tmp_path / "new").rename(tmp_path / "..data")
    assert mark(str(file)) != before
    assert str(tmp_path / "..2") in watch_plan(str(file))


def test_links_elsewhere_are_followed(tmp_path: Path) -> None:
    real = tmp_path / "real" / "deep"
    real.mkdir(parents=True)
    (real / "r.yaml").touch()
    other = tmp_path / "etc"
    other.mkdir()
    (other / "memtierd.yaml").symlink_to(real / "r.yaml")
    (other / "memtierd.d").symlink_to("../real/deep")
    assert watch_plan(str(other / "memtierd.yaml")) == {
        str(other): frozenset(("memtierd.yaml", "memtierd.d")),
        str(real.parent): frozenset(("deep",)),
        str(real): None,
    }


def test_a_ring_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b")
    (tmp_path / "b").symlink_to("a.yaml")
    assert str(tmp_path) in watch_plan(str(tmp_path / "a.yaml"))


def test_the_mark_tells_every_kind_of_change(tmp_path: Path) -> None:
    file, drop_ins = tmp_path / "memtierd.yaml", tmp_path / "memtierd.d"
    seen = [mark(str(file))]

    def note() -> None:
        now = mark(str(file))
        assert now == mark(str(file))
        assert now not in seen
        seen.append(now)

    file.write_text("a")
    note()
    os.utime(file, ns=(1, 1))
    note()
    file.write_text("bb")
    note()
    (tmp_path / "x").write_text("bb")
    (tmp_path / "x").rename(file)
    note()
    drop_ins.mkdir()
    (drop_ins / "1.yaml").touch()
    note()
    (drop_ins / "2.yaml").symlink_to("nowhere")
    note()
    (drop_ins / "1.yaml").unlink()
    note()
