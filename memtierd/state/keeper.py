"""Keeps what the daemon learns: reads it at the start, writes it every few minutes and at the end."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from memtierd.errors import MemtierdError, ProcessGoneError
from memtierd.linux.boot import boot_id
from memtierd.linux.proc import Mapping, check_identity, maps
from memtierd.model import ProcessKey
from memtierd.reconcile import Reconciler
from memtierd.state import snapshot
from memtierd.state.directory import StateDirectory
from memtierd.state.encoding import DamagedError, State, decode, encode
from memtierd.state.histories import ProcessHistory
from memtierd.state.recollection import Recollection

if TYPE_CHECKING:
    from memtierd.daemon import Daemon

LOG = logging.getLogger("memtierd")
_SOURCE = "state"
_FIRST_WRITE_S = 30.0
"""After this time the state is written first: a daemon that is killed soon after its start is not to lose all."""
_CALL_S = 10.0
"""How long the writer waits for the control thread."""
STOP_S = 20.0
"""How long `stop` waits for the last writing."""


class Keeper:
    """A part of the service around a daemon that has been started."""

    def __init__(
        self,
        daemon: "Daemon",
        directory: str,
        *,
        interval_s: float = 300,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._daemon = daemon
        self._directory = StateDirectory(directory)
        self._interval_s = interval_s
        self._clock_ns = clock_ns
        self._recollection: Recollection | None = None
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Give the daemon what was learned before, and begin to write; to be called before it is configured."""
        if self._thread is not None:
            return
        self._remember(self._read())
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name="state", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write once more, and end; to be called before the daemon stops."""
        if self._thread is None:
            return
        self._ending.set()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            LOG.warning("writing %s: not done within %g s; what was written before stays", self._directory.file, STOP_S)
            return
        self._thread = None
        self._directory.close()

    def write(self) -> int:
        """Write what is learned now, and return the size of the file in bytes.  Raises MemtierdError."""
        boot = boot_id(self._daemon.roots)
        copy, left = self._daemon.call(self._take, _CALL_S)
        kept = (*snapshot.histories(copy, self._mappings), *self._living(left))
        size = self._directory.write(encode(State(boot, kept)))
        self._daemon.control.count("state written")
        return size

    # reading

    def _read(self) -> tuple[ProcessHistory, ...]:
        """Return what was kept; nothing when there is nothing that can be used, which is said once."""
        try:
            data = self._directory.read()
            if data is None:
                return ()
            state = decode(data)
            boot = boot_id(self._daemon.roots)
        except DamagedError as error:
            self._set_aside(error)
            return ()
        except MemtierdError as error:
            self._daemon.control.hold(_SOURCE, [_not_kept(error)])
            return ()
        if state.boot != boot:
            LOG.info("%s is from another boot: not used", self._directory.file)
            return ()
        return state.histories

    def _set_aside(self, problem: DamagedError) -> None:
        self._daemon.control.count("state set aside")
        try:
            name = self._directory.set_aside()
        except MemtierdError as error:
            self._daemon.control.hold(
                _SOURCE, [f"{self._directory.file} {problem}; it is not used, but stays: {error}"]
            )
            return
        LOG.warning("%s %s: set aside as %s, memtierd starts without it", self._directory.file, problem, name)

    def _remember(self, histories: tuple[ProcessHistory, ...]) -> None:
        living = [history for history in histories if self._lives(history.key)]
        if not living:
            return
        recollection = Recollection(living, self._mappings, self._daemon.control.count, self._clock_ns)
        if not recollection.fresh():
            LOG.info("%s is too old: not used", self._directory.file)
            return
        age_s = (self._clock_ns() - max(history.seen_ns for history in living)) / 1e9
        regions = sum(len(history.learned) for history in living)
        whose = f"pid {living[0].key.pid}" if len(living) == 1 else f"{len(living)} processes"
        LOG.info("remembering %d regions of %s, seen last %.1f s ago", regions, whose, age_s)
        self._recollection = recollection

        def hand_over(reconciler: Reconciler) -> None:
            reconciler.recollection = recollection

        self._daemon.call(hand_over)

    # writing

    def _run(self) -> None:
        wait_s = min(_FIRST_WRITE_S, self._interval_s)
        while not self._ending.wait(wait_s):
            self._write_if_possible()
            wait_s = self._interval_s
        self._write_if_possible()

    def _write_if_possible(self) -> None:
        began_ns = self._clock_ns()
        try:
            size = self.write()
        except MemtierdError as error:
            self._daemon.control.count("state not written")
            self._daemon.control.hold(_SOURCE, [_not_kept(error)])
        except Exception as error:
            self._daemon.control.count("state not written")
            LOG.exception(
                "writing %s: unexpected %s; this is a bug, report it", self._directory.file, type(error).__name__
            )
        else:
            self._daemon.control.hold(_SOURCE, [])
            took_ms = (self._clock_ns() - began_ns) / 1e6
            LOG.debug("%s written: %d bytes in %.0f ms", self._directory.file, size, took_ms)

    def _take(self, reconciler: Reconciler) -> tuple[snapshot.Snapshot, tuple[ProcessHistory, ...]]:
        """Return a copy of what is learned, and what was learned before and not used yet; in the control thread."""
        left = self._recollection.fresh() if self._recollection is not None else ()
        return snapshot.take(reconciler, self._clock_ns()), left

    def _living(self, left: tuple[ProcessHistory, ...]) -> list[ProcessHistory]:
        """Return what was learned before of processes that still live: it stays as it is.  Forget the others."""
        recollection = self._recollection
        living = [history for history in left if self._lives(history.key)]
        if recollection is not None and len(living) < len(left):
            ended = {history.key for history in left} - {history.key for history in living}
            self._daemon.call(lambda _: recollection.forget(ended), _CALL_S)
        return living

    def _lives(self, key: ProcessKey) -> bool:
        try:
            return check_identity(key, self._daemon.roots).has_memory
        except ProcessGoneError:
            return False
        except MemtierdError:
            return True  # whether it lives can't be told now: it is asked for again

    def _mappings(self, pid: int) -> list[Mapping]:
        return maps(pid, self._daemon.roots)


def _not_kept(error: MemtierdError) -> str:
    return f"what is learned is not kept: {error}"
