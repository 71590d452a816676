"""The thread that takes over the configuration file when it changes, or when somebody asks for that."""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from memtierd.errors import ConfigError, MemtierdError
from memtierd.reloading.pending import Pending, Request
from memtierd.reloading.whereabouts import Mark, Plan, mark, watch_plan
from memtierd.text import printable

if TYPE_CHECKING:
    from memtierd.config import Change, ConfigFile

LOG = logging.getLogger("memtierd")
POLL_NS = 5_000_000_000
"""How often the files are looked at when nothing was heard: a directory can be renamed without a word."""
WATCH_SOURCE = "configuration watch"
"""Of the conditions that say which directories can't be watched."""


class ReloadListener(Protocol):
    """Who wants to know of reloads; called from the reloader's thread."""

    def began(self) -> None:
        """Take note that a reload begins."""

    def ended(self, summary: str) -> None:
        """Take note of how it ended, in one line."""


class ConfigurationPort(Protocol):
    """What is needed of the configuration in force; see memtierd.reconfiguring.Configuration."""

    file: "ConfigFile | None"

    def read(self) -> "ConfigFile":
        """Return the configuration file as it is now.  Raises ConfigError."""

    def reload(self, file: "ConfigFile") -> "list[Change]":
        """Change over to what was read.  Raises MemtierdError when that can't work here."""

    def refused(self, error: MemtierdError) -> None:
        """Hold what is wrong with the file."""

    def is_as_loaded(self) -> None:
        """Take note that the file is what it was when it was loaded."""


class ControlPort(Protocol):
    """What is needed of the control loop."""

    def hold(self, source: str, texts: Sequence[str]) -> None:
        """Take these as all lasting conditions of a source."""


class DaemonPort(Protocol):
    """What is needed of the daemon."""

    @property
    def configuration(self) -> ConfigurationPort:
        """Return the configuration in force."""

    @property
    def control(self) -> ControlPort:
        """Return the control loop."""


class WatchPort(Protocol):
    """What is needed of the watch; see memtierd.reloading.watch.Watch."""

    @property
    def is_written(self) -> bool:
        """Return whether somebody is writing to one of the files."""

    def take_as_written(self) -> None:
        """Wait no longer for those who write."""

    def arrange(self, plan: Plan) -> tuple[str, ...]:
        """Watch exactly these directories; return what keeps some from being watched."""

    def stop(self) -> None:
        """Watch nothing any more."""


def _watchdog(on_change: Callable[[], None]) -> WatchPort:
    from memtierd.reloading.watch import Watch  # noqa: PLC0415  only a daemon with a file needs watchdog

    return Watch(on_change)


