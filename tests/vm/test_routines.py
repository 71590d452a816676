"""Routines beside each other with all runners: at every interval, and after so many megabytes in swap."""

from __future__ import annotations

from pathlib import Path

from tests.vm.scenes import MIB, Memory, Memtierd, compressed_swap, meme, memtierd, swapped_kb, until

CONFIG = """
routines:
- name: statactions
  config:
    intervalms: 400
    intervalcommand: [sh, -c, "echo x >> {directory}/interval"]
    pageoutmb: 8
    pageoutcommand: [sh, -c, "echo x >> {directory}/pageout"]
- name: statactions
  config:
    intervalms: 400
    pageoutmb: 8
    pageoutcommand: [log, -i, "8 MB more are in swap"]
    pageoutcommandrunner: memtier
- name: statactions
  config: |
    intervalms: 400
    intervalcommand: ["stats -t process_madvise -f csv | tail -n 1 > {directory}/stats"]
    intervalcommandrunner: memtier-prompt
    pageoutmb: 8
    pageoutcommand: ["nop | echo x >> {directory}/prompt-pageout"]
    pageoutcommandrunner: memtier-prompt
- name: statactions
  config: {{intervalms: 400, intervalcommand: [sleep, "10000"]}}
"""


def lines(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def swap_out(daemon: Memtierd, memory: Memory) -> int:
    """Swap memory out and return the kernel's count of what is in swap, in MB, once all routines have looked."""
    daemon.ask(f"swap -pid {memory.pid} -out -ranges {memory.start:x}-{memory.end:x}")
    for number in (1, 2, 3):
        daemon.let_pass(2, f"routine.statactions.{number}.tick")
    return swapped_kb(memory.pid) // 1024


def test_all_runners_at_every_interval_and_after_so_many_swapped_megabytes(tmp_path: Path) -> None:
    with compressed_swap(64), meme("-bs", "32M", "-brs", "0", "-bws", "0") as load:
        array = load.arrays[0]

        def runs(daemon: Memtierd) -> list[int]:
            """Count the runs of pageoutcommand by what they left behind."""
            return [
                lines(tmp_path / "pageout"),
                len(daemon.lines("INFO: 8 MB more are in swap")),
                lines(tmp_path / "prompt-pageout"),
            ]

        with memtierd(tmp_path, CONFIG.format(directory=tmp_path)) as daemon:
            daemon.wait_for("routine 4 statactions started")
            counted = swap_out(daemon, array.part(0, 12 * MIB))
            assert counted >= 8, counted
            until("each ran once", lambda: runs(daemon) == [1, 1, 1], lambda: runs(daemon))
            more = swap_out(daemon, array.part(12 * MIB, 5 * MIB)) - counted
            assert 0 < more < 8, more
            assert runs(daemon) == [1, 1, 1]
            assert swap_out(daemon, array.part(17 * MIB, 5 * MIB)) - counted >= 8
            until("each ran twice", lambda: runs(daemon) == [2, 2, 2], lambda: runs(daemon))
            # The statistics that the third routine wrote are those of this process.
            until("stats", lambda: (tmp_path / "stats").read_text().startswith(f"{load.pid},"))
            events = {row["name"]: int(row["count"]) for row in daemon.table("events")}
            assert lines(tmp_path / "interval") - events["routine.statactions.1.intervalcommand"] in (0, 1, 2)
            assert events["routine.statactions.4.tick"] == 1
            assert daemon.terminate(patience_s=30) == 0
        assert "WARN: routine" not in daemon.log.read_text()
