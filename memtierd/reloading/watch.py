"""Hearing of changes in directories at once, by watchdog; what it can't watch is only looked at now and then."""

import os
from collections.abc import Callable

import attrs
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from memtierd.errors import errno_name
from memtierd.reloading.whereabouts import Plan
from memtierd.text import printable

# Reading a file makes none of these: whoever reads because of them is not told again because of that.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


@attrs.frozen(eq=False)
class _Watched:
    """A directory that is watched, and which one it is: another one may get its name."""

    identity: tuple[int, int]
    names: frozenset[str] | None
    handle: ObservedWatch


class Watch:
    """Watches directories; `on_change` is called, from a thread of its own, when a name that matters changed.

    `arrange` and `stop` are called from one thread.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._watched: dict[str, _Watched] = {}
        self._observer: BaseObserver | None = None
        self._writing: set[str] = set()

    @property
    def is_written(self) -> bool:
        """Return whether somebody has written to one of the files, and not closed it yet."""
        return bool(self._writing)

    def take_as_written(self) -> None:
        """Wait no longer for those who write to close their files."""
        self._writing.clear()

    def arrange(self, plan: Plan) -> tuple[str, ...]:
        """Watch exactly these directories; return a sentence for each one that can't be, by its path."""
        if self._observer is not None and not self._observer.is_alive():
            self.stop()
        wanted = {path: names for path, names in plan.items() if _identity(path) is not None}
        for path, watched in list(self._watched.items()):
            if path not in wanted or wanted[path] != watched.names or watched.identity != _identity(path):
                self._drop(path)
        problems = [self._add(path, wanted[path]) for path in sorted(wanted.keys() - self._watched.keys())]
        return tuple(filter(None, problems))

    def stop(self) -> None:
        """Watch nothing any more."""
        observer, self._observer = self._observer, None
        self._watched.clear()
        self._writing.clear()
        if observer is not None and observer.is_alive():
            observer.stop()
            observer.join()

    def _add(self, path: str, names: frozenset[str] | None) -> str:
        identity = _identity(path)
        if identity is None:  # it went away just now
            return ""
        try:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            handle = self._observer.schedule(_Handler(path, names, self._hear), path, event_filter=_EVENTS)
        except OSError as error:
            said = f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
            return f"watch {printable(path)} for changes: {said}; raise fs.inotify.max_user_watches or _instances"
        self._watched[path] = _Watched(identity, names, handle)
        return ""

    def _drop(self, path: str) -> None:
        watched = self._watched.pop(path)
        if self._observer is not None:
            self._observer.unschedule(watched.handle)
        self._writing -= {written for written in set(self._writing) if os.path.dirname(written) == path}

    def _hear(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileModifiedEvent):
            self._writing.add(os.fsdecode(event.src_path))
        else:
            self._writing -= set(_paths_of(event))
        self._on_change()


class _Handler(FileSystemEventHandler):
    """Passes on what happens to names that matter.  An exception in here would end all watching."""

    def __init__(self, directory: str, names: frozenset[str] | None, hear: Callable[[FileSystemEvent], None]) -> None:
        self._directory = directory
        self._names = names
        self._hear = hear

    def dispatch(self, event: FileSystemEvent) -> None:
        """Pass on an event; those of the directory itself, too."""
        if any(map(self._matters, _paths_of(event))):
            self._hear(event)

    def _matters(self, path: str) -> bool:
        return path == self._directory or self._names is None or os.path.basename(path) in self._names


def _paths_of(event: FileSystemEvent) -> list[str]:
    """Return the paths that an event is about; of a rename the old and the new one."""
    return [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]


def _identity(path: str) -> tuple[int, int] | None:
    """Return which directory has this path, None when none has."""
    try:
        at = os.stat(path)
    except OSError:
        return None
    return at.st_dev, at.st_ino
