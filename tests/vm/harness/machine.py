"""Runs a guest: starts QEMU, passes its output on while it runs, and returns the command's exit status."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .guest import HARNESS, Guest, command_script, guest_environment, qemu_command, settings_script

TIMED_OUT = 124  # as timeout(1)
GUEST_DIED = 125

_PR_SET_PDEATHSIG = 1  # prctl(2)
_STOP_SECONDS = 5
_CONSOLE_LINES = 25

Sink = Callable[[bytes], object]


@dataclass(frozen=True)
class Programs:
    """Paths of what runs the guest, and of the Python that the guest uses."""

    qemu: str
    kernel: str
    python: str = sys.executable


def run_guest(guest: Guest, command: Sequence[str], programs: Programs, time_limit_s: float | None) -> int:
    """The exit status of `command` in the guest: its own, TIMED_OUT, or GUEST_DIED when none came back.

    The command's output goes to our standard output and error as it comes; an interactive guest has our terminal.
    Raises BrokenPipeError when nobody reads our output any more.
    """
    with tempfile.TemporaryDirectory(prefix="memtierd-vm-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        _write_files(directory, guest, command, programs)
        status = bytearray()
        sinks: dict[str, Sink] = {"status": status.extend}
        if not guest.interactive:
            sinks |= {"out": partial(_write_all, 1), "err": partial(_write_all, 2)}
        pipes = {port: os.pipe() for port in sinks}
        ports = {port: write_end for port, (_, write_end) in pipes.items()}
        arguments = qemu_command(guest, programs.qemu, programs.kernel, directory, ports)
        stdin = None if guest.interactive else subprocess.DEVNULL
        with _terminal_kept(), _running(arguments, stdin, tuple(ports.values())):
            in_time = _relay({pipes[port][0]: sink for port, sink in sinks.items()}, time_limit_s)
        if status.strip():
            return int(status)
        _explain(
            "the guest ended without a status" if in_time else f"time limit of {time_limit_s:g} s passed", directory
        )
        return GUEST_DIED if in_time else TIMED_OUT


def _write_files(directory: Path, guest: Guest, command: Sequence[str], programs: Programs) -> None:
    size = shutil.get_terminal_size()
    shutil.copy(HARNESS / "init.sh", directory / "init")
    (directory / "init").chmod(0o755)
    (directory / "settings").write_text(settings_script(guest, programs.python, size.lines, size.columns))
    environment = guest_environment(guest, os.environ)
    (directory / "command").write_text(command_script(command, Path.cwd(), environment))


@contextlib.contextmanager
def _running(arguments: Sequence[str], stdin: int | None, descriptors: Sequence[int]) -> Iterator[None]:
    """QEMU runs as long as the context; our copies of `descriptors` are closed, so its end is their end of file."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    process = subprocess.Popen(
        arguments,
        stdin=stdin,
        pass_fds=descriptors,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads
    )
    try:
        for descriptor in descriptors:
            os.close(descriptor)
        yield
    finally:
        # Only with SIGTERM does QEMU give our terminal back as it was; elsewhere there is nothing to be polite about.
        process.send_signal(signal.SIGTERM if stdin is None else signal.SIGKILL)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _relay(sinks: Mapping[int, Sink], time_limit_s: float | None) -> bool:
    """Reads the descriptors until the end of all of them; False when the time was up before."""
    deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
    with selectors.DefaultSelector() as selector:
        for descriptor, sink in sinks.items():
            selector.register(descriptor, selectors.EVENT_READ, sink)
        while selector.get_map():
            ready = selector.select(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if deadline is not None and time.monotonic() >= deadline:
                return False
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if data:
                    key.data(data)
                else:
                    selector.unregister(key.fd)
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextlib.contextmanager
def _terminal_kept() -> Iterator[None]:
    """Terminal settings are afterwards what they were, also when QEMU was killed in raw mode."""
    if not os.isatty(0):
        yield
        return
    before = termios.tcgetattr(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.set_blocking(0, True)


def _explain(reason: str, directory: Path) -> None:
    console = directory / "console"
    text = console.read_text(errors="replace").strip() if console.exists() else ""
    print(f"tests/vm: {reason}" + ("; the end of the guest's console:" if text else ""), file=sys.stderr)
    for line in text.splitlines()[-_CONSOLE_LINES:]:
        print(line, file=sys.stderr)
