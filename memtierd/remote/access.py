"""Who may attach, and what they may do: by the credentials that the kernel tells of the other side."""

import enum
import grp
import os
import pwd
import socket
import struct

import attrs

from memtierd.errors import MemtierdError

_UCRED = struct.Struct("iII")  # pid, uid, gid: struct ucred in unix(7)
_SO_PEERGROUPS = 59  # include/uapi/asm-generic/socket.h, since Linux 4.13
_GROUPS_BYTES = 1024
"""The most that Python's getsockopt takes: 256 groups."""


class Access(enum.Enum):
    """What a client may do."""

    NONE = "denied"
    LOOK = "may look"
    CHANGE = "may change"


@attrs.frozen
class Peer:
    """The process at the other end, as it was when it connected (or began to listen)."""

    pid: int
    uid: int
    groups: frozenset[int]
    """The gid, and the supplementary groups."""

    def __str__(self) -> str:
        return f"pid {self.pid}, uid {self.uid}"


@attrs.frozen
class Rules:
    """Who may do what."""

    own_uid: int
    gid: int | None = None
    """The group whose members may attach."""
    group_writes: bool = False
    """Whether they may change something."""

    def access(self, peer: Peer) -> Access:
        """Return what a peer may do: root and the daemon's own user everything, the group what it was given."""
        if peer.uid in (0, self.own_uid):
            return Access.CHANGE
        if self.gid is None or self.gid not in peer.groups:
            return Access.NONE
        return Access.CHANGE if self.group_writes else Access.LOOK


def peer_of(connection: socket.socket) -> Peer:
    """Return who is at the other end of a connected Unix socket (SO_PEERCRED, SO_PEERGROUPS; man unix(7)).

    Raises OSError.
    """
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
        groups = frozenset(struct.unpack(f"{len(raw) // 4}I", raw))
    except OSError:  # more groups than fit
        groups = _groups_by_name(uid, gid)
    return Peer(pid, uid, groups | {gid})


def _groups_by_name(uid: int, gid: int) -> frozenset[int]:
    try:
        return frozenset(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except KeyError:
        return frozenset()


def gid_of(name: str) -> int:
    """Return the number of a group, which may be given by number, too.  Raises MemtierdError."""
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise MemtierdError(
            f"control socket: there is no group {name!r}; make it with groupadd, or give another"
        ) from None