class Reloader:
    """Reloads the configuration file of a daemon that has loaded one.

    A change in the directories of the file and its drop-ins, and `request`, only say that it is time to look.
    """

    def __init__(
        self,
        daemon: DaemonPort,
        *,
        listener: ReloadListener | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        make_watch: Callable[[Callable[[], None]], WatchPort] = _watchdog,
    ) -> None:
        self._configuration = daemon.configuration
        self._hold = daemon.control.hold
        self._listener = listener
        self._clock_ns = clock_ns
        self._make_watch = make_watch
        self._wake = threading.Condition(threading.RLock())
        """Its lock may be taken by a signal handler that interrupts who has it."""
        self._pending = Pending()
        self._stopping = False
        self._thread: threading.Thread | None = None
        # Only used by the thread:
        self._path = ""
        self._watch: WatchPort | None = None
        self._look_due_ns = 0
        self._seen: Mark = ()
        """What the files were when somebody looked last."""
        self._asked: Mark = ()
        """What they were when it was found that it is time to look."""
        self._refused: bytes | tuple[str, ...] | None = None
        """The content, or the errors, that were refused last: they are told once."""

    def start(self) -> None:
        """Watch the configuration file from now on; no effect without one."""
        if self._thread is None and self._configuration.file is not None:
            self._stopping = False
            self.begin(self._configuration.file)
            self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End after the reload under way."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._wake:
                self._stopping = True
                self._wake.notify()
            thread.join()
            self.end()

    def request(self, why: str) -> None:
        """Reload soon, also when the files are unchanged; `why` is for the log, such as SIGHUP."""
        with self._wake:
            self._pending.ask(self._clock_ns(), why)
            self._wake.notify()

    def _changed(self) -> None:
        with self._wake:
            self._pending.ask(self._clock_ns())
            self._wake.notify()

    # the thread

    def _run(self) -> None:
        while True:
            wait_ns = self._guarded_turn()
            with self._wake:
                if self._stopping:
                    return
                if not self._pending.is_new:
                    self._wake.wait(wait_ns / 1e9)

    def _guarded_turn(self) -> int:
        """Take a turn; a bug in it is logged, and the daemon can be reloaded all the same."""
        try:
            return self.turn()
        except Exception as error:
            LOG.exception("reload: unexpected %s; this is a bug, report it", type(error).__name__)
            return POLL_NS

    def begin(self, file: "ConfigFile") -> None:
        """Begin to watch the files of a configuration; they may have changed since they were read."""
        self._path = file.path
        self._look_due_ns = self._clock_ns()
        if _is_regular(file.path):
            self._watch = self._make_watch(self._changed)

    def end(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
            self._hold(WATCH_SOURCE, ())

    def turn(self) -> int:
        """Do what is due, and return after how many nanoseconds there may be something to do again."""
        if self._watch is not None and self._clock_ns() >= self._look_due_ns:
            self._look()
        request = self._due_request()
        if request is not None:
            self._attend(request)
        with self._wake:
            due_ns = self._pending.due_ns(being_written=self._is_written)
        now_ns = self._clock_ns()
        look_due_ns = self._look_due_ns if self._watch is not None else now_ns + POLL_NS
        return max(0, min(look_due_ns, look_due_ns if due_ns is None else due_ns) - now_ns)

    @property
    def _is_written(self) -> bool:
        return self._watch is not None and self._watch.is_written

    def _look(self) -> None:
        """Watch what has to be watched now, and ask for a reload when the files are not what they were."""
        if self._watch is not None:
            self._hold(WATCH_SOURCE, self._watch.arrange(watch_plan(self._path)))
        seen = mark(self._path)
        self._look_due_ns = self._clock_ns() + POLL_NS
        if seen != self._seen:
            self._seen = seen
            self._changed()

    def _due_request(self) -> Request | None:
        """Return the requests that have waited long enough, if the files did not change meanwhile."""
        with self._wake:
            is_new, self._pending.is_new = self._pending.is_new, False
            if is_new:
                self._asked = mark(self._path)
            due_ns = self._pending.due_ns(being_written=self._is_written)
            if due_ns is None or self._clock_ns() < due_ns:
                return None
            if mark(self._path) != self._asked:
                self._pending.ask(self._clock_ns())
                return None
            if self._watch is not None:
                self._watch.take_as_written()
            return self._pending.take()

    def _attend(self, request: Request) -> None:
        """Read the files and take them over, if they have changed or somebody wants it in any case."""
        self._seen = self._asked
        try:
            file = self._configuration.read()
        except ConfigError as error:
            self._refuse(request, error)
            return
        finally:
            self._look()  # the links of today may lead to other directories
        if mark(self._path) != self._asked:  # they changed while they were read
            self._ask_again(request)
            return
        loaded = self._configuration.file
        if not request.reasons and loaded is not None and file.digest == loaded.digest:
            if self._refused is not None:
                LOG.info("%s is right again: it says what runs already", printable(self._path))
            self._refused = None
            self._configuration.is_as_loaded()
        elif request.reasons or file.digest != self._refused:
            self._take_over(request, file)

    def _ask_again(self, request: Request) -> None:
        with self._wake:
            for reason in request.reasons or ("",):
                self._pending.ask(self._clock_ns(), reason)

    def _refuse(self, request: Request, error: ConfigError) -> None:
        problems = tuple(error.problems)
        if request.reasons or problems != self._refused:
            self._refused = problems
            self._tell_began(request)
            self._configuration.refused(error)
            self._tell_ended(_summary_of(error))

    def _take_over(self, request: Request, file: "ConfigFile") -> None:
        self._tell_began(request)
        began_ns = self._clock_ns()
        try:
            changed = self._configuration.reload(file)
        except MemtierdError as error:
            self._refused = file.digest
            self._tell_ended(_summary_of(error))
            return
        except Exception:  # a service manager must not wait for the end of this reload for ever
            self._tell_ended("configuration not taken over: a bug, see the log")
            raise
        self._refused = None
        spent_ms = (self._clock_ns() - began_ns) / 1e6
        self._tell_ended(
            f"configuration taken over in {spent_ms:.0f} ms (values changed: {len(changed)})"
            if changed
            else "configuration unchanged"
        )

    def _tell_began(self, request: Request) -> None:
        LOG.info("reading %s again: %s", printable(self._path), ", ".join(request.reasons) or "it changed")
        if self._listener is not None:
            self._listener.began()

    def _tell_ended(self, summary: str) -> None:
        if self._listener is not None:
            self._listener.ended(summary)


def _summary_of(error: MemtierdError) -> str:
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"configuration not taken over: {printable(problems[0])}{more}"


def _is_regular(path: str) -> bool:
    """Return whether there is a file that can be read again and again, unlike a pipe."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True  # it is missing just now
