"""The daemon's side of one client: what it has sent, and a thread that works for it while there is work."""

import logging
import select
import shlex
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs

from memtierd.errors import CommandError
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.completion import complete
from memtierd.prompt.context import DaemonPort
from memtierd.prompt.conversation import Seen
from memtierd.prompt.execution import Commands
from memtierd.prompt.grammar import Command
from memtierd.prompt.known_values import known_values
from memtierd.prompt.voice import INTERRUPTED, OK, status_of
from memtierd.remote.access import Access, Peer
from memtierd.remote.frames import TEXT_AT_ONCE, Message, ProtocolError, encode, field, texts
from memtierd.remote.job import Job
from memtierd.text import bounded

LOG = logging.getLogger("memtierd")
_LOOK_S = 0.5
_SOON_S = 0.2
_MOST_WAITING = 8
"""Commands that one client may have sent ahead."""


@attrs.frozen
class Host:
    """What all clients share."""

    daemon: DaemonPort
    count: Callable[[str], None]
    """Counts an event."""
    patience_s: float
    """How long a client may take nothing and say nothing while it is being sent something."""


class Attached:
    """One client that was greeted.  `take` and `close` are called by the server's thread."""

    def __init__(self, connection: socket.socket, peer: Peer, access: Access, host: Host) -> None:
        self.peer = peer
        self._connection = connection
        self._access = access
        self._host = host
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._jobs: dict[int, Job] = {}
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._is_gone = False
        self._is_stalled = False
        self._send_lock = threading.Lock()
        self._heard_s = time.monotonic()
        self._commands = Commands(host.daemon, watch=self._watch)

    # the server's thread

    def take(self, message: Message) -> None:
        """Take a message.  Raises ProtocolError."""
        self._heard_s = time.monotonic()
        kind = message["type"]
        if kind == "run":
            job = Job(message, self.send)
            words = tuple(texts(message, "words"))
            if not words or job.number in self._jobs:
                raise ProtocolError("message 'run': no words, or a number that is in use")
            self._add(partial(self._run, job, words), job)
        elif kind == "complete":
            self._add(partial(self._complete, field(message, "id", int), field(message, "before", str)))
        elif kind == "size":
            self._tell_job(
                message, lambda job: job.resize(field(message, "columns", int), field(message, "lines", int))
            )
        elif kind in _TO_JOB:
            self._tell_job(message, lambda job: _TO_JOB[kind](job, message))
        elif kind != "alive":
            raise ProtocolError(f"an unknown message {kind!r}")

    def _tell_job(self, message: Message, tell: Callable[[Job], None]) -> None:
        """Tell the command that is meant; one that has ended meanwhile needs to know nothing."""
        with self._lock:
            job = self._jobs.get(field(message, "id", int))
        if job is not None:
            tell(job)

    def _add(self, work: Callable[[], None], job: Job | None = None) -> None:
        with self._lock:
            if len(self._waiting) >= _MOST_WAITING:
                raise ProtocolError(f"more than {_MOST_WAITING} commands at once")
            self._waiting.append(work)
            if job is not None:
                self._jobs[job.number] = job
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=f"client {self.peer.pid}", daemon=True)
                thread.start()
                self._thread = thread

    def close(self, why: str = "") -> None:
        """End the connection and what is being done for it; tell the client a reason if it takes it at once."""
        with self._lock:
            jobs = list(self._jobs.values())
            self._waiting.clear()
            was_gone, self._is_gone = self._is_gone, True
        for job in jobs:
            job.cancel()
        # Whoever sends something now is done at once, unless the client takes nothing.
        if why and not was_gone and not self._is_stalled and self._send_lock.acquire(timeout=_SOON_S):
            # An error: the client has gone, or takes nothing.  The end of the connection tells it, too.
            with suppress(OSError):
                self._connection.send(encode("bye", {"message": why}))
            self._send_lock.release()
        with suppress(OSError):  # it was the client who ended it
            self._connection.shutdown(socket.SHUT_RDWR)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether the client's resources are free."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
            if thread.is_alive():
                return False
        self._connection.close()
        return True

    # the thread that works for the client

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                work = self._waiting.popleft()
            try:
                work()
            except KeyboardInterrupt:
                continue  # the client has gone; what else it had sent was dropped with it
            except Exception:
                LOG.exception("control socket: unexpected error for %s; this is a bug, report it", self.peer)
                self.close("it met an internal error, which is in its log")

    def _run(self, job: Job, words: tuple[str, ...]) -> None:
        try:
            end = self._outcome(job, words)
        finally:
            with self._lock:
                self._jobs.pop(job.number, None)
        if self._is_gone:
            return  # nobody is to take its end for that of an ordinary command
        self.send("end", id=job.number, speaker=job.speaker, quit=self._commands.quit_requested, **end)
        self._commands.quit_requested = False

    def _outcome(self, job: Job, words: tuple[str, ...]) -> dict[str, Any]:
        """Carry out a command and return how it ended."""
        try:
            job.check()
            seen = Seen(job.window, job if job.has_screen else None)
            prepared = self._commands.prepare(words, seen, job, caller=job)
            self.send("begin", id=job.number, speaker=job.speaker)
            return {"status": prepared.carry_out(job)}
        except KeyboardInterrupt:
            return {"status": INTERRUPTED}
        except SystemExit as leaving:
            return {"status": OK, "exit": leaving.code if isinstance(leaving.code, int) else 1}
        except Exception as error:  # noqa: BLE001  a bug in one command, which is logged, must not end the others
            status, message = status_of(error, " ".join(words))
            return {"status": status, "message": message[:TEXT_AT_ONCE]}

    def _watch(self, command: Command, options: Any, words: tuple[str, ...]) -> None:
        """Log what changes something.  Raises CommandError when this client may only look."""
        changing = command.changing(options)
        if not changing:
            return
        if self._access is not Access.CHANGE:
            self._host.count("control socket: change refused")
            raise CommandError(
                f"{', '.join(changing)} changes something, and you may only look; ask root, or whoever gives the group"
                " more with -control-group-writes"
            )
        LOG.info("control socket: %s: %s", self.peer, bounded(shlex.join(words), 500))

    def _complete(self, number: int, before: str) -> None:
        """Send candidates; files are the client's, so that it is told how their names begin."""
        begun: list[str] = []

        def values(kind: str, text: str) -> Any:
            if kind == "file":
                begun.append(text)
                return []
            return known_values(self._host.daemon)(kind, text)

        found = complete(before, COMMANDS, values)
        self.send(
            "candidates",
            id=number,
            candidates=[[candidate.text, candidate.shown] for candidate in found],
            files=begun[0] if begun else None,
        )

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message, and wait while the client takes none.  Raises KeyboardInterrupt when it has gone."""
        rest = memoryview(encode(kind, fields))
        with self._send_lock:
            began_s = time.monotonic()
            while rest:
                try:
                    rest = rest[self._connection.send(rest) :]
                    self._is_stalled = False
                    began_s = time.monotonic()
                except BlockingIOError:
                    self._wait_for_room(began_s)
                except OSError:
                    raise KeyboardInterrupt from None

    def _wait_for_room(self, began_s: float) -> None:
        self._is_stalled = True
        if self._is_gone:
            raise KeyboardInterrupt
        if time.monotonic() - max(began_s, self._heard_s) > self._host.patience_s:
            self._host.count("control socket: client dropped")
            LOG.warning(
                "control socket: %s takes nothing for %g s: its connection is ended", self.peer, self._host.patience_s
            )
            self._is_gone = True
            self._connection.shutdown(socket.SHUT_RDWR)
            raise KeyboardInterrupt
        waiter = select.poll()
        waiter.register(self._connection, select.POLLOUT)
        waiter.poll(_LOOK_S * 1000)


_TO_JOB: dict[str, Callable[[Job, Message], None]] = {
    "interrupt": lambda job, _: job.cancel(),
    "left": lambda job, _: job.leave(),
    "answer": lambda job, message: job.answer(message),
}
