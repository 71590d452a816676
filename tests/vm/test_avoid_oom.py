"""The avoid-oom policy: a node that runs short is freed up to its upper watermark, and nobody is killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.vm.scenes import PAGE, Memory, cgroup, meme, memtierd, until

FULL, OTHER = 3, 2

CONFIG = """
policy:
  name: avoid-oom
  config:
    intervalms: 1000
    cgroups: [{cgroup}]
    startfreeingmemory: {start_mb}M
    stopfreeingmemory: {stop_mb}M
    tracker:
      name: finder
      config: {{pagesinregion: 64, scanintervalms: 1000, regionsupdatems: 1000}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


def available_mb(node: int) -> float:
    """Return what a node could give without swapping, with the free pages that its zones lend to CPUs."""
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    kb = {name: int(value) for name, value in re.findall(r"([\w()]+): +([0-9]+) kB", text)}
    zones = re.split(r"^Node +", Path("/proc/zoneinfo").read_text(), flags=re.MULTILINE)
    of_node = "".join(zone for zone in zones if zone.startswith(f"{node},"))
    lent_kb = sum(int(count) for count in re.findall(r"\bcount: +([0-9]+)", of_node)) * PAGE // 1024
    return (kb["MemFree"] + lent_kb + kb["SReclaimable"] + 0.8 * kb["Inactive(file)"]) / 1024


def kills() -> int:
    """Return how many processes the kernel has killed for want of memory."""
    match = re.search(r"^oom_kill ([0-9]+)$", Path("/proc/vmstat").read_text(), re.MULTILINE)
    assert match is not None
    return int(match[1])


@contextmanager
def oom_score_adj(value: int) -> Iterator[None]:
    """Let processes that are started in the block begin with a higher OOM score."""
    path = Path("/proc/self/oom_score_adj")
    before = path.read_text()
    path.write_text(str(value))
    try:
        yield
    finally:
        path.write_text(before)


def test_a_node_that_runs_short_is_freed_of_the_memory_that_would_be_killed_first(tmp_path: Path) -> None:
    with ExitStack() as stack:

        def fill(size_mb: int, cgroup: Path | None = None) -> Memory:
            load = meme("-bs", f"{size_mb}M", "-brs", "0", "-bws", "0", node=FULL, cgroup=cgroup)
            return stack.enter_context(load).arrays[0]

        kills_before = kills()
        group = stack.enter_context(cgroup("avoid-oom", mems=f"{OTHER},{FULL}"))
        safe = fill(60, group)
        with oom_score_adj(500):
            first = fill(56, group)
        start_mb, stop_mb = int(available_mb(FULL)) - 40, int(available_mb(FULL)) - 24
        config = CONFIG.format(cgroup=group, start_mb=start_mb, stop_mb=stop_mb)
        daemon = stack.enter_context(memtierd(tmp_path, config))
        daemon.let_pass(3, "policy.avoid-oom.tick")
        assert (safe.portion(FULL), first.portion(FULL)) == (1, 1), "nothing moves above the lower watermark"

        def where() -> str:
            nodes = ", ".join(f"node {node}: {available_mb(node):.0f} MB available" for node in (OTHER, FULL))
            parts = f"safe {safe.spread()}, first {first.spread()}"
            return f"{nodes}, watermarks {start_mb} and {stop_mb} MB; {parts}; {daemon.tail()}"

        # The node is filled by a process that is not managed.
        fill(60)
        until("the upper watermark is reached", lambda: available_mb(FULL) >= stop_mb, where)
        daemon.let_pass(3, "policy.avoid-oom.tick")
        assert first.portion(FULL) < 0.7, where()
        assert first.portion(FULL) > 0, where()
        assert first.portion(FULL, OTHER) == 1, where()
        assert safe.portion(FULL) == 1, where()

        # More than the first has left there.
        fill(48)
        until("the upper watermark is reached again", lambda: available_mb(FULL) >= stop_mb, where)
        assert first.is_on(OTHER), where()
        assert 0.1 < safe.portion(FULL) < 1, where()
        assert available_mb(OTHER) >= stop_mb, where()
        assert re.search(r"^oom_kill 0$", (group / "memory.events").read_text(), re.MULTILINE)
        assert kills() == kills_before
