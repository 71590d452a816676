"""The configuration changes while memory is being managed: at once, with what was learned, and nothing moves twice."""

from __future__ import annotations

import json
from pathlib import Path

from tests.vm.scenes import MIB, PAGE, Memory, Memtierd, meme, memtierd, migrated_pages, until

START, SLOW, OTHER_SLOW = 0, 3, 2
USED_MB = 4
IDLE_MB = 16

CONFIG = """
policy:
  name: age
  config:
    pids: [{pid}]
    # It decides when its configuration is changed, and otherwise never in this test.
    intervalms: 3600000
    idledurationms: 3600000
    idlenumas: [{node}]
    tracker:
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: 1000, regionsupdatems: 0}}
    mover: {{intervalms: 20, bandwidth: {bandwidth}}}
"""


def test_the_configuration_changes_while_memory_is_managed(tmp_path: Path) -> None:
    size = f"{USED_MB + IDLE_MB}M"
    with meme("-bs", size, "-bws", "0", "-brs", f"{USED_MB}M", "-bri", "50ms", node=START) as load:
        used = load.arrays[0].part(0, USED_MB * MIB)
        idle = load.arrays[0].part(used.size, load.arrays[0].size - used.size)
        config = CONFIG.format(pid=load.pid, node=SLOW, bandwidth=1)
        with memtierd(tmp_path, config) as running:
            running.let_pass(6, "tracker.idlepage.scan")
            before = migrated_pages()
            said = running.ask("config -set policy.idledurationms=3000")
            assert said.splitlines()[0] == "policy.idledurationms 3600000 → 3000"
            until("idle memory begins to move, by what was seen before", lambda: idle.portion(SLOW) > 0, idle.spread)

            running.ask("config -set policy.idledurationms=2000")  # while it moves, which is planned anew
            running.ask("config -set policy.mover.bandwidth=400")  # while it moves, which goes on faster
            until("idle memory is on the slow node", lambda: idle.is_on(SLOW), idle.spread)
            assert used.is_on(START), used.spread()
            assert migrated_pages() - before <= 1.2 * idle.size // PAGE, "something was moved twice"
            rows = running.ask("config -path policy.mover -f csv").splitlines()
            assert "policy.mover.bandwidth,400,prompt" in rows
            assert f"policy.mover.intervalms,20,{tmp_path}/memtierd.yaml:13:25" in rows

            file = tmp_path / "memtierd.yaml"
            file.write_text("policy: {name: age, config: {bogus: 1}}\n")
            assert f"{file}:1:30: policy.config.bogus: unknown key" in running.wait_for("bogus")
            assert "bogus" in running.ask("health -f csv")
            changed = config.replace(f"[{SLOW}]", f"[{OTHER_SLOW}]").replace(
                "idledurationms: 3600000", "idledurationms: 2000"
            )
            running.let_pass(2, "tracker.idlepage.scan")  # where memory is now is known from scans only
            replace(file, changed.replace("bandwidth: 1}", "bandwidth: 400}"))
            assert running.wait_for("policy.idlenumas").endswith("configuration: policy.idlenumas [3] → [2]")
            assert running.wait_for("taken over in").endswith("(values changed: 1)")
            until("idle memory is on the other slow node", lambda: idle.is_on(OTHER_SLOW), idle.spread)
            assert used.is_on(START), used.spread()

            running.ask("config -set policy.tracker.pagesinregion=128,policy.idlenumas=[3],policy.intervalms=1000")
            until("idle memory is back, with other regions", lambda: idle.is_on(SLOW), idle.spread)
            assert used.is_on(START), used.spread()
            assert "bogus" not in running.ask("health -f csv")


def test_ages_outlive_every_change_of_the_tracker(tmp_path: Path) -> None:
    with meme("-bs", f"{IDLE_MB}M", "-bws", "0", "-brs", "0", node=START) as load:
        idle = load.arrays[0]
        config = CONFIG.format(pid=load.pid, node=SLOW, bandwidth=1)
        with memtierd(tmp_path, config) as running:
            running.let_pass(4, "tracker.idlepage.scan")
            age_s = 0.0
            for tracker in TRACKERS:
                before = running.ask("config -path policy.tracker")
                replace(tmp_path / "memtierd.yaml", config[: config.index("    tracker:")] + tracker)
                until(
                    "the tracker is another one",
                    lambda before=before: running.ask("config -path policy.tracker") != before,  # type: ignore[misc]
                )
                now_s = least_idle_s(running, idle)
                assert now_s >= age_s, f"the age was lost: {tracker}"
                name = tracker.split("name: ")[1].split(",")[0]
                running.let_pass(3, f"tracker.{name}.scan")
                age_s = least_idle_s(running, idle)
                assert age_s > now_s, f"nothing more was learned: {tracker}"


TRACKERS = (
    "    tracker: {name: idlepage, config: {pagesinregion: 256, scanintervalms: 1000}}\n",
    "    tracker: {name: softdirty, config: {pagesinregion: 16, scanintervalms: 1000}}\n",
    "    tracker: {name: multi, config: {trackers: ["
    "{name: idlepage, config: {pagesinregion: 16, scanintervalms: 1000}}, "
    "{name: softdirty, config: {pagesinregion: 64, scanintervalms: 500}}]}}\n",
)


def replace(file: Path, text: str) -> None:
    """Write a file as an editor does: beside it, and then in its place."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text)
    beside.rename(file)


def least_idle_s(running: Memtierd, memory: Memory) -> float:
    """Return for how long at least every region of some memory is known to be idle."""
    rows = json.loads(running.ask(f"regions -ranges {memory.start:x}-{memory.end:x} -f json"))
    return min(float(row["idle_s"]) for row in rows)
