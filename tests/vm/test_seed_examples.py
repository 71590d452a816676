"""The examples of the user's own description, word for word, with what the kernel says afterwards."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.scenes import MIB, PATIENCE_S, ROOT, Meme, cgroup, meme

AGE = r"""policy -create age -config {"Tracker":{"Name":"softdirty","Config":"{\"PagesInRegion\":256,\"MaxCountPerRegion\":1,\"ScanIntervalMs\":4000,\"RegionsUpdateMs\":0,\"SkipPageProb\":0,\"PagemapReadahead\":0}"},"Mover":{"IntervalMs":20,"Bandwidth":200},"Cgroups":["/sys/fs/cgroup/foobar"],"IntervalMs":5000,"IdleDurationMs":15000,"IdleNumas":[2,3],"ActiveDurationMs":10000,"ActiveNumas":[0,1]} -start"""  # noqa: E501
HEAT = r"""policy -create heat -config {"Tracker":{"Name":"idlepage","Config":"{\"PagesInRegion\":256,\"MaxCountPerRegion\":0,\"ScanIntervalMs\":5000,\"RegionsUpdateMs\":0,\"PagemapReadahead\":0,\"KpageflagsReadahead\":0,\"BitmapReadahead\":0}"},"Heatmap":{"HeatMax":0.01,"HeatRetention":0.8,"HeatClasses":4},"Mover":{"IntervalMs":20,"Bandwidth":200},"Cgroups":["/sys/fs/cgroup/foobar"],"IntervalMs":10000,"HeatNumas":{"0":[2,3],"3":[0,1]}}"""  # noqa: E501
MOVE = (
    '( echo "pages -pid $(pidof meme)"; echo "mover -pages-to 1"; sleep 10; echo "stats"; echo "q" ) | memtierd -prompt'
)
TRACK = (
    '( echo "tracker -create idlepage -start $(pidof meme)"; sleep 10; echo "tracker -counters"; echo "stats" )'
    " | ./memtierd -prompt"
)
WATCH = (
    "(while :; do sleep 5; echo policy -dump accessed 0,5s,30s,10m,2h,24h,0; done)"
    " | memtierd -config memtierd-age-idlepage-trackonly.yaml"
)
USED_MB, IDLE_MB = 4, 16
"""A region of 1 MB may hold some of both."""
START = 0


@pytest.fixture
def load() -> Iterator[Meme]:
    """A meme in the cgroup of the policies' examples, a third of it written all the time."""
    sizes = ("-bs", f"{USED_MB + IDLE_MB}M", "-brs", "0", "-bws", f"{USED_MB}M", "-bwi", "100ms")
    with cgroup("foobar") as group, meme(*sizes, node=START, cgroup=group) as running:
        yield running


def shell(script: str, directory: Path) -> str:
    """Run a script as a user types it, with memtierd and meme in PATH; return what it printed."""
    environment = {**os.environ, "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "ERROR" not in done.stderr, done.stderr
    return done.stdout


def test_pages_are_moved_by_commands_from_a_subshell(load: Meme, tmp_path: Path) -> None:
    said = shell(MOVE, tmp_path)
    assert load.arrays[0].is_on(1), load.arrays[0].spread()
    assert f"move_pages on pid: {load.pid}" in said
    assert re.search(r"to node 1: \d+ pages", said)


def test_accesses_are_tracked_and_recorded_by_commands_from_a_subshell(load: Meme, tmp_path: Path) -> None:
    said = shell(TRACK, ROOT / "bin")
    counts = re.findall(rf"^a=(\d+) r=\d+ w=\d+ AddrRanges\{{pid={load.pid} ranges=", said, re.MULTILINE)
    assert any(int(count) for count in counts)
    assert f"memory scans on pid: {load.pid}" in said
    recorded = "tracker -dump raw new | tee -a raw-events.txt | wc -l"
    commands = [
        f"tracker -create softdirty -config {{scanintervalms: 1000}} -start {load.pid}",
        "tracker -dump raw start",
        recorded,
        recorded,
        "tracker -dump raw stop",
        "stats | grep accessed",
    ]
    said = shell(
        "(" + "".join(f"echo '{command}'; sleep 3; " for command in commands) + ") | memtierd -prompt", tmp_path
    )
    assert "raw access events recording started" in said
    assert "raw access events recording stopped" in said
    assert re.search(r"accessed: \d+ pages", said)
    events = (tmp_path / "raw-events.txt").read_text().splitlines()
    assert len([line for line in events if f" {load.pid} " in line]) > 4


def test_access_times_are_dumped_again_and_again_beside_a_configuration(tmp_path: Path) -> None:
    name = "memtierd-age-idlepage-trackonly.yaml"
    (tmp_path / name).write_text((ROOT / "sample-configs" / name).read_text())
    with cgroup("track-me") as group, meme("-bs", "8M", "-brs", "0", "-bws", "4M", cgroup=group) as running:
        said = shell(f"timeout 30 bash -c '{WATCH}'; true", tmp_path)
    tables = said.split("table: time since last access\n")[1:]
    assert len(tables) >= 2, said
    rows = [line.split() for line in tables[-1].splitlines()[1:]]
    assert {row[0] for row in rows} == {str(running.pid)}
    assert len(rows) == 6
    assert sum(int(row[3]) for row in rows) * 4096 >= 8 * MIB


@pytest.mark.parametrize(("command", "seconds"), [(AGE, 32), (f"{HEAT} -start", 32)], ids=["age", "heat"])
def test_policies_are_made_at_the_prompt(load: Meme, tmp_path: Path, command: str, seconds: int) -> None:
    (tmp_path / "command").write_text(command)
    array = load.arrays[0]
    used, idle = array.part(0, USED_MB * MIB), array.part(USED_MB * MIB, IDLE_MB * MIB)
    shell(f"(cat command; echo; sleep {seconds}; echo q) | memtierd -prompt", tmp_path)
    assert idle.is_on(2, 3), f"used {used.spread()}, idle {idle.spread()}"
    assert used.is_on(0, 1), f"used {used.spread()}, idle {idle.spread()}"


def test_memory_is_summed_up_by_awk_as_the_tip_says(load: Meme, tmp_path: Path) -> None:
    script = (
        'awk \'BEGIN{RS=" ";FS="="}/N[0-9]+/{mem[$1]+=$2}END{for(node in mem){print node" "mem[node]*4/1024" M"}}\''
        " < /proc/$(pidof meme)/numa_maps"
    )
    megabytes = {node: float(size) for node, size in re.findall(r"^(N\d+) ([\d.]+) M$", shell(script, tmp_path), re.M)}
    assert megabytes[f"N{START}"] >= USED_MB + IDLE_MB
    assert load.process.poll() is None
