"""The installed service, run by systemd: started, edited live, inspected, reloaded, found stuck, stopped."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

from tests.vm.scenes import MIB, ROOT, until
from tests.vm.systemd_scene import CONFIG, CONTROL, RUN, SYSTEMD, Systemd, installed, replace_config, systemd

pytestmark = pytest.mark.skipif(
    not SYSTEMD.exists() and os.environ.get("MEMTIERD_VM") != "require", reason="systemd is not installed"
)

EDITED = """
policy:
  name: age
  config:
    intervalms: 1000
    cgroups: [/sys/fs/cgroup/tiered.slice]
    idledurationms: 3000
    idlenumas: [2, 3]
    tracker: {name: idlepage, config: {scanintervalms: 1000, regionsupdatems: 1000}}
"""
TRACKING = """
policy:
  name: age
  config:
    cgroups: [/sys/fs/cgroup/tiered.slice]
    tracker: {name: softdirty, config: {scanintervalms: 1000, regionsupdatems: 1000}}
"""
"""Writes to files of other users' processes in /proc.  DAMON's threads have no pid in the namespace of the test."""


@pytest.fixture(scope="module")
def machine() -> Iterator[Systemd]:
    """Return systemd with the service installed and not started."""
    with installed(), systemd() as running:
        yield running


def ask(machine: Systemd, command: str) -> str:
    return machine("memtierd", "-attach", CONTROL, "-c", command)


def test_the_life_of_a_service(machine: Systemd) -> None:
    first_text = CONFIG.read_text()
    machine("systemctl", "start", "memtierd")
    assert machine.show("ActiveState") == "active"
    assert machine.show("StatusText").startswith("policy age, 0 processes, 0 regions")

    # its own memory stays, and its sandbox takes nothing away
    assert (machine.group() / "memory.swap.max").read_text() == "0\n"
    assert int((machine.group() / "memory.low").read_text()) >= 64 * MIB
    inside = re.findall(r"works here: (.*); missing: ", machine.journal())[-1].split(", ")
    outside = re.findall(r"^(\w+): works: ", machine("memtierd", "-check"), re.MULTILINE)
    assert {"pagemap_pfn", "move_pages", "process_madvise"} <= set(outside)
    assert set(outside) - set(inside) == set()

    # as it was installed it tracks what is put into its slice, and moves nothing
    meme = ("/usr/bin/meme", "-bs", "32M", "-bwc", "0", "-brc", "0")
    machine(*RUN, "--unit=meme", *meme)
    machine.wait_for("StatusText", "policy age, 1 process, [1-9][0-9]* regions?; plan: nothing to move")
    (idle,) = machine.arrays_of("meme.service")
    assert idle.is_on(0, 1)

    # an edit takes effect while it runs, and memory moves within the sandbox
    replace_config(EDITED)
    until("idle memory is on slow nodes", lambda: idle.is_on(2, 3), machine.journal)

    # a wrong one changes nothing and is shown
    replace_config(EDITED.replace("3000", "three"))
    machine.wait_for("StatusText", rf"{CONFIG}:7:21: .*'three'")
    assert machine.show("ActiveState") == "active"
    assert "3000" in ask(machine, "config -path policy.idledurationms")

    # and right again, with a reload
    replace_config(EDITED.replace("3000", "4000"))
    machine("systemctl", "reload", "memtierd")
    machine.wait_for("StatusText", "^policy age, 1 process")
    assert "4000" in ask(machine, "config -path policy.idledurationms")
    assert machine.show("ActiveState") == "active"
    assert machine.show("NRestarts") == "0"

    machine("systemctl", "stop", "memtierd")
    assert machine.show("Result") == "success"
    assert "policy age stopped" in machine.journal()
    machine("systemctl", "stop", "meme.service")
    replace_config(first_text)


def test_a_service_that_is_stuck_is_restarted_and_goes_on(machine: Systemd) -> None:
    first_text = CONFIG.read_text()
    replace_config(TRACKING)
    machine(*RUN, "--unit=busy", "/usr/bin/meme", "-bs", "32M", "-brc", "0", "-bwi", "50ms")
    with machine.changed_unit("[Service]\nWatchdogSec=8s\nTimeoutAbortSec=2s\nRestartSec=100ms\n"):
        machine("systemctl", "start", "memtierd")
        before = machine.show("MainPID")
        machine("systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", "memtierd")
        machine.wait_for("NRestarts", "^1$")
        machine.wait_for("ActiveState", "^active$")
        assert machine.show("MainPID") != before
        until("writes are seen", lambda: written_percent(machine) > 0, machine.journal)
        machine("systemctl", "stop", "memtierd", "busy.service")
    assert "Watchdog timeout (limit 8s)" in machine.journal()
    replace_config(first_text)


def written_percent(machine: Systemd) -> float:
    """Return how much of the memory was written to between scans, 0 before the second one."""
    rows = json.loads(ask(machine, "stats -t memory_scans -f json"))["memory_scans"]
    return max((float(row["accessed_percent"]) for row in rows), default=0.0)


def test_a_wrong_configuration_is_left_for_a_person(machine: Systemd) -> None:
    first_text = CONFIG.read_text()
    replace_config("policy: {name: none-such}\n")
    assert machine.run("systemctl", "start", "memtierd").returncode != 0
    assert machine.show("ActiveState") == "failed"
    assert machine.show("ExecMainStatus") == "3"
    assert machine.show("NRestarts") == "0"
    assert f"{CONFIG}:1:16: " in machine.journal()
    machine("systemctl", "reset-failed", "memtierd")
    replace_config(first_text)


def test_the_unit_says_what_systemd_understands_and_is_as_closed_as_documented(machine: Systemd) -> None:
    unit = "/usr/lib/systemd/system/memtierd.service"
    assert machine("systemd-analyze", "verify", "--man=no", unit) == ""
    told = machine("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    figure = re.search(r"Overall exposure level for memtierd.service: ([0-9.]+)", told)
    documented = re.search(r"says ([0-9.]+), .* \(systemd ([0-9]+)\)", (ROOT / "docs/service.md").read_text())
    assert figure is not None
    assert documented is not None
    if machine("systemctl", "--version").startswith(f"systemd {documented[2]} "):
        assert figure[1] == documented[1]
