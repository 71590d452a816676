"""systemd as the first process of namespaces of its own in the guest, with memtierd installed as its service.

It sees the guest's files and devices, its own processes, and a cgroup of its own as the root of the hierarchy.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.vm.scenes import CGROUPS, ROOT, Memory, until

SYSTEMD = Path("/lib/systemd/systemd")
CONFIG = Path("/etc/memtierd/memtierd.yaml")
CONTROL = Path("/run/memtierd/control.sock")
UNITS = Path("/run/memtierd-test-units")
RUN = ("systemd-run", "--quiet", "--collect", "--slice=tiered.slice", "--uid=nobody")
"""Runs something that memtierd tracks, as another user."""

_SYSTEM_UNITS = Path("/lib/systemd/system")
_GROUP = CGROUPS / "systemd"
_TARGETS = {
    "sysinit": "Wants=systemd-journald.service",
    "basic": "Requires=sysinit.target\nAfter=sysinit.target",
    "multi-user": "Requires=basic.target\nAfter=basic.target",
    "shutdown": "",
}
"""As little as a service needs; those of the host would start what it has enabled."""
_JOURNAL = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
_ENVIRONMENT = {
    "SYSTEMD_UNIT_PATH": str(UNITS),
    "SYSTEMD_GENERATOR_PATH": "/nonexistent",
    "SYSTEMD_IGNORE_CHROOT": "1",  # the guest's root directory is not the one of its first process
    "container": "memtierd-test",
}
_ENTER = """
echo $$ >"$0/cgroup.procs"
exec unshare --mount --pid --cgroup --fork sh -c '
    mount -t proc proc /proc && umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit
    while grep -qx 0 /sys/fs/cgroup/cgroup.procs; do sleep 0.1; done
    exec "$0" --system --unit=multi-user.target --show-status=no' "$1"
"""
"""Waits until unshare, which shows as 0, has left the cgroup: systemd could not give controllers to its children."""


@attrs.frozen
class Systemd:
    """A running systemd."""

    pid: int
    """Of its first process, in the guest."""

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command beside the services and return what came of it; standard error is in its output."""
        environment = {**os.environ, **_ENVIRONMENT}
        environment.pop("MEMTIERD_CONTROL", None)  # it is for other tests; here a prompt finds the service by itself
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--cgroup", "--root", "--wd", "--", *command]
        return subprocess.run(
            inside,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env=environment,
        )

    def __call__(self, *command: str | Path) -> str:
        """Run a command that must succeed and return its output."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{self.journal()}"
        return done.stdout

    def show(self, what: str, unit: str = "memtierd.service") -> str:
        """Return a property of a unit."""
        return self("systemctl", "show", "--value", f"--property={what}", unit).strip()

    def journal(self, unit: str = "memtierd.service") -> str:
        """Return what a service has logged, without times."""
        return self.run("journalctl", f"--unit={unit}", "--output=cat", "--no-pager").stdout

    def wait_for(self, what: str, pattern: str, unit: str = "memtierd.service") -> str:
        """Return a property of a unit once it matches."""
        until(
            f"{what} of {unit} matches {pattern!r}",
            lambda: re.search(pattern, self.show(what, unit)) is not None,
            lambda: f"{self.show(what, unit)!r}\n{self.journal()}",
        )
        return self.show(what, unit)

    def group(self, unit: str = "memtierd.service") -> Path:
        """Return the cgroup of a unit."""
        return _GROUP / self.show("ControlGroup", unit).lstrip("/")

    def pids_of(self, unit: str) -> list[int]:
        """Return the processes of a unit as the guest numbers them."""
        return [int(line) for line in (self.group(unit) / "cgroup.procs").read_text().split()]

    def arrays_of(self, unit: str) -> list[Memory]:
        """Return the arrays of the meme in a unit, once they are there, as the guest numbers its process."""
        until("meme has its arrays", lambda: "press enter" in self.journal(unit))
        (pid,) = self.pids_of(unit)
        return [
            Memory(pid, int(start, 16), int(last, 16) + 1 - int(start, 16))
            for start, last in re.findall(r"array: (\w+)-(\w+)", self.journal(unit))
        ]

    @contextmanager
    def changed_unit(self, text: str) -> Iterator[None]:
        """Give the service a drop-in of its own until the block ends."""
        drop_in = UNITS / "memtierd.service.d/test.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(text)
        self("systemctl", "daemon-reload")
        try:
            yield
        finally:
            shutil.rmtree(drop_in.parent)
            self("systemctl", "daemon-reload")


def replace_config(text: str) -> None:
    """Save as editors do: a new file in the place of the old one."""
    new = CONFIG.with_name("memtierd.yaml.new")
    new.write_text(text)
    new.rename(CONFIG)


@contextmanager
def installed() -> Iterator[None]:
    """Install memtierd, and remove it at the end of the block."""
    environment = {**os.environ, "PREFIX": "/usr", "SYSCONFDIR": "/etc", "DESTDIR": "", "COMPILE": "no"}
    subprocess.run([ROOT / "scripts/install.sh", "install"], check=True, env=environment)
    try:
        # This compiles what is needed, which is a small part of all that there is.
        subprocess.run(["/usr/bin/memtierd", "-standalone", "-c", "nop"], check=True)
        yield
    finally:
        CONFIG.unlink()
        subprocess.run([ROOT / "scripts/install.sh", "uninstall"], check=True, env=environment)


@contextmanager
def systemd() -> Iterator[Systemd]:
    """Run systemd until the block ends, with the units of an installed memtierd, none of them started."""
    _write_units()
    _GROUP.mkdir()
    with tempfile.TemporaryFile() as output:
        unshare = subprocess.Popen(
            ["sh", "-c", _ENTER, _GROUP, SYSTEMD],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **_ENVIRONMENT},
        )
        try:
            yield _booted(unshare)
        finally:
            for pid in _children(unshare.pid):
                os.kill(pid, signal.SIGKILL)  # with the first process of a pid namespace all others end
            unshare.wait()
            _remove_groups()
            shutil.rmtree(UNITS)
            shutil.rmtree("/run/systemd")  # what is left says that systemd runs


def _booted(unshare: subprocess.Popen[bytes]) -> Systemd:
    until("systemd has been started", lambda: bool(_children(unshare.pid)))
    (CGROUPS / "cgroup.procs").write_text(str(unshare.pid))
    made = Systemd(_children(unshare.pid)[0])
    until(
        "systemd has booted",
        lambda: made.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"),
        lambda: made.run("systemctl", "list-units", "--failed", "--no-pager").stdout,
    )
    return made


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _write_units() -> None:
    UNITS.mkdir()
    for name, text in _TARGETS.items():
        (UNITS / f"{name}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{text}\n")
    for name in _JOURNAL:
        shutil.copy(_SYSTEM_UNITS / name, UNITS)
    for name in ("memtierd.service", "tiered.slice"):
        shutil.copy(Path("/usr/lib/systemd/system") / name, UNITS)


def _remove_groups() -> None:
    until("systemd's cgroups are empty", lambda: "populated 0" in (_GROUP / "cgroup.events").read_text())
    for group in sorted(_GROUP.rglob("*"), reverse=True):
        if group.is_dir():
            group.rmdir()
    _GROUP.rmdir()
