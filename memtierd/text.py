"""Text of others, such as the name of a process, made fit for one line of a terminal or a log."""


def printable(text: str) -> str:
    """Return `text` on one line, with escapes such as ``\\x1b`` for everything that is not printable."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def bounded(text: str, most: int = 2000) -> str:
    """Return `text` printable, and cut off after `most` characters: what somebody typed may be a whole file."""
    return printable(text) if len(text) <= most else f"{printable(text[:most])}… ({len(text)} characters)"
