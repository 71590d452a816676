"""SIGHUP ends memtierd, or lets a daemon with a configuration file reload."""

import os
import signal
import subprocess
import sys

import pytest

from memtierd.signals import Terminated, Termination

PROGRAM = """
import signal, sys, threading, time
from memtierd.signals import Terminated, Termination
termination = Termination(reloads={reloads})
termination.take()
try:
    print("ready", flush=True)
    if sys.stdin.readline() == "listen\\n":
        termination.on_hangup(lambda: print("reload", flush=True))
    threading.Event().wait()
except Terminated as end:
    print("ended by", int(end.code), flush=True)
"""


class Program:
    """The program above, running."""

    def __init__(self, *, reloads: bool, ignored: bool = False) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(reloads=reloads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        signal.signal(signal.SIGHUP, before)
        assert self.line() == "ready"

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def send(self, number: int) -> None:
        self.process.send_signal(number)


@pytest.mark.parametrize("ignored", [False, True], ids=["", "under nohup"])
def test_every_hangup_is_heard_and_ends_nothing(ignored: bool) -> None:
    with Program(reloads=True, ignored=ignored) as program:
        program.write("listen\n")
        program.send(signal.SIGHUP)
        assert program.line() == "reload"
        program.send(signal.SIGHUP)
        assert program.line() == "reload"
        program.send(signal.SIGTERM)
        assert program.line() == f"ended by {signal.SIGTERM:d}"


def test_a_hangup_that_nobody_listens_to_yet_is_not_lost() -> None:
    with Program(reloads=True) as program:
        program.send(signal.SIGHUP)
        program.write("listen\n")
        assert program.line() == "reload"
        program.send(signal.SIGTERM)
        assert program.line() == f"ended by {signal.SIGTERM:d}"


def test_without_reloads_a_hangup_ends_and_nohup_protects() -> None:
    with Program(reloads=False) as program:
        program.send(signal.SIGHUP)
        assert program.line() == f"ended by {signal.SIGHUP:d}"
    with Program(reloads=False, ignored=True) as program:
        program.send(signal.SIGHUP)
        program.send(signal.SIGTERM)
        assert program.line() == f"ended by {signal.SIGTERM:d}"


ENDS = [(signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated), (signal.SIGINT, KeyboardInterrupt)]


@pytest.mark.parametrize(("number", "raised"), ENDS)
def test_what_comes_while_signals_are_held_is_raised_afterwards(number: int, raised: type[BaseException]) -> None:
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    termination = Termination()
    termination.take()
    reached = []

    def start() -> None:
        with termination.held():
            os.kill(os.getpid(), number)
            reached.append("the end of the block")

    try:
        with pytest.raises(raised):
            start()
        assert reached
        assert signal.getsignal(signal.SIGINT) == handlers[signal.SIGINT]
    finally:
        termination.release()
        for one, handler in handlers.items():
            signal.signal(one, handler)
