"""Drop-ins: files beside the configuration file whose values go before its own."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd import config
from memtierd.config.files import Document, drop_in_directory, drop_in_paths
from memtierd.config.loader import Loader
from memtierd.effective import Effective
from memtierd.errors import ConfigError
from memtierd.policies.age import AgeParams

MAIN = """
policy:
  name: age
  config:
    pids: [1]
    idledurationms: 15000
    idlenumas: [2, 3]
    tracker: {name: grid, config: {pagesinregion: 64, reads: true}}
    mover: {bandwidth: 7}
"""


def documents(*texts: str) -> tuple[Document, ...]:
    names = ["m.yaml", *(f"m.d/{number}.yaml" for number in range(len(texts) - 1))]
    return tuple(map(Document, names, texts))


def params(loader: Loader, *texts: str) -> Any:
    policy = loader.load_documents("m.yaml", documents(*texts)).config.policy
    assert policy is not None
    return policy.params


def problems(loader: Loader, *texts: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loader.load_documents("m.yaml", documents(*texts))
    return caught.value.problems


def test_mappings_merge_and_lists_and_values_replace(loader: Loader) -> None:
    first = "policy: {config: {idledurationms: 1, idlenumas: [9], Tracker: {config: {PagesInRegion: 8}}}}"
    made = params(loader, MAIN, first, "policy: {config: {idle_duration_ms: 2}}")
    assert isinstance(made, AgeParams)
    assert (made.idle_duration_ms, made.idle_numas) == (2, (9,))
    assert made.tracker is not None
    assert (made.tracker.params.pages_in_region, made.tracker.params.reads) == (8, True)
    assert made.mover.bandwidth == 7


def test_a_part_with_another_name_has_nothing_of_the_old_one(loader: Loader) -> None:
    made = params(loader, MAIN, "policy: {config: {tracker: {name: auto}}}")
    assert made.tracker.name == "auto"
    assert made.tracker.params.scan_interval_ms == 5000
    other = loader.load_documents("m.yaml", documents(MAIN, "policy: {name: heat, config: {pids: [2]}}")).config.policy
    assert other is not None
    assert other.name == "heat"
    same = params(loader, MAIN, "policy: {name: age, config: {idledurationms: 3}}")
    assert (same.idle_duration_ms, same.idle_numas) == (3, (2, 3))


@pytest.mark.parametrize(
    "drop_in",
    [
        """policy: {config: '{"IdleDurationMs": 5, "Mover": "{bandwidth: 9}"}'}""",
        "policy:\n  config: |\n    idledurationms: 5\n    mover: {bandwidth: 9}\n",
        "policy: {config: {idledurationms: 5, mover: 'bandwidth: 9'}}",
    ],
)
def test_a_config_may_be_a_text_in_either(loader: Loader, drop_in: str) -> None:
    text = 'policy: {name: age, config: "pids: [1]\\nidlenumas: [2]\\nmover: {intervalms: 3}"}'
    made = params(loader, text, drop_in)
    assert (made.idle_duration_ms, made.idle_numas, made.mover.bandwidth, made.mover.interval_ms) == (5, (2,), 9, 3)


def test_nothing_takes_a_value_back(loader: Loader) -> None:
    text = "policy: {name: age, config: {pids: [1], maxpressure: {memory: 5}}}"
    assert params(loader, text).max_pressure.memory == 5
    assert params(loader, text, "policy: {config: {maxpressure: }}").max_pressure is None


def test_empty_files_say_nothing(loader: Loader) -> None:
    assert params(loader, MAIN, "", "# only a comment\n").idle_duration_ms == 15000
    assert params(loader, "", MAIN).idle_duration_ms == 15000
    assert problems(loader, "", "") == ["m.yaml:1:1: the file is empty, expected a mapping with policy or routines"]


def test_all_errors_of_all_files_have_their_own_places(loader: Loader) -> None:
    text = MAIN.replace("15000", "fast")
    found = problems(
        loader, text, "policy:\n  config: {bogus: 1}\n", "policy: {config: {tracker: {config: {pagesinregion: 0}}}}"
    )
    assert [line.split(": ")[0] for line in found] == ["m.yaml:6:21", "m.d/0.yaml:2:12", "m.d/1.yaml:1:53"]
    assert found[1].startswith("m.d/0.yaml:2:12: policy.config.bogus: unknown key")
    broken = problems(loader, "policy: [", "- 1", "policy: {", MAIN)
    assert [line.split(" ")[0] for line in broken] == ["m.yaml:1:10:", "m.d/0.yaml:1:1:", "m.d/1.yaml:1:10:"]
    assert "got a list, expected a mapping with policy or routines" in broken[1]


def test_the_same_key_twice_in_one_file_is_an_error_and_in_two_files_it_is_not(loader: Loader) -> None:
    twice = "policy: {config: {idledurationms: 1, idle_duration_ms: 2}}"
    (told,) = problems(loader, MAIN, twice)
    assert told.startswith("m.d/0.yaml:1:38: policy.config.idledurationms: the same key as in line 1, column 19,")
    (told,) = problems(loader, MAIN + "    idlenumas: [3]\n", "policy: {config: {idlenumas: [1]}}")
    assert told.startswith("m.yaml:10:5: policy.config.idlenumas: the same key as in line 1, column 19 of m.d/0.yaml,")


def test_the_limits_are_for_all_files_together(loader: Loader) -> None:
    many = "policy: {config: {idlenumas: [" + "1, " * 15000 + "]}}"
    assert "too many values" in problems(loader, many, many)[0]


def test_drop_ins_are_found_beside_the_file_in_the_order_of_their_names(tmp_path: Path) -> None:
    file, directory = tmp_path / "memtierd.yaml", tmp_path / "memtierd.d"
    file.write_text("policy: {name: stub}")
    assert drop_in_directory(str(file)) == str(directory)
    assert drop_in_directory("/etc/plain") == "/etc/plain.d"
    assert drop_in_paths(str(file)) == []
    directory.mkdir()
    for name in ("20-b.yaml", "10-a.yaml", ".hidden.yaml", "note.txt", "9.yaml~", "x.yml"):
        (directory / name).write_text(f"# {name}")
    assert [Path(path).name for path in drop_in_paths(str(file))] == ["10-a.yaml", "20-b.yaml"]
    read = config.read_file(str(file))
    assert [document.path for document in read.documents] == [str(file), *drop_in_paths(str(file))]


def test_what_can_not_be_read_is_told_together(tmp_path: Path) -> None:
    file, directory = tmp_path / "memtierd.yaml", tmp_path / "memtierd.d"
    directory.mkdir()
    (directory / "1.yaml").mkdir()
    (directory / "2.yaml").symlink_to("nowhere")
    (directory / "3.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError) as caught:
        config.read_file(str(file))
    assert [line.removeprefix(str(tmp_path)) for line in caught.value.problems] == [
        f"read configuration '{file}': no such file or directory (ENOENT); give a readable YAML file",
        f"read configuration '{directory}/1.yaml': it is no regular file; give a YAML file",
        f"read configuration '{directory}/2.yaml': no such file or directory (ENOENT); give a readable YAML file",
        "/memtierd.d/3.yaml:1:4: the byte 0xff is not UTF-8, expected text in UTF-8",
    ]
    directory.rename(tmp_path / "elsewhere")
    directory.write_text("no directory")
    file.write_text("policy: {name: stub}")
    with pytest.raises(ConfigError, match=r"memtierd\.d': not a directory \(ENOTDIR\); give a readable directory"):
        config.read_file(str(file))


def test_together_they_may_not_be_bigger_than_one_may(tmp_path: Path) -> None:
    file, directory = tmp_path / "memtierd.yaml", tmp_path / "memtierd.d"
    directory.mkdir()
    file.write_text("policy: {name: stub}\n" + "#" * 600_000)
    (directory / "1.yaml").write_text("#" * 600_000)
    with pytest.raises(ConfigError, match=r"1\.yaml:1:1: the file is too big, expected at most 1024 KiB in all files"):
        config.read_file(str(file))


def test_the_digest_says_whether_anything_is_different(tmp_path: Path) -> None:
    file, directory = tmp_path / "memtierd.yaml", tmp_path / "memtierd.d"
    file.write_text("policy: {name: stub}")
    before = config.read_file(str(file)).digest
    file.touch()
    assert config.read_file(str(file)).digest == before
    directory.mkdir()
    (directory / "1.yaml").write_text("")
    with_drop_in = config.read_file(str(file)).digest
    assert with_drop_in != before
    (directory / "1.yaml").rename(directory / "2.yaml")
    assert config.read_file(str(file)).digest not in (before, with_drop_in)


def test_values_know_the_drop_in_that_they_come_from(tmp_path: Path) -> None:
    file, directory = tmp_path / "memtierd.yaml", tmp_path / "memtierd.d"
    directory.mkdir()
    file.write_text("policy:\n  name: age\n  config: {pids: [1], idledurationms: 1, swapoutms: 3}\n")
    (directory / "1.yaml").write_text("policy:\n  config: {idledurationms: 2}\n")
    read = config.read_file(str(file))
    effective = Effective(policy=read.config.policy, routines=())
    origins = {one.path: one.origin for one in config.effective_settings(effective, read)}
    assert origins["policy.idledurationms"] == f"{directory}/1.yaml:2:28"
    assert origins["policy.swapoutms"] == f"{file}:3:53"
    assert origins["policy.pidwatcher.pids"] == f"{file}:3:18"
    assert origins["policy.intervalms"] == "default"


VALUES = st.fixed_dictionaries(
    {}, optional={"idledurationms": st.integers(0, 9), "swapoutms": st.integers(0, 9), "intervalms": st.integers(1, 9)}
)


@given(layers=st.lists(VALUES, max_size=5))
def test_the_last_file_that_says_something_counts(loader: Loader, layers: list[dict[str, int]]) -> None:
    base = "policy: {name: age, config: {pids: [1]}}"
    texts = [f"policy: {{config: {{{', '.join(f'{key}: {value}' for key, value in one.items())}}}}}" for one in layers]
    together = ", ".join(f"{key}: {value}" for key, value in {k: v for one in layers for k, v in one.items()}.items())
    alone = loader.load_text(base.replace("[1]", f"[1], {together}"), "x").policy
    assert alone is not None
    made = params(loader, base, *texts)
    assert attrs.asdict(made, recurse=False) == attrs.asdict(alone.params, recurse=False)
