"""Examples of the user's own description that need no tracked pages, word for word save for the directory of files."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEADLINE_S = 60.0
MEMTIERD = f"{sys.executable} -m memtierd"
ROUTINES = """
policy:
  name: stub
routines:
- name: statactions
  config: |
    intervalms: 1000
    intervalcommand: ["sh", "-c", "date +%s.%N >> /tmp/statactions-1s-period.txt"]
- name: statactions
  config: |
    intervalms: 5000
    pageoutmb: 3000
    pageoutcommand: ["sh", "-c", "echo 1 > /proc/sys/vm/drop_caches"]
"""
RUNNERS = """
routines:
- name: statactions
  config: |
    intervalms: 200
    intervalcommandrunner: memtier
    intervalcommand: ["stats", "-t", "events"]
- name: statactions
  config: |
    intervalms: 200
    intervalcommandrunner: memtier-prompt
    intervalcommand: ["stats -t process_madvise | awk '/[0-9]+/{print $6}' > /tmp/paged_out.txt"]
"""


def transcript(commands: str) -> str:
    """Return what the prompt prints for commands that come through a pipe."""
    done = subprocess.run(
        f"{MEMTIERD} -prompt",
        shell=True,
        input=commands,
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    )
    assert done.stderr == ""
    return done.stdout


def test_help_and_the_help_of_a_command() -> None:
    said = transcript("help\npages -h\n")
    assert re.search(r"^ *pages +", said, re.MULTILINE)
    assert re.search(r"^  -pid PID", said, re.MULTILINE)


def test_output_goes_through_the_shell_behind_a_pipe() -> None:
    assert transcript("stats | grep accessed\nstats | wc -l\n").strip().isdecimal()


@pytest.mark.root
@pytest.mark.parametrize(
    ("config", "file", "pattern"),
    [
        pytest.param(ROUTINES, "statactions-1s-period.txt", r"(\d+\.\d{9}\n){2,}", id="exec"),
        pytest.param(RUNNERS, "paged_out.txt", r"", id="prompt"),
    ],
)
def test_routines(tmp_path: Path, config: str, file: str, pattern: str) -> None:
    path = tmp_path / "memtierd.yaml"
    path.write_text(config.replace("/tmp", str(tmp_path)))
    with (tmp_path / "out").open("w") as out:
        daemon = subprocess.Popen([sys.executable, "-m", "memtierd", "-config", path], stdout=out, stderr=out)
    try:
        deadline_s = time.monotonic() + DEADLINE_S
        written = tmp_path / file
        while not (written.exists() and re.match(pattern, written.read_text())):
            assert time.monotonic() < deadline_s, (tmp_path / "out").read_text()
            time.sleep(0.05)
    finally:
        daemon.terminate()
        assert daemon.wait(DEADLINE_S) == 0
    said = (tmp_path / "out").read_text()
    assert "Traceback" not in said
    assert ("table: events" in said) == (config is RUNNERS)
