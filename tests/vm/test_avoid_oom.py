"""The avoid-oom policy: a node that runs short is freed up to its upper watermark, and nobody is killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.vm.scenes import MIB, PAGE, cgroup, meme, memtierd, until

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
UNUSED = ("-brs", "0", "-bws", "0")


def available_mb(node: int) -> float:
    """Return what a node could give without swapping."""
    text = Path(f"/sys/devices/system/node/node{node}/meminfo").read_text()
    kb = {name: int(value) for name, value in re.findall(r"([\w()]+): +([0-9]+) kB", text)}
    return (kb["MemFree"] + kb["SReclaimable"] + 0.8 * kb["Inactive(file)"]) / 1024


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
        kills_before = kills()
        group = stack.enter_context(cgroup("avoid-oom", mems=f"{OTHER},{FULL}"))
        at_first_mb = available_mb(FULL)
        start_mb, stop_mb = int(at_first_mb) - 80, int(at_first_mb) - 60
        assert available_mb(OTHER) > stop_mb + 40, "the other node has too little to spare for this test"
        safe = stack.enter_context(meme("-bs", "56M", *UNUSED, node=FULL, cgroup=group))
        config = CONFIG.format(cgroup=group, start_mb=start_mb, stop_mb=stop_mb)
        daemon = stack.enter_context(memtierd(tmp_path, config))
        daemon.let_pass(3, "policy.avoid-oom.tick")
        assert safe.arrays[0].portion(FULL) == 1, "nothing moves above the lower watermark"

        def where() -> str:
            parts = [f"{name} {process.arrays[0].spread()}" for name, process in processes.items()]
            return f"available {available_mb(FULL):.0f} MB of {start_mb}–{stop_mb}, {', '.join(parts)}; {daemon.tail()}"

        processes = {"safe": safe}
        with oom_score_adj(500):
            first = stack.enter_context(meme("-bs", "40M", *UNUSED, node=FULL, cgroup=group))
        processes["first"] = first
        until("the upper watermark is reached", lambda: available_mb(FULL) >= stop_mb, where)
        daemon.let_pass(3, "policy.avoid-oom.tick")
        assert available_mb(FULL) >= stop_mb - 1, where()
        moved_mb = first.arrays[0].spread()[OTHER] * PAGE / MIB
        missing_mb = 56 + 40 - 60
        assert 0.85 * missing_mb <= moved_mb <= 1.1 * missing_mb, where()
        assert safe.arrays[0].portion(FULL) == 1, where()

        # Memory that comes later is no different.
        processes["later"] = stack.enter_context(meme("-bs", "28M", *UNUSED, node=FULL, cgroup=group))
        until("it is freed again", lambda: available_mb(FULL) >= stop_mb, where)
        assert available_mb(OTHER) >= stop_mb - 1, where()
        assert first.arrays[0].is_on(OTHER), where()
        events = (group / "memory.events").read_text()
        assert re.search(r"^oom_kill 0$", events, re.MULTILINE), events
        assert kills() == kills_before
