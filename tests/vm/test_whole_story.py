"""The whole story of one service, from its first start to its end, with nothing but what an operator has."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from memtierd.state.encoding import decode
from tests.vm.scenes import MIB, MOST, Memory, until
from tests.vm.systemd_scene import CONFIG, CONTROL, RUN, SYSTEMD, Systemd, installed, replace_config, systemd

pytestmark = pytest.mark.skipif(
    not SYSTEMD.exists() and os.environ.get("MEMTIERD_VM") != "require", reason="systemd is not installed"
)

FLAGS = Path("/etc/default/memtierd")
STATE = Path("/var/lib/memtierd/learned")
FAST, SLOW, OTHER_SLOW = (0, 1), 3, 2
USED_MB, IDLE_MB = 4, 16
UNITS = ("first", "second")
STORY = """
policy:
  name: age
  config:
    intervalms: 1000
    cgroups: [/sys/fs/cgroup/tiered.slice/first.service, /sys/fs/cgroup/tiered.slice/second.service]
    idledurationms: 3000
    idlenumas: [2]
    tracker: {name: idlepage, config: {pagesinregion: 64, scanintervalms: 1000, regionsupdatems: 1000}}
"""
EDITED = STORY.replace("idlenumas: [2]", "idlenumas: [3]").replace("pagesinregion: 64", "pagesinregion: 32")


@attrs.frozen
class Load:
    """A meme in a cgroup of its own, which uses the first part of its memory."""

    pid: int
    """As memtierd numbers it."""
    used: Memory
    idle: Memory


@pytest.fixture(scope="module")
def machine() -> Iterator[Systemd]:
    """Return systemd with the service installed and not started."""
    with installed(), systemd() as running:
        flags = FLAGS.read_text()
        yield running
        FLAGS.write_text(flags)


def test_the_whole_story(machine: Systemd) -> None:
    FLAGS.write_text("MEMTIERD_OPTIONS=-dry-run -state-interval 1s\n")
    replace_config(STORY)
    machine("systemctl", "start", "memtierd")
    loads = [started(machine, unit) for unit in UNITS]
    machine.wait_for("StatusText", r"^policy age \(dry run\), 2 processes, [1-9]")

    # a dry run shows what it would do, and does nothing
    until("the idle memory is planned to go", lambda: is_planned(machine, loads, OTHER_SLOW), machine.journal)
    assert all(load.idle.is_on(*FAST) for load in loads)
    assert ask(machine, "stats -t move_pages -f json") == {"move_pages": []}

    # a good edit takes effect, and nothing that was learned is lost
    ages = [age_s(machine, load) for load in loads]
    replace_config(EDITED)
    until("the idle memory is planned to go elsewhere", lambda: is_planned(machine, loads, SLOW), machine.journal)
    kept = [age_s(machine, load) for load in loads]
    assert all(now >= before > 0 for now, before in zip(kept, ages, strict=True)), (ages, kept)

    # a bad one changes nothing, and is shown where it can be seen
    replace_config(EDITED.replace("3000", "three"))
    machine.wait_for("StatusText", rf"^configuration error: {CONFIG}:7:21: .*'three'.*; policy age")
    assert f"{CONFIG}:7:21: " in "\n".join(row["detail"] for row in ask(machine, "health -f json"))
    assert is_planned(machine, loads, SLOW)
    replace_config(EDITED)
    machine.wait_for("StatusText", r"^policy age \(dry run\), 2 processes")

    # the dry run becomes real
    FLAGS.write_text("")
    assert "error" not in machine("sh", "-c", "printf 'policy -dry-run off\nq\n' | memtierd -prompt")
    until("the idle memory is on the slow node", lambda: all(load.idle.is_on(SLOW) for load in loads), machine.journal)
    assert all(load.used.is_on(*FAST) for load in loads)

    # killed, it comes back with all that it knew a moment ago
    ages = [age_s(machine, load) for load in loads]
    written = events(machine, "state written")
    until("all of that is written", lambda: events(machine, "state written") >= written + 2, machine.journal)
    before = machine.show("MainPID")
    machine("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", "memtierd")
    machine.wait_for("NRestarts", "^1$")
    machine.wait_for("ActiveState", "^active$")
    assert machine.show("MainPID") != before
    until("both processes have their history", lambda: events(machine, "state used") == len(loads), machine.journal)
    kept = [age_s(machine, load) for load in loads]
    assert all(now >= before > 0 for now, before in zip(kept, ages, strict=True)), (ages, kept)
    machine.wait_for("StatusText", "^policy age, 2 processes")
    assert all(load.idle.is_on(SLOW) and load.used.is_on(*FAST) for load in loads)

    # stopped, it leaves what it knows, and nothing else
    at_restart = STATE.stat().st_ino  # now it is written every five minutes
    machine("systemctl", "stop", "memtierd")
    assert machine.show("Result") == "success"
    assert machine.show("ExecMainStatus") == "0"
    assert not CONTROL.exists()
    assert STATE.stat().st_ino != at_restart
    assert {history.key.pid for history in decode(STATE.read_bytes()).histories} == {load.pid for load in loads}


def started(machine: Systemd, unit: str) -> Load:
    """Start a meme in a unit."""
    use = ("-brs", f"{USED_MB}M", "-bri", "50ms", "-bws", "0")
    machine(*RUN, f"--unit={unit}", "/usr/bin/meme", "-bs", f"{USED_MB + IDLE_MB}M", *use)
    (array,) = machine.arrays_of(f"{unit}.service")
    idle = array.part(USED_MB * MIB, IDLE_MB * MIB)
    return Load(int(machine.show("MainPID", f"{unit}.service")), array.part(0, USED_MB * MIB), idle)


def ask(machine: Systemd, command: str) -> Any:
    """Return what a command prints in the running service, which the client finds by itself."""
    return json.loads(machine("memtierd", "-c", command))


def is_planned(machine: Systemd, loads: list[Load], node: int) -> bool:
    """Return whether nearly all of the idle memory, and nothing else, would go to a node."""
    rows = ask(machine, "plan -f json")["processes"]
    arriving = {(row["pid"], int(row["node"])): row["arrive_bytes"] for row in rows if row["arrive_bytes"]}
    enough = all(arriving.get((load.pid, node), 0) >= MOST * load.idle.size for load in loads)
    return enough and {target for _, target in arriving} == {node}


def age_s(machine: Systemd, load: Load) -> float:
    """Return for how long all of the idle memory is known to be idle; regions at its ends are of other memory, too."""
    inner = load.idle.part(MIB, load.idle.size - 2 * MIB)
    rows = ask(machine, f"regions -pid {load.pid} -ranges {inner.start:x}-{inner.end:x} -f json")
    return min(float(row["idle_s"]) for row in rows)


def events(machine: Systemd, name: str) -> int:
    """Return how often something has happened since the service was started."""
    rows = ask(machine, "stats -t events -f json")["events"]
    return sum(int(row["count"]) for row in rows if row["name"] == name)
