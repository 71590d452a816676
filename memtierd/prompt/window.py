"""What a person looks through: how wide a terminal's window is, and whether it shows colours."""

import attrs

_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34}


@attrs.frozen
class Window:
    """How text is to be shown; the defaults are for pipes and files, where nothing is changed."""

    columns: int | None = None
    """Characters in a line, None: any number."""
    has_colours: bool = False

    def paint(self, text: str, colour: str) -> str:
        """Return text in a colour, where there are colours; no colour has an empty name."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if colour and self.has_colours else text

    def width(self, most: int) -> int:
        """Return how wide running text may be: `most`, or less where the window is narrower."""
        return most if self.columns is None else min(most, max(self.columns, 40))


def window_of(out: object) -> Window:
    """Return the window in which a writer's text is seen: only output that goes straight to a terminal has one."""
    window = getattr(out, "window", None)
    return window if isinstance(window, Window) else Window()
