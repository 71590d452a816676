"""Text of others on one line."""

import pytest

from memtierd.text import bounded, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a b ≥ ü", "a b ≥ ü"),
        ("\x1b[31mred\n", "\\x1b[31mred\\n"),
        ("tab\there", "tab\\there"),
        ("\udcff\x9b\u202e", "\\udcff\\x9b\\u202e"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_bounded() -> None:
    assert bounded("x" * 10, most=10) == "x" * 10
    assert bounded("\n" * 11, most=2) == "\\n\\n… (11 characters)"
