"""A configuration that is written out loads to the same one, and files are written in one step."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from memtierd import config
from memtierd.config.loader import Loader
from memtierd.config.plain import to_plain, yaml_text
from memtierd.config.saving import save_text
from memtierd.errors import CommandError, KernelError

CASES = sorted(Path("tests/cases/config/good").glob("age-*.yaml"))
SAMPLES = [*sorted(Path("sample-configs").glob("*.yaml")), *Path("tests/cases/config/good").glob("sample-*.yaml")]


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "all"])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_the_same_when_saved_and_loaded(path: Path, sparse: bool) -> None:
    loaded = config.load_file(str(path))
    assert config.load_text(config.dump_yaml(loaded, sparse=sparse), "saved") == loaded


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "all"])
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_every_good_case_is_the_same_when_saved_and_loaded(path: Path, sparse: bool, loader: Loader) -> None:
    loaded = loader.load_file(str(path))
    text = yaml_text(to_plain(loaded, loader.default_part, sparse=sparse))
    assert loader.load_text(text, "saved") == loaded


DEMOTE = "policy: {name: demote-idle, config: {pids: [7], idlenumas: [1], intervalms: 4000, tracker: {name: idlepage}}}"


def test_a_tracker_with_its_own_defaults_is_not_taken_for_that_of_the_policy() -> None:
    loaded = config.load_text(DEMOTE, "x")
    assert config.load_text(config.dump_yaml(loaded, sparse=True), "saved") == loaded


def test_only_what_is_no_default_is_written() -> None:
    loaded = config.load_text("policy: {name: age, config: {pids: [7], swapoutms: 60000, maxrefault: {}}}", "x")
    assert (
        config.dump_yaml(loaded, sparse=True)
        == """\
policy:
  name: age
  config:
    pidwatcher:
      name: pidlist
      config:
        pids: [7]
    maxrefault: {}
    swapoutms: 60000
"""
    )


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "null",
        "~",
        "12",
        "1e3",
        "a: b",
        "- x",
        "# no comment",
        "",
        " space ",
        "two\nlines\n",
        'quo"te',
        "back\\slash",
        "tab\t",
        "\x7f\x80\u2028\ufeff",
        "\U0001f600",
        "/sys/fs/cgroup/a b",
        "true",
        ".inf",
    ],
)
def test_every_text_comes_back(value: str) -> None:
    text = {"name": "statactions", "config": {"intervalms": 5, "intervalcommand": ["x", value]}}
    loaded = config.load_text(yaml_text({"routines": [text]}), "x")
    assert loaded.routines[0].params.interval_command == ("x", value)


@pytest.mark.parametrize(
    ("plain", "written"),
    [
        ({}, "{}\n"),
        ({"a": [1, 2.5, True, None]}, "a: [1, 2.5, true, null]\n"),
        ({"a": [{"b": [], "c": {}}, {}]}, "a:\n  - b: []\n    c: {}\n  - {}\n"),
        ({"a": {"b": {"c": "text"}}}, "a:\n  b:\n    c: text\n"),
    ],
)
def test_plain_data_as_text(plain: Any, written: str) -> None:
    assert yaml_text(plain) == written


def test_a_new_file_is_written_and_another_one_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    save_text(str(file), "one\n", overwrite=False)
    assert file.read_text() == "one\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    with pytest.raises(CommandError, match=r"the file exists; -force overwrites it"):
        save_text(str(file), "two\n", overwrite=False)
    assert file.read_text() == "one\n"
    assert os.listdir(tmp_path) == ["a.yaml"]


def test_an_overwritten_file_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "a.yaml", tmp_path / "link"
    file.write_text("one\n")
    file.chmod(0o640)
    link.symlink_to(file)
    inode = file.stat().st_ino
    save_text(str(link), "two\n", overwrite=True)
    assert link.is_symlink()
    assert file.read_text() == "two\n"
    assert file.stat().st_ino != inode, "written in place: a reader could have seen half of it"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ["a.yaml", "link"]


@pytest.mark.parametrize("path", ["/nonexistent/a.yaml", "/proc/a.yaml"])
def test_a_directory_that_takes_no_file_is_told(path: str) -> None:
    with pytest.raises(KernelError, match=r"^save configuration '/.*/a.yaml': .* \(ENOENT\)"):
        save_text(path, "x", overwrite=True)


def test_a_path_that_is_none_is_told() -> None:
    with pytest.raises(CommandError, match="null"):
        save_text("a\0b", "x", overwrite=True)
