"""Processes come and go, and may not use every node."""

from __future__ import annotations

from pathlib import Path

from tests.vm.scenes import CGROUPS, cgroup, meme, memtierd, until

START, SLOW = 1, 3

IDLE = """
policy:
  name: age
  config:
    intervalms: 1000
    pidwatcher:
      name: cgroups
      config: {{cgroups: [{cgroups}], intervalms: 500}}
    idledurationms: 1500
    idlenumas: {nodes}
    retryms: 1000
    retrymaxms: 1000
    tracker:
      name: {tracker}
      config: {{pagesinregion: 64, scanintervalms: {scan_ms}}}
    mover: {{intervalms: 20, bandwidth: 200}}
"""


def idle_meme(size_mb: int) -> tuple[str, ...]:
    return ("-bs", f"{size_mb}M", "-brs", "0", "-bws", "0")


def test_a_cgroup_that_appears_later(tmp_path: Path) -> None:
    name = "memtierd-later"
    config = IDLE.format(cgroups=CGROUPS / name, nodes=[SLOW], tracker="softdirty", scan_ms=700)
    with memtierd(tmp_path, config) as daemon:
        daemon.wait_for(f"WARN: cgroup {CGROUPS / name} does not exist yet")
        with cgroup(name) as group:
            daemon.wait_for(f"no longer: cgroup {CGROUPS / name} does not exist yet")
            with meme(*idle_meme(8), node=START, cgroup=group) as first:
                until("the first process's memory is on the slow node", lambda: first.arrays[0].is_on(SLOW))
                with (
                    cgroup(f"{name}/below") as below,
                    meme(*idle_meme(8), node=START, cgroup=below) as second,
                    meme(*idle_meme(8), node=START) as stranger,
                ):
                    until("a process's memory in a group below", lambda: second.arrays[0].is_on(SLOW))
                    assert stranger.arrays[0].is_on(START)
            daemon.wait_for(f"no longer tracking pid {first.pid}")
            daemon.wait_for(f"no longer tracking pid {second.pid}")


def test_processes_that_exit_while_they_are_scanned_and_moved(tmp_path: Path) -> None:
    with cgroup("memtierd-exits") as group:
        # One scan follows the other at once: every process ends in the middle of one.
        config = IDLE.format(cgroups=group, nodes=[SLOW], tracker="idlepage", scan_ms=1)
        with memtierd(tmp_path, config) as daemon:
            for _ in range(3):
                with meme(*idle_meme(48), node=START, cgroup=group) as load:
                    until("part of its memory was moved", lambda: load.arrays[0].portion(SLOW) > 0.1)
                daemon.wait_for(f"no longer tracking pid {load.pid}")
            with meme(*idle_meme(8), node=START, cgroup=group) as last:
                until("the next process is managed as ever", lambda: last.arrays[0].is_on(SLOW))
                assert not daemon.lines("WARN"), daemon.tail()


def test_nodes_that_a_process_may_not_use(tmp_path: Path) -> None:
    with cgroup("memtierd-some", mems="0,2") as some, cgroup("memtierd-none", mems="0-1") as none:
        config = IDLE.format(cgroups=f"{some}, {none}", nodes=[2, 3], tracker="softdirty", scan_ms=700)
        with (
            meme(*idle_meme(16), node=0, cgroup=some) as free,
            meme(*idle_meme(16), node=0, cgroup=none) as bound,
            memtierd(tmp_path, config) as daemon,
        ):
            until("memory is on the one node that is wanted and allowed", lambda: free.arrays[0].is_on(2))
            warning = f"pid {bound.pid} (meme): idle memory stays where it is"
            daemon.wait_for(warning)
            daemon.let_pass(5, "policy.age.tick")
            assert len(daemon.lines(warning)) == 1, daemon.tail()
            assert bound.arrays[0].is_on(0)
            assert free.arrays[0].portion(3) == 0


def test_what_the_kernel_tells_does_not_wait_for_the_next_poll(tmp_path: Path) -> None:
    name, limit = "memtierd-told", Path("/proc/sys/fs/inotify/max_user_watches")
    config = IDLE.format(cgroups=CGROUPS / name, nodes=[SLOW], tracker="softdirty", scan_ms=700)
    with memtierd(tmp_path, config.replace("intervalms: 500}", "intervalms: 3600000}")) as daemon:
        daemon.wait_for(f"WARN: cgroup {CGROUPS / name} does not exist yet")
        with cgroup(name), cgroup(f"{name}/below") as below:
            with meme(*idle_meme(8), node=START, cgroup=below) as load:
                until("its memory is on the slow node", lambda: load.arrays[0].is_on(SLOW))
            daemon.wait_for(f"no longer tracking pid {load.pid}")
            told, allowed = "watch control groups for changes: no space left on device (ENOSPC)", limit.read_text()
            limit.write_text("1")
            try:
                with cgroup(f"{name}/more"):
                    daemon.wait_for(f"WARN: {told}")
            finally:
                limit.write_text(allowed)
            daemon.wait_for(f"no longer: {told}")  # the group that could not be watched has gone
