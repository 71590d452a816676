"""Where the values of a configuration come from."""

import attrs
import pytest

from memtierd import config
from memtierd.config.files import Document
from memtierd.config.loader import ConfigFile
from memtierd.effective import Effective
from memtierd.errors import ConfigError
from memtierd.mover import MoverParams
from memtierd.parameters import Part
from memtierd.watchers import PidlistParams

TEXT = """\
policy:
  name: age
  config:
    cgroups: [/sys/fs/cgroup/a]
    IdleDurationMs: 15000
    idlenumas: auto
    tracker:
      name: softdirty
      config: '{"PagesInRegion": 256, "scan_interval_ms": 300}'
    mover: |
      bandwidth: 200
    maxrefault:
      percent: 30
routines:
  - name: statactions
    config:
      intervalms: 1000
      intervalcommand: [date]
"""


def loaded(text: str) -> ConfigFile:
    return ConfigFile("f.yaml", (Document("f.yaml", text),), config.load_text(text, "f.yaml"))


def in_force(file: ConfigFile) -> Effective:
    return Effective(policy=file.config.policy, routines=file.config.routines)


def origins(effective: Effective, file: ConfigFile | None) -> dict[str, str]:
    """Return the origin of every value."""
    return {setting.path: setting.origin for setting in config.effective_settings(effective, file)}


def test_what_a_file_gives_comes_from_its_place() -> None:
    file = loaded(TEXT)
    found = origins(in_force(file), file)
    assert {path: origin for path, origin in found.items() if origin != "default"} == {
        "policy.name": "f.yaml:2:9",
        "policy.pidwatcher.name": "f.yaml:4:14",
        "policy.pidwatcher.cgroups": "f.yaml:4:14",
        "policy.tracker.name": "f.yaml:8:13",
        "policy.tracker.pagesinregion": "f.yaml:9:34",
        "policy.tracker.scanintervalms": "f.yaml:9:59",
        "policy.mover.bandwidth": "f.yaml:11:18",
        "policy.maxrefault.percent": "f.yaml:13:16",
        "policy.idledurationms": "f.yaml:5:21",
        "policy.idlenumas": "f.yaml:6:16",
        "routines.0.name": "f.yaml:15:11",
        "routines.0.intervalms": "f.yaml:17:19",
        "routines.0.intervalcommand": "f.yaml:18:24",
    }


def test_every_value_has_an_origin_and_a_default_written_out_comes_from_the_file() -> None:
    file = loaded(TEXT + "      pageoutmb: 0\n")
    settings = config.effective_settings(in_force(file), file)
    assert {"policy.swapoutms", "policy.maxrefault.windowms", "policy.mover.busyretries"} <= {s.path for s in settings}
    assert origins(in_force(file), file)["routines.0.pageoutmb"] == "f.yaml:19:18"


def test_a_value_that_differs_from_the_file_comes_from_the_prompt_also_when_it_is_a_default() -> None:
    file = loaded(TEXT)
    assert file.config.policy is not None
    params = attrs.evolve(file.config.policy.params, idle_duration_ms=0, swap_out_ms=7, mover=MoverParams(bandwidth=5))
    found = origins(Effective(policy=Part("age", params)), file)
    assert found["policy.idledurationms"] == "prompt"
    assert found["policy.swapoutms"] == "prompt"
    assert found["policy.mover.bandwidth"] == "prompt"
    assert found["policy.idlenumas"] == "f.yaml:6:16"
    assert found["policy.retryms"] == "default"


def test_a_part_that_has_another_name_owes_nothing_to_the_file() -> None:
    file = loaded(TEXT)
    assert file.config.policy is not None
    params = attrs.evolve(
        file.config.policy.params, tracker=Part("idlepage", config.structure("tracker", "idlepage", TRACKER, "x"))
    )
    found = origins(Effective(policy=Part("age", params)), file)
    assert found["policy.tracker.name"] == "prompt"
    assert found["policy.tracker.pagesinregion"] == "prompt"
    assert found["policy.tracker.maxcountperregion"] == "default"
    assert found["policy.pidwatcher.cgroups"] == "f.yaml:4:14"


TRACKER = "{pagesinregion: 256}"


def test_without_a_file_everything_is_a_default_or_from_the_prompt() -> None:
    params = config.structure("policy", "age", "pids: [7]\nswapoutms: 5\nmaxpressure: {io: 3}\n", "x")
    found = origins(Effective(policy=Part("age", params)), None)
    assert {path for path, origin in found.items() if origin == "prompt"} == {
        "policy.name",
        "policy.pidwatcher.name",
        "policy.pidwatcher.pids",
        "policy.swapoutms",
        "policy.maxpressure.io",
    }
    assert {found[path] for path in ("policy.tracker.name", "policy.maxpressure.memory")} == {"default"}


def test_the_default_of_a_tracker_is_that_of_its_policy() -> None:
    text = "pids: [7]\nidlenumas: [1]\nintervalms: 4000\n"
    params = config.structure("policy", "demote-idle", text, "x")
    found = origins(Effective(policy=Part("demote-idle", params)), None)
    assert found["policy.tracker.name"] == "default"
    assert found["policy.tracker.scanintervalms"] == "default"


def test_parts_of_no_policy_are_told_beside_it() -> None:
    effective = Effective(pidwatcher=Part("pidlist", PidlistParams(pids=(7,))), mover=MoverParams())
    found = origins(effective, None)
    assert found["pidwatcher.pids"] == "prompt"
    assert found["mover.bandwidth"] == "default"


def test_a_policy_without_parameters_is_only_a_name() -> None:
    assert origins(Effective(policy=Part("age", None)), None) == {"policy.name": "prompt"}


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_places_are_the_same_with_other_line_ends(end: str) -> None:
    file = loaded("\ufeff" + TEXT.replace("\n", end))
    assert origins(in_force(file), file)["policy.mover.bandwidth"] == "f.yaml:11:18"


def test_numbered_entries_have_places() -> None:
    text = """\
policy:
  name: heat
  config:
    heatnumas:
      0: [2]
      9: [0]
    pidwatcher:
      name: filter
      config:
        source: {name: proc}
        filters:
          - minvmrsskb: 5
          - not: {procexeregexp: x}
"""
    file = loaded(text)
    found = origins(in_force(file), file)
    assert found["policy.heatnumas.9"] == "f.yaml:6:10"
    assert found["policy.pidwatcher.source.name"] == "f.yaml:10:24"
    assert found["policy.pidwatcher.filters.0.minvmrsskb"] == "f.yaml:12:25"
    assert found["policy.pidwatcher.filters.1.not.procexeregexp"] == "f.yaml:13:34"


def test_the_places_are_those_that_a_problem_there_would_have() -> None:
    wrong = TEXT.replace("256", "256x")
    with pytest.raises(ConfigError) as raised:
        loaded(wrong)
    (line,) = raised.value.problems
    file = loaded(TEXT)
    assert line.startswith(origins(in_force(file), file)["policy.tracker.pagesinregion"] + ":")
