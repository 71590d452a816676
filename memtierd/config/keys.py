"""How parameters are spelled: `pages_in_region` is ``pagesinregion``, ``PagesInRegion`` or ``pages-in-region``."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

import attrs

from memtierd.config.problems import MAX_SHOWN

Field: TypeAlias = "attrs.Attribute[Any]"

_CAMEL = {"Rss": "RSS", "Pidwatcher": "PidWatcher"}
"""Words that the seed capitalizes in its own way."""


def normalized(key: str) -> str:
    """Return `key` without regard to case, ``_`` and ``-``: how keys are compared."""
    return re.sub("[-_]", "", key).lower()


def key_of(name: str) -> str:
    """Return the spelling in files and messages of the attrs field `name`."""
    return normalized(name)


def camel_of(name: str) -> str:
    """Return the spelling in JSON of the attrs field `name`."""
    words = (word.capitalize() for word in name.split("_"))
    return "".join(_CAMEL.get(word, word) for word in words)


def known_names(given: str, known: Iterable[str]) -> str:
    """Return what to write instead of the unknown `given`: the nearest known name, and all of them."""
    names = sorted(known)
    if not names:
        return "none here"
    listed = f"one of {', '.join(names)}" if len(names) != 1 else names[0]
    nearest = difflib.get_close_matches(normalized(given[:MAX_SHOWN]), names, n=1)
    return f"perhaps {nearest[0]}, {listed}" if nearest and len(names) != 1 else listed
