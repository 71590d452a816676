"""Splitting command lines."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.errors import CommandError
from memtierd.prompt.tokens import Line, parse_line

AGE = (
    '{"Tracker":{"Name":"softdirty","Config":"{\\"PagesInRegion\\":256,\\"MaxCountPerRegion\\":1}"},'
    '"Mover":{"IntervalMs":20,"Bandwidth":200},"Cgroups":["/sys/fs/cgroup/foobar"],"IdleNumas":[2,3]}'
)


@pytest.mark.parametrize(
    ("text", "words", "shell"),
    [
        ("", (), None),
        ("  \t ", (), None),
        ("pages -pid 42", ("pages", "-pid", "42"), None),
        ("a 'b c' \"d e\" f\\ g", ("a", "b c", "d e", "f g"), None),
        ("a '' \"\" b", ("a", "", "", "b"), None),
        ("a'b'\"c\"d", ("abcd",), None),
        ('\'back\\slash\' "quo\\"te"', ("back\\slash", 'quo"te'), None),
        ("stats | grep accessed", ("stats",), "grep accessed"),
        ("stats|grep a | wc -l", ("stats",), "grep a | wc -l"),
        ("| date", (), "date"),
        ("nop 'a|b' \"c|d\" e\\|f | x", ("nop", "a|b", "c|d", "e|f"), "x"),
        ("nop # not | this", ("nop",), None),
        ("# all of it", (), None),
        ("nop a#b | echo '# kept'", ("nop", "a#b"), "echo '# kept'"),
        (f"policy -create age -config {AGE} -start", ("policy", "-create", "age", "-config", AGE, "-start"), None),
        (f"policy -config '{AGE}'", ("policy", "-config", AGE), None),
        (f"policy -config={AGE} | cat", ("policy", f"-config={AGE}"), "cat"),
        ('x {"a|b": "} # ]"} y', ("x", '{"a|b": "} # ]"}', "y"), None),
        ("x [1, [2, 3]] y", ("x", "[1, [2, 3]]", "y"), None),
        ("x {a: 'it}', b: don't} y", ("x", "{a: 'it}', b: don't}", "y"), None),
        ('x {"a": "\\\\"} y', ("x", '{"a": "\\\\"}', "y"), None),
        ("a{b}c d[e", ("a{b}c", "d[e"), None),
        ("x \\{y", ("x", "{y"), None),
    ],
)
def test_lines(text: str, words: tuple[str, ...], shell: str | None) -> None:
    assert parse_line(text) == Line(words, shell)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a 'b", "the quote ' at column 3 is not closed"),
        ('a "b\\"', 'the quote " at column 3 is not closed'),
        ("a \\", "the command ends behind a backslash; a character must follow"),
        ("x {a: [1}", "unexpected } at column 9; it closes no open bracket"),
        ("x {a", "the bracket { at column 3 is not closed"),
        ('x {"a', 'the quote " at column 4 is not closed'),
        ("stats |  ", "no shell command behind the pipe (|)"),
        ("a\0b", "the command holds a NUL character"),
    ],
)
def test_errors(text: str, said: str) -> None:
    with pytest.raises(CommandError) as raised:
        parse_line(text)
    assert str(raised.value) == said


@given(st.text(alphabet=" ab|#'\"\\{}[]:,=-", max_size=30))
def test_any_text_gives_words_or_a_command_error(text: str) -> None:
    with contextlib.suppress(CommandError):
        line = parse_line(text)
        assert all(isinstance(word, str) for word in line.words)
        assert line.shell is None or line.shell in text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_json_comes_through_unharmed(value: dict[str, object]) -> None:
    text = json.dumps(value)
    assert parse_line(f"x -config {text} -start").words == ("x", "-config", text, "-start")


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="'\0", exclude_categories=["Cs"]))))
def test_single_quotes_keep_everything(words: list[str]) -> None:
    text = " ".join(f"'{word}'" for word in words)
    assert parse_line(text).words == tuple(words)
