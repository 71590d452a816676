"""What the kernel tells of changes in control groups: not who came or went, only that it is time to look again."""

import errno
from collections.abc import Callable

from memtierd.errors import KernelError
from memtierd.linux.inotify import (
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    Event,
    Inotify,
)

_COMES_AND_GOES = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
_ITSELF = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT
_WATCHED = _COMES_AND_GOES | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
"""The same for every directory: another mask would replace that of an earlier watch on the same one."""
_MEMBERS = frozenset({"cgroup.procs", "cgroup.threads", "tasks", "cgroup.events"})
"""Files that are written when processes move in, and one that the kernel says is modified when the group is populated
or no longer so (kernel/cgroup/cgroup.c, cgroup_file_notify)."""
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV)
_ADVICE = {
    errno.EMFILE: "raise fs.inotify.max_user_instances or the number of open files (ulimit -n)",
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
}


class GroupChanges:
    """Watches the directories that a poll sees, from `begin` to `end`, and no others; owned by one thread.

    Watching anew at every poll costs a system call a group, and finds a group that was removed and made again.
    The watch of a removed group never goes by itself, so all that a poll did not see are removed.
    """

    def __init__(self, opened: Callable[[], Inotify] = Inotify) -> None:
        self.conditions: tuple[str, ...] = ()
        """What keeps the kernel from telling; processes are found by polling only then."""
        self._open = opened
        self._inotify: Inotify | None = None
        self._watches: dict[int, set[str] | None] = {}
        """The names that matter in each watched directory, None: all that concerns processes."""
        self._seen: dict[int, set[str] | None] = {}
        self._refused: set[int] = set()

    def fileno(self) -> int | None:
        """Return a descriptor that can be read when something has changed, None when nothing is watched."""
        return self._inotify.fileno() if self._inotify is not None else None

    def close(self) -> None:
        """Watch nothing any more."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        self._watches.clear()

    def begin(self) -> None:
        """Begin a poll."""
        self._seen, self._refused = {}, set()

    def see(self, directory: str, name: str | None = None) -> None:
        """Watch a directory for all that concerns processes, or for this entry only; call it before reading it."""
        if errno.EMFILE in self._refused:
            return
        try:
            if self._inotify is None:
                self._inotify = self._open()
            watch = self._inotify.add(directory, _WATCHED)
        except KernelError as error:
            if error.errno not in _NOT_THERE:
                self._refused.add(error.errno)
            return
        self._watches.setdefault(watch, set())  # known also when the poll fails and never comes to its end
        names = self._seen.setdefault(watch, set())
        if name is None:
            self._seen[watch] = None
        elif names is not None:
            names.add(name)

    def end(self) -> None:
        """End a poll: what it did not see is watched no longer."""
        if self._inotify is not None:
            for watch in self._watches.keys() - self._seen.keys():
                self._inotify.remove(watch)
        self._watches = self._seen
        self.conditions = tuple(map(_told, sorted(self._refused)))

    def take(self) -> bool:
        """Take what has come and return whether it is a reason to look again."""
        if self._inotify is None:
            return False
        return any(self._matters(event) for event in self._inotify.read())

    def _matters(self, event: Event) -> bool:
        if event.mask & IN_Q_OVERFLOW:
            return True
        if event.watch not in self._watches:
            return False
        names = self._watches[event.watch]
        if event.mask & _ITSELF:
            return True
        if event.mask & _COMES_AND_GOES:
            return bool(event.mask & IN_ISDIR) and (names is None or event.name in names)
        return names is None and event.name in _MEMBERS


def _told(number: int) -> str:
    error = KernelError("watch control groups for changes", number, _ADVICE.get(number, ""))
    return f"{error}; until then they are only polled"
