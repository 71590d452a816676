"""Which directories are watched for whom, which changes matter, and what is said when they can't be watched."""

import errno
import os
import struct

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.errors import KernelError
from memtierd.linux import inotify
from memtierd.linux.inotify import Event, Inotify, parse_events
from memtierd.watchers.cgroups import parents
from memtierd.watchers.changes import GroupChanges

DIRECTORY = inotify.IN_ISDIR


class FakeInotify(Inotify):
    """An instance whose kernel has a few directories, and watches for so many."""

    def __init__(self) -> None:
        self.inodes = {"/g": 1, "/g/a": 2, "/g/b": 3}
        self.limit = 10
        self.watches: set[int] = set()
        self.events: list[Event] = []
        self.closed = False

    def fileno(self) -> int:
        return 7

    def close(self) -> None:
        self.closed = True

    def add(self, directory: str, mask: int) -> int:
        if directory not in self.inodes:
            raise KernelError(f"watch {directory}", errno.ENOENT)
        inode = self.inodes[directory]
        if inode not in self.watches and len(self.watches) >= self.limit:
            raise KernelError(f"watch {directory}", errno.ENOSPC)
        self.watches.add(inode)
        return inode

    def remove(self, watch: int) -> None:
        self.watches.remove(watch)

    def read(self) -> list[Event]:
        events, self.events = self.events, []
        return events


@attrs.define
class Scene:
    kernel: FakeInotify = attrs.field(factory=FakeInotify)
    instances: int = 1
    """How many may be opened."""
    changes: GroupChanges = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.changes = GroupChanges(self._open)

    def _open(self) -> Inotify:
        if not self.instances:
            raise KernelError("open an inotify instance", errno.EMFILE)
        return self.kernel

    def poll(self, *seen: str | tuple[str, str]) -> None:
        self.changes.begin()
        for one in seen:
            self.changes.see(*((one,) if isinstance(one, str) else one))
        self.changes.end()

    def matters(self, watch: int, mask: int, name: str = "") -> bool:
        self.kernel.events = [Event(watch, mask, name)]
        return self.changes.take()


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_nothing_is_opened_for_those_who_see_nothing(scene: Scene) -> None:
    scene.poll()
    assert scene.changes.fileno() is None
    assert not scene.changes.take()


def test_what_is_seen_no_longer_is_watched_no_longer(scene: Scene) -> None:
    scene.poll("/g", "/g/a", "/g/none")
    assert scene.kernel.watches == {1, 2}
    scene.kernel.inodes["/g/a"] = 9  # removed and made again; the kernel never tells of the former's end
    scene.poll("/g", "/g/a")
    assert scene.kernel.watches == {1, 9}
    scene.poll("/g")
    assert scene.kernel.watches == {1}
    assert not scene.changes.conditions
    scene.changes.close()
    assert scene.kernel.closed
    assert scene.changes.fileno() is None


def test_watches_of_a_poll_that_failed_are_not_lost(scene: Scene) -> None:
    scene.changes.begin()
    scene.changes.see("/g/a")
    scene.poll("/g")
    assert scene.kernel.watches == {1}


@pytest.mark.parametrize(
    ("mask", "name", "everything", "one_name"),
    [
        (inotify.IN_CREATE | DIRECTORY, "a", True, True),
        (inotify.IN_DELETE | DIRECTORY, "a", True, True),
        (inotify.IN_MOVED_TO | DIRECTORY, "a", True, True),
        (inotify.IN_CREATE | DIRECTORY, "x", True, False),
        (inotify.IN_CREATE, "a", False, False),
        (inotify.IN_MODIFY, "cgroup.procs", True, False),
        (inotify.IN_MODIFY, "cgroup.events", True, False),
        (inotify.IN_MODIFY, "memory.events", False, False),
        (inotify.IN_DELETE_SELF, "", True, True),
        (inotify.IN_UNMOUNT, "", True, True),
        (inotify.IN_IGNORED, "", False, False),
    ],
)
def test_what_matters(scene: Scene, mask: int, name: str, everything: bool, one_name: bool) -> None:
    scene.poll("/g", ("/g/b", "a"))
    assert scene.matters(1, mask, name) == everything
    assert scene.matters(3, mask, name) == one_name
    assert not scene.matters(2, mask, name)  # not watched


def test_lost_events_matter(scene: Scene) -> None:
    scene.poll("/g")
    assert scene.matters(-1, inotify.IN_Q_OVERFLOW)


def test_a_directory_that_is_seen_for_several_reasons(scene: Scene) -> None:
    scene.poll(("/g", "a"), "/g", ("/g", "b"), ("/g/a", "x"), ("/g/a", "y"))
    assert scene.matters(1, inotify.IN_MODIFY, "cgroup.procs")
    assert scene.matters(2, inotify.IN_CREATE | DIRECTORY, "x")
    assert scene.matters(2, inotify.IN_CREATE | DIRECTORY, "y")


def test_too_few_watches_are_one_condition_until_there_are_enough(scene: Scene) -> None:
    scene.kernel.limit = 1
    scene.poll("/g", "/g/a", "/g/b")
    (said,) = scene.changes.conditions
    assert said == (
        "watch control groups for changes: no space left on device (ENOSPC);"
        " raise fs.inotify.max_user_watches; until then they are only polled"
    )
    scene.poll("/g", "/g/a")
    assert scene.changes.conditions == (said,)
    assert scene.kernel.watches == {1}  # what could be watched is
    scene.kernel.limit = 3
    scene.poll("/g", "/g/a")
    assert not scene.changes.conditions


def test_too_few_instances(scene: Scene) -> None:
    scene.instances = 0
    scene.poll("/g", "/g/a")
    assert scene.changes.fileno() is None
    assert "EMFILE" in scene.changes.conditions[0]
    scene.instances = 1
    scene.poll("/g")
    assert not scene.changes.conditions
    assert scene.kernel.watches == {1}


EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(-1, 1 << 30),
        st.integers(0, (1 << 32) - 1),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    )
)


@given(EVENTS, st.integers(1, 16))
def test_events_of_one_read(events: list[Event], padding: int) -> None:
    data = b""
    for event in events:
        name = os.fsencode(event.name)
        name += bytes(padding) if name else b""
        data += struct.pack("iIII", event.watch, event.mask, 0, len(name)) + name
    assert list(parse_events(data)) == events


def test_parents_down_from_the_mount_point() -> None:
    assert parents("/proc/some/thing/") == [("/proc", "some"), ("/proc/some", "thing")]
    assert parents("/no-such-directory") == [("/", "no-such-directory")]
    assert parents("/") == []
