"""Programs joined by pipes, as one thing that can be read, and ended in bounded time."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

_GRACE_S = 0.5
"""How long the programs may take to end by themselves once one of them has."""
_KILLED_S = 0.5
"""A killed process ends at once unless the kernel holds it; then it is left to its fate."""
_POLL_S = 0.01
_PIPE_BYTES = 1 << 20
"""Linux's limit for users (fs/pipe.c, pipe_max_size): the programs rarely wait for their reader."""


class Pipeline:
    """A running pipeline in a process group of its own.

    The input of the first program is a leash: a pipe that we never write to.  It closes when we end it or when
    memtierd dies, however that happens, and a program that ends with its input never outlives us.
    """

    def __init__(self, commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> None:
        """Start all programs; raises OSError for one that can't be started, and none of them is left then."""
        self._stages: list[subprocess.Popen[bytes]] = []
        self._ended = False
        self.errors, errors_end = os.pipe2(os.O_CLOEXEC)
        """Descriptor of what all of them write to standard error."""
        try:
            for command in commands:
                self._stages.append(self._start(command, environment, errors_end))
        except OSError:
            self.kill()
            raise
        finally:
            os.close(errors_end)

    @property
    def output(self) -> int:
        """Return the descriptor of the last program's standard output; empty when the pipeline has ended."""
        stream = self._stages[-1].stdout
        if stream is None:
            raise TypeError("the last program was started without a pipe for its output")
        return stream.fileno()

    def end(self) -> str:
        """Wait a little until the programs have ended, kill those that have not; return how those that failed ended.

        For a pipeline that has ended by itself.  The text is such as "ended with status 1", "was killed by SIGKILL"
        or, when all was well, "ended".
        """
        if not self._ended:
            self._let_go()
            self._wait_in_order()
        self.kill()
        return _outcome([stage.returncode for stage in self._stages])

    def kill(self) -> None:
        """Kill all programs: what they have of the kernel is in descriptors, which close with them."""
        if self._ended:
            return
        self._ended = True
        self._let_go()
        # No program was waited for yet, so the group's number is still that of our first program.
        if self._stages:
            _kill_group(self._stages[0].pid)
        for stage in self._stages:
            _reap(stage)
        os.close(self.errors)

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], errors_end: int
    ) -> subprocess.Popen[bytes]:
        before = self._stages[-1] if self._stages else None
        stage = subprocess.Popen(
            command,
            stdin=before.stdout if before else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors_end,
            env=environment,
            bufsize=0,
            pipesize=_PIPE_BYTES,
            process_group=self._stages[0].pid if before else 0,
        )
        if before and before.stdout:
            before.stdout.close()  # or else a program would not notice that the one behind it has ended
        return stage

    def _let_go(self) -> None:
        """Close the leash and the output: who reads or writes from now on finds its end."""
        if self._stages:
            for stream in (self._stages[0].stdin, self._stages[-1].stdout):
                if stream is not None:
                    stream.close()

    def _wait_in_order(self) -> None:
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline and not all(_has_ended(stage) for stage in self._stages):
            time.sleep(_POLL_S)


def _has_ended(stage: subprocess.Popen[bytes]) -> bool:
    """Tell whether a program has ended, and leave its status to be waited for."""
    return os.waitid(os.P_PID, stage.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left in it
        return


def _reap(stage: subprocess.Popen[bytes]) -> None:
    try:
        stage.wait(_KILLED_S)
    except subprocess.TimeoutExpired:
        stage.returncode = -signal.SIGKILL  # init will reap it; Popen shall not wait for it again


def _outcome(statuses: Sequence[int | None]) -> str:
    # A program whose reader has ended dies of SIGPIPE: what the reader says of itself comes first.
    failed = [status for status in statuses if status]
    told = next((status for status in failed if status > 0), failed[0] if failed else 0)
    if told < 0:
        return f"was killed by {signal.Signals(-told).name}"
    return f"ended with status {told}" if told else "ended"
