"""Lasting conditions that keep pages from moving, each said once and withdrawn when it is over."""

import errno
import threading
from typing import Literal

from memtierd.errors import KernelError
from memtierd.model import SWAP_NODE, ProcessKey

Kind = Literal["full", "cpuset", "permission", "reclaim", "crashed"]
_Key = tuple[Kind, int, ProcessKey | None]


class Conditions:
    """The conditions that hold now; filled by the mover's thread, read by any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: dict[_Key, str] = {}

    def target_full(self, target: int) -> None:
        """Note that nothing more fits on a node, or into swap."""
        if target == SWAP_NODE:
            message = "swap out pages: /proc/swaps shows no free space; add swap or take it out of the policy"
        else:
            advice = "free memory there or let the policy use more nodes"
            message = str(KernelError(f"move pages to node {target}", errno.ENOMEM, advice))
        self._note(("full", target, None), message)

    def outside_cpuset(self, key: ProcessKey, target: int) -> None:
        """Note that a process may not have memory on a node."""
        advice = f"add node {target} to cpuset.mems of its cgroup or take the node out of the policy"
        message = str(KernelError(f"move pages of pid {key.pid} to node {target}", errno.EACCES, advice))
        self._note(("cpuset", target, key), message)

    def not_permitted(self, key: ProcessKey, target: int) -> None:
        """Note that memtierd lacks the right to move memory of a process."""
        what = "swap out pages" if target == SWAP_NODE else "move pages"
        advice = "run as root with all capabilities, memtierd -check says which are missing"
        self._note(("permission", target, key), str(KernelError(f"{what} of pid {key.pid}", errno.EPERM, advice)))

    def not_reclaimable(self, key: ProcessKey, reason: str) -> None:
        """Note that the cgroup of a process can't be told to reclaim memory."""
        self._note(("reclaim", SWAP_NODE, key), reason)

    def crashed(self) -> None:
        """Note that the mover stopped because of a bug."""
        self._note(
            ("crashed", 0, None),
            "move pages: the mover has stopped; this is a bug, report it with what is on standard error",
        )

    def started(self) -> None:
        """Withdraw that it stopped."""
        with self._lock:
            self._messages.pop(("crashed", 0, None), None)

    def succeeded(self, key: ProcessKey, target: int) -> None:
        """Withdraw what no longer holds, now that pages of a process arrived at a target."""
        with self._lock:
            self._messages.pop(("full", target, None), None)
            self._messages.pop(("cpuset", target, key), None)
            self._messages.pop(("permission", target, key), None)
            self._messages.pop(("reclaim", target, key), None)

    def forget(self, key: ProcessKey) -> None:
        """Withdraw the conditions of a process that is no longer managed."""
        with self._lock:
            self._messages = {entry: message for entry, message in self._messages.items() if entry[2] != key}

    def messages(self) -> tuple[str, ...]:
        """Return the conditions that hold, one line each."""
        with self._lock:
            return tuple(self._messages.values())

    def _note(self, entry: _Key, message: str) -> None:
        with self._lock:
            self._messages.setdefault(entry, message)
