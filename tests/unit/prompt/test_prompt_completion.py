"""Completion: commands, flags and values for the word before the cursor."""

from collections.abc import Iterable

import pytest

from memtierd.prompt.commands import COMMANDS
from memtierd.prompt.completion import Candidate, complete
from memtierd.prompt.known_values import known_values
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt

KNOWN = {
    "pid": [("4242", "meme"), ("4300", "db"), ("17", "meme")],
    "node": [("0", ""), ("1", ""), ("2", "no CPU")],
    "state": [("idle", ""), ("active", "")],
}


def values(kind: str, _begun: str) -> Iterable[tuple[str, str]]:
    """Return what is known in these tests."""
    return KNOWN.get(kind, [])


def texts(before: str) -> list[str]:
    """Return the words that the last one may become."""
    return [candidate.text for candidate in complete(before, COMMANDS, values)]


def test_the_first_word_is_a_command() -> None:
    assert texts("") == sorted(COMMANDS)
    assert texts("po") == ["policy"]
    assert texts("  po") == ["policy"]
    assert texts("bogus -") == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_every_command_is_offered(name: str) -> None:
    flags = {f"-{flag.name}" for flag in COMMANDS[name].flags if flag.name} | {"-h"}
    assert set(texts(f"{name} ")) == flags
    assert set(texts(f"{name} -")) == flags
    assert set(texts(f"{name} --")) == {f"-{flag}" for flag in flags}


def test_flags_are_narrowed_down() -> None:
    assert texts("mover -con") == ["-config", "-config-dump", "-continue"]
    assert texts("mover -start -pau") == ["-pause"]
    assert texts("mover x") == []


def test_values_by_text_or_by_name() -> None:
    assert texts("pages -pid 4") == ["4242", "4300"]
    assert texts("pages -pid me") == ["17", "4242"]
    assert texts("pages -node ") == ["0", "1", "2"]
    assert texts("pages -pid=43") == ["-pid=4300"]
    assert texts("pages --pid=43") == ["--pid=4300"]
    assert complete("pages -pid 43", COMMANDS, values) == [Candidate("4300", "4300 (db)")]


def test_items_of_a_list_are_offered_once() -> None:
    assert texts("regions -state idle,") == ["idle,active"]
    assert texts("tracker -start 17,42") == ["17,4242"]
    assert texts("stats -t events,mem") == ["events,memory_scans"]


def test_choices_are_those_of_the_declaration() -> None:
    assert texts("stats -f ") == ["csv", "json", "txt"]
    assert texts("pages -attrs NotD") == ["NotDirty"]


@pytest.mark.parametrize("before", ["stats | gr", "log -i 'wo", 'policy -config {"Tr', "# pages -", 'log -i "'])
def test_text_and_the_shell_are_left_alone(before: str) -> None:
    assert texts(before) == []


def test_what_is_known_comes_from_the_daemon(tmp_path: object) -> None:
    known = known_values(FakeDaemon())
    assert [text for text, _ in known("node", "")] == ["0", "1"]
    assert ("idle", "") in known("state", "")
    assert ("backoff", "") in known("state", "")
    assert ("damon", "") in known("tracker", "") or ("idlepage", "") in known("tracker", "")
    assert (f"{tmp_path}/", "") in known("file", str(tmp_path))
    assert known("nosuch", "") == []


def test_every_kind_that_completes_has_values() -> None:
    known = known_values(Prompt(FakeDaemon()).daemon)
    kinds = {flag.kind.completes for command in COMMANDS.values() for flag in command.flags} - {""}
    assert kinds >= {"pid", "node", "state", "policy", "tracker", "pidwatcher", "routine", "file"}
    for kind in kinds:
        assert list(known(kind, "")), kind
