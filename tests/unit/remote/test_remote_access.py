"""Who may attach, and what they may do there."""

import os
import socket
from pathlib import Path

import pytest

from memtierd.errors import MemtierdError
from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.grammar import Command, NoOptions
from memtierd.remote.access import Access, Peer, Rules, gid_of, peer_of


def peer(uid: int, *groups: int) -> Peer:
    return Peer(1, uid, frozenset(groups))


@pytest.mark.parametrize(
    ("rules", "who", "access"),
    [
        (Rules(0), peer(0, 0), Access.CHANGE),
        (Rules(0), peer(1000, 1000), Access.NONE),
        (Rules(1000), peer(1000, 7), Access.CHANGE),
        (Rules(1000), peer(0, 0), Access.CHANGE),
        (Rules(1000), peer(1001, 1000), Access.NONE),
        (Rules(0, 50), peer(1000, 1000, 50), Access.LOOK),
        (Rules(0, 50), peer(1000, 50), Access.LOOK),
        (Rules(0, 50), peer(1000, 1000, 51), Access.NONE),
        (Rules(0, 50, True), peer(1000, 50), Access.CHANGE),
        (Rules(0, 50, True), peer(1000, 51), Access.NONE),
        (Rules(0, None, True), peer(1000, 0), Access.NONE),
    ],
)
def test_rules(rules: Rules, who: Peer, access: Access) -> None:
    assert rules.access(who) is access


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair()
    with one, other:
        who = peer_of(one)
    assert (who.pid, who.uid) == (os.getpid(), os.geteuid())
    assert who.groups >= {os.getegid(), *os.getgroups()}


def test_groups() -> None:
    assert gid_of("4711") == 4711
    assert gid_of("root") == 0
    with pytest.raises(MemtierdError, match="there is no group 'no-such-group'"):
        gid_of("no-such-group")


def changing(line: str) -> list[str]:
    name, *words = line.split(" ")
    return COMMANDS[name].changing(COMMANDS[name].parse(tuple(words)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_is_declared_to_change_something_or_not(name: str) -> None:
    command = COMMANDS[name]
    if command.changes is None:
        assert command.flags, "a command without flags must be declared itself"
        assert [one.name for one in command.flags if one.changes is None] == []
    else:
        assert [one.name for one in command.flags if one.changes is not None] == [], "declared twice"


def test_what_was_not_declared_counts_as_a_change() -> None:
    command = Command("made-up", "", lambda _context, _options: None, COMMANDS["regions"].options)
    assert command.changing(command.parse(["-top", "3"])) == ["-top"]
    assert Command("made-up", "", lambda _context, _options: None, NoOptions, changes=True).changing(NoOptions()) == [
        "made-up"
    ]


LOOKS = (
    "arange -pid 1 -ls",
    "config",
    "config -diff",
    "config -save file -force -all",
    "health -f json",
    "help stats",
    "mover -tasks -config-dump",
    "mover -wait -timeout 3s",
    "nop",
    "pages -pid 1 -pm 3",
    "pages -pk 1 -pi 2",
    "pidwatcher -ls -dump",
    "plan -f json",
    "policy -ls -config-dump -dump accessed 0,5s",
    "policy -dry-run",
    "q",
    "regions -why 7f0000000000",
    "routines -ls -use 1 -dump",
    "stats -t events -f json",
    "swap -pid 1 -status -vaddrs",
    "time -sleep 1s",
    "top -count 1",
    "tracker -ls -config-dump -counters -heat",
)
CHANGES = {
    "config -reload": ["-reload"],
    "config -set a=b -f json": ["-set"],
    "log -i text": ["log"],
    "log -copy": ["log"],
    "mover -config {} -tasks": ["-config"],
    "mover -pages-to 1": ["-pages-to"],
    "mover -stop -start -pause -continue -remove-task 1": ["-stop", "-start", "-pause", "-continue", "-remove-task"],
    "pages -si 1": ["-si"],
    "pidwatcher -create pidlist -config {}": ["-create", "-config"],
    "pidwatcher -config-file x -listener log -poll -start -stop": [
        "-config-file",
        "-listener",
        "-stop",
        "-start",
        "-poll",
    ],
    "plan -now": ["-now"],
    "policy -create age -config-file x -start": ["-create", "-config-file", "-start"],
    "policy -stop": ["-stop"],
    "policy -dry-run on": ["-dry-run"],
    "routines -create statactions -start": ["-create", "-start"],
    "stats -dump moves new": ["-dump"],
    "swap -pid 1 -out -mover": ["-out", "-mover"],
    "swap -pid 1 -in": ["-in"],
    "tracker -create softdirty -start 1": ["-create", "-start"],
    "tracker -reset": ["-reset"],
    "tracker -dump raw start": ["-dump"],
}


@pytest.mark.parametrize("line", LOOKS)
def test_looking_changes_nothing(line: str) -> None:
    assert changing(line) == []


@pytest.mark.parametrize(("line", "flags"), CHANGES.items())
def test_changes_are_named(line: str, flags: list[str]) -> None:
    assert changing(line) == flags


def test_every_command_is_in_the_lists_above() -> None:
    assert {line.split(" ")[0] for line in (*LOOKS, *CHANGES)} == set(COMMANDS)


def test_the_page_about_it_lists_what_is_declared() -> None:
    page = (Path(__file__).parents[3] / "docs" / "remote.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        flags = ", ".join(f"`-{one.name}`" for one in command.flags if one.changes is not False)
        if command.changes is None:
            assert f"- `{name}` with {flags}\n" in page
        else:
            assert (f"- `{name}`\n" in page) is command.changes
