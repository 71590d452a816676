"""The configuration changes while memory is being managed: at once, with what was learned, and nothing moves twice."""

from __future__ import annotations

from pathlib import Path

from tests.vm.scenes import MIB, PAGE, meme, memtierd, migrated_pages, until

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
            assert running.ask("config -reload").strip() == ""
            assert f"config: {file}:1:30: policy.config.bogus: unknown key" in running.wait_for("bogus")
            changed = config.replace(f"[{SLOW}]", f"[{OTHER_SLOW}]").replace(
                "idledurationms: 3600000", "idledurationms: 2000"
            )
            file.write_text(changed.replace("bandwidth: 1}", "bandwidth: 400}"))
            running.let_pass(2, "tracker.idlepage.scan")  # where memory is now is known from scans only
            said = running.ask("config -diff -reload")
            assert "policy.idlenumas [3] → [2]\n" in said
            assert said.count("→") == 1, said
            until("idle memory is on the other slow node", lambda: idle.is_on(OTHER_SLOW), idle.spread)
            assert used.is_on(START), used.spread()

            running.ask("config -set policy.tracker.pagesinregion=128,policy.idlenumas=[3],policy.intervalms=1000")
            until("idle memory is back, with other regions", lambda: idle.is_on(SLOW), idle.spread)
            assert used.is_on(START), used.spread()
