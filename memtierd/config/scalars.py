"""What a plain YAML scalar means: the core schema of YAML 1.2 without octal, hexadecimal and leading zeros.

``yes``, ``on``, ``0x10``, ``010`` and ``1_000`` mean different things to different YAML readers, so here they are
texts, and a parameter that wants a boolean or a number refuses them.
"""

import math
import re

Value = bool | int | float | str | None

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
"""Integers that fit in 64 bits whatever their digits; longer ones are numbers with a fraction to us."""
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


def resolve(text: str) -> Value:
    """Return what the plain scalar `text` stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
