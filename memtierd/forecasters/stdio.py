"""The stdio forecaster: a program forecasts; it is killed when it hangs or talks nonsense, and started again."""

import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO

from memtierd.errors import MemtierdError, from_oserror
from memtierd.forecasters.exchange import exchange
from memtierd.forecasters.forecaster import Answer
from memtierd.forecasters.heats import Heats
from memtierd.forecasters.params import StdioParams
from memtierd.forecasters.wire import from_json, to_json
from memtierd.linux.child import kill_group, open_to_append, why_not_started
from memtierd.text import bounded

_MOST_SHOWN = 60
_CLOSE_S = 0.2
"""How long to wait for the end of a question whose program was killed."""
_MORE_BYTES = 1 << 20
_BYTES_A_REGION = 512
"""An answer may be this long: so much for each region that was asked for, and a little."""


class StdioForecaster:
    """Keeps one child process, starts it when it is needed, and gives up after too many failures in a row."""

    def __init__(self, params: StdioParams, clock_ns: Callable[[], int]) -> None:
        self._params = params
        self._clock_ns = clock_ns
        self._name = f"forecaster stdio '{bounded(' '.join(params.command), _MOST_SHOWN)}'"
        self._asking = threading.Lock()
        self._closed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        """In a row."""
        self._not_before_ns = 0
        self._problem = ""

    def forecast(self, heats: Heats) -> Answer:
        """Ask the program; no opinion while it is off, or waits for its next start."""
        with self._asking:
            return self._ask(heats)

    def close(self) -> None:
        """Kill the program; it isn't started again."""
        self._closed = True
        process = self._process
        if process is not None:
            kill_group(process)
        if self._asking.acquire(timeout=_CLOSE_S):
            self._end()
            self._asking.release()

    def _ask(self, heats: Heats) -> Answer:
        if self._is_off or self._clock_ns() < self._not_before_ns:
            return Answer(None, (self._problem,))
        regions = sum(len(of_process.start) for of_process in heats.values())
        most_bytes = _MORE_BYTES + regions * _BYTES_A_REGION
        try:
            process = self._process or self._start()
            line = exchange(process, to_json(heats), self._params.timeout_ms / 1000, most_bytes)
            forecast = from_json(line, heats)
        except MemtierdError as error:
            return self._fail(str(error))
        self._failures, self._problem = 0, ""
        return Answer(forecast)

    @property
    def _is_off(self) -> bool:
        return self._failures > self._params.retry

    def _fail(self, said: str) -> Answer:
        self._end()
        wait_ms = self._params.retry_ms * 2 ** min(self._failures, 40)
        self._not_before_ns = self._clock_ns() + wait_ms * 1_000_000
        self._failures += 1
        off = f"; it is off after {self._failures} failures in a row, until the policy is started again"
        self._problem = f"{self._name}: {said}{off if self._is_off else ''}"
        return Answer(None, (self._problem,), 1)

    def _start(self) -> "subprocess.Popen[bytes]":
        if self._closed:
            raise MemtierdError("it is closed")
        with ExitStack() as stack:
            errors = stack.enter_context(self._stderr()) if self._params.stderr else None
            try:
                process = subprocess.Popen(
                    self._params.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    bufsize=0,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                raise MemtierdError(f"start it: {why_not_started(error)}") from error
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        self._process = process
        if self._closed:  # by somebody who did not see it yet
            kill_group(process)
        return process

    def _stderr(self) -> BinaryIO:
        path = self._params.stderr.removeprefix("file:")
        try:
            file = open_to_append(path)
        except OSError as error:
            raise from_oserror(f"open {path!r} for its standard error", error) from error
        os.set_blocking(file.fileno(), True)  # the program expects that
        return file

    def _end(self) -> None:
        """Kill the program and forget it."""
        process, self._process = self._process, None
        if process is None:
            return
        kill_group(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()
