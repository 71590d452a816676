"""The prompt over a pipe against a real process: what it says is compared with what the kernel says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMTIERD = [sys.executable, "-m", "memtierd"]
ARRAY_PAGES = 8192


@pytest.fixture(scope="module")
def meme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the exerciser, compiled."""
    path = tmp_path_factory.mktemp("prompt") / "meme"
    subprocess.run([sys.executable, "memtierd/meme/build.py", str(path)], check=True)
    return path


@pytest.fixture
def idle(meme: Path) -> Iterator[tuple[int, int]]:
    """Run a process with an idle array of 32 MB; return its pid and the address of the array."""
    flags = ["-bs", "32M", "-brc", "0", "-bwc", "0", "-ttl", "10m"]
    process = subprocess.Popen([str(meme), *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = 0
    for line in process.stdout:
        if found := re.match(r"    array: ([0-9a-f]+)-", line):
            address = int(found[1], 16)
            break
    yield process.pid, address
    process.kill()
    process.communicate()


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*MEMTIERD, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr + done.stdout
    return done


def kb_of(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def test_help_over_a_pipe_has_no_prompt() -> None:
    done = run("-prompt", stdin="help | head -1\nnop -h")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Commands:\nnop: do nothing\n", "")


def test_statuses() -> None:
    assert run("-c", "nop\nhelp").returncode == 0
    assert run("-c", "pages\nnop").returncode == 1
    assert run("-c", "nop -x").returncode == 2
    assert run("-c", "nop | exit 7").returncode == 7


def test_nobody_reads_our_output() -> None:
    writer = subprocess.Popen(
        [*MEMTIERD, "-prompt"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None
    writer.stdout.close()
    writer.stdout = None
    _, err = writer.communicate(b"help\n" * 100, timeout=60)
    assert (writer.returncode, err) == (0, b"")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="page frame numbers need root")
def test_selecting_and_moving_pages(idle: tuple[int, int]) -> None:
    pid, address = idle
    done = run(
        "-prompt",
        stdin=f"pages -pid {pid} -ranges {address:x}+32M\npages\nmover -pages-to 0\nmover -wait -timeout 30s\n"
        f"stats -t outcomes -f json\npages -pid {pid} -attrs Present,NotDirty,Dirty\nq\nhelp\n",
    )
    lines = done.stdout.splitlines()
    assert lines[2] == "using 1 address ranges"
    assert lines[4] == f"pages = <{ARRAY_PAGES} pages of pid {pid}>"
    assert lines[5] == f"pages of pid {pid}"
    assert sum(int(line.split()[-1]) for line in lines[6:] if line.startswith("node ")) == ARRAY_PAGES
    assert "mover wait received: AllDone" in lines
    outcomes = json.loads(done.stdout[done.stdout.index("{") : done.stdout.rindex("}") + 1])["outcomes"]
    assert sum(value for name, value in outcomes[0].items() if name != "pid") == ARRAY_PAGES
    assert lines[-1] == "quit."
    assert done.stderr == "pages: flag -attrs: no page is both Dirty and NotDirty: Present,NotDirty,Dirty\n"


def test_what_pages_and_pagemap_say_of_the_array(idle: tuple[int, int]) -> None:
    pid, address = idle
    done = run("-c", f"pages -pid {pid} -ranges {address:x}+32M -pr 1\npages -pid {pid} -ranges {address:x}+8k -pm 9")
    assert f"{address:x}-{address + (32 << 20):x} ({32 << 20} B)" in done.stdout
    entries = [line for line in done.stdout.splitlines() if ": bits: " in line]
    assert [int(line.split(":")[0], 16) for line in entries] == [address, address + 4096]
    assert all(line.split()[2].endswith("1") for line in entries)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="swapping others out needs root")
@pytest.mark.skipif(len(Path("/proc/swaps").read_text(encoding="utf-8").splitlines()) < 2, reason="there is no swap")
def test_swapping_out_and_in_is_what_the_kernel_counts(idle: tuple[int, int]) -> None:
    pid, address = idle
    done = run("-c", f"swap -pid {pid} -ranges {address:x}+32M -out -status -vaddrs\nstats -t process_madvise -f json")
    assert done.returncode == 0
    assert kb_of(pid, "VmSwap") == ARRAY_PAGES * 4
    assert f"{pid} {ARRAY_PAGES} / {ARRAY_PAGES} pages, 32 / 32 MB (100.0 %) swapped out" in done.stdout
    assert f"{address:x}-{address + (32 << 20):x} ({32 << 20} B)" in done.stdout
    assert f'"pageout_gb": {32 / 1024}' in done.stdout
    back = run("-c", f"swap -pid {pid} -in")
    assert (back.returncode, kb_of(pid, "VmSwap")) == (0, 0)
    assert back.stdout == f"pid {pid}: swapped in {ARRAY_PAGES} pages (32 MB), 0 pages (0 B) stay swapped out\n"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="tracking others needs root")
def test_tracking_by_hand(idle: tuple[int, int]) -> None:
    pid, address = idle
    until_scanned = f"tracker -counters | grep -q pid={pid} || sleep 1\n" * 8
    done = run(
        "-prompt",
        stdin=f"tracker -create auto -start {pid}\n{until_scanned}regions -pid {pid} -f json\n"
        f"regions -why {address:x}\nstats -t memory_scans -f csv | tail -1 | cut -d, -f1\n",
    )
    assert "tracker started" in done.stdout
    regions = json.loads(done.stdout[done.stdout.index("[\n") : done.stdout.rindex("\n]") + 2])
    holding = [r for r in regions if int(r["start"], 16) < address + (32 << 20) and int(r["end"], 16) > address]
    assert sum(r[name] for r in holding for name in r if name.startswith("node")) == ARRAY_PAGES
    assert f"of pid {pid} (meme)" in done.stdout
    assert done.stdout.splitlines()[-1] == str(pid)
