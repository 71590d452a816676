"""A prompt into the running daemon moves memory by hand and by the configuration, beside clients that hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.vm.scenes import PATIENCE_S, ROOT, meme, memtierd, until

START, SLOW, OTHER_SLOW = 0, 3, 2

CONFIG = """
policy:
  name: age
  config:
    pids: [{pid}]
    intervalms: 1000
    idledurationms: 3600000
    idlenumas: [{node}]
    tracker:
      name: idlepage
      config: {{pagesinregion: 64, scanintervalms: 1000, regionsupdatems: 0}}
    mover: {{intervalms: 20, bandwidth: 400}}
"""


def attached(path: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "memtierd", "-attach", str(path), *flags]


def ask(path: Path, commands: str, status: int = 0) -> str:
    done = subprocess.run(
        attached(path, "-c", commands), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_memory_is_moved_from_outside(tmp_path: Path) -> None:
    socket = tmp_path / "control.sock"
    with meme("-bs", "16M", "-brc", "0", "-bwc", "0", node=START) as load:
        memory = load.arrays[0]
        with memtierd(tmp_path, CONFIG.format(pid=load.pid, node=OTHER_SLOW), "-control", str(socket)) as running:
            running.wait_for("listening on")
            waiting = subprocess.Popen(attached(socket, "-c", "time -sleep 1h"), cwd=ROOT)
            try:
                chosen = f"pages -pid {load.pid} -ranges {memory.start:x}-{memory.end:x}"
                said = ask(socket, f"{chosen}\nmover -pages-to {SLOW}\nmover -wait -timeout 60s")
                assert "all tasks done" in said or "mover wait received" in said, said
                assert memory.is_on(SLOW), memory.spread()

                assert "→ 2000" in ask(socket, "config -set policy.idledurationms=2000")
                until("the policy moves what is idle", lambda: memory.is_on(OTHER_SLOW), memory.spread)
                assert "policy.idledurationms,2000,prompt" in ask(socket, "config -path policy.idledurationms -f csv")
                assert ask(socket, "regions | grep -c idle").strip() != "0"
            finally:
                waiting.kill()
                waiting.wait()
            assert ask(socket, "nop") == ""
            running.wait_for("config -set policy.idledurationms=2000")
            assert running.terminate() == 0
        assert not socket.exists()
