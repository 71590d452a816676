"""A started memtierd takes over its configuration file when it is edited, and at SIGHUP."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

PATIENCE_S = 60
STUB = "policy: {name: stub, config: {intervalms: %d}}\n"


@attrs.frozen
class Started:
    """A memtierd that runs, and its log."""

    process: subprocess.Popen[str]
    path: Path

    def wait_for(self, text: str) -> str:
        """Return the next line of the log that contains a text."""
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            if text in line:
                return line.rstrip("\n")
            seen.append(line)
        raise AssertionError(f"memtierd ended without saying {text!r}: {''.join(seen)}")

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    path = tmp_path / "memtierd.yaml"
    path.write_text(STUB % 1)
    with subprocess.Popen(
        [sys.executable, "-m", "memtierd", "-config", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        yield Started(process, path)
        watchdog.cancel()
        process.kill()


def test_edits_and_hangups_reload_and_do_not_end_it(started: Started) -> None:
    started.wait_for("policy stub started")
    started.process.send_signal(signal.SIGHUP)
    started.wait_for(f"reading {started.path} again: SIGHUP")
    started.wait_for("says what runs already, nothing to change")
    started.path.write_text(STUB % 2)
    started.wait_for("configuration: policy.intervalms 1 → 2")
    started.path.write_text(STUB % 0)
    started.wait_for(f"{started.path}:1:43: policy.config.intervalms: got the integer 0, expected an integer from 1")
    drop_ins = started.path.with_suffix(".d")
    drop_ins.mkdir()
    started.path.write_text(STUB % 3)
    started.wait_for("configuration: policy.intervalms 2 → 3")
    (drop_ins / "1.yaml").write_text("policy: {config: {intervalms: 4}}")
    started.wait_for("configuration: policy.intervalms 3 → 4")
    assert started.end() == 0
    started.wait_for("policy stub stopped")
