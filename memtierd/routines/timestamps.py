"""Times as text by an example: layouts as the time package of Go has them (https://pkg.go.dev/time#pkg-constants)."""

import re
from collections.abc import Callable
from datetime import datetime

_NAMED = {
    "ansic": "Mon Jan _2 15:04:05 2006",
    "unixdate": "Mon Jan _2 15:04:05 MST 2006",
    "rfc822": "02 Jan 06 15:04 MST",
    "rfc822z": "02 Jan 06 15:04 -0700",
    "rfc850": "Monday, 02-Jan-06 15:04:05 MST",
    "rfc1123": "Mon, 02 Jan 2006 15:04:05 MST",
    "rfc3339": "2006-01-02T15:04:05Z07:00",
    "rfc3339nano": "2006-01-02T15:04:05.999999999Z07:00",
}
_NAME = re.compile("|".join(sorted(_NAMED, reverse=True)))
_SECONDS = re.compile(r"(unix|duration)(\.(?:s|milli|micro|nano))?")
_DIGITS = {"": 0, ".s": 0, ".milli": 3, ".micro": 6, ".nano": 9}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ELEMENT = re.compile(
    r"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|2006|__2|002|_2(?!006)|0[1-6]|15|[1-5]|PM|pm"
    r"|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0+|9+)(?![0-9])"
)
_ELEMENTS: dict[str, Callable[[datetime], str]] = {
    "January": lambda at: _MONTHS[at.month - 1],
    "Jan": lambda at: _MONTHS[at.month - 1][:3],
    "1": lambda at: str(at.month),
    "01": lambda at: f"{at.month:02d}",
    "Monday": lambda at: _DAYS[at.weekday()],
    "Mon": lambda at: _DAYS[at.weekday()][:3],
    "2": lambda at: str(at.day),
    "_2": lambda at: f"{at.day:2d}",
    "02": lambda at: f"{at.day:02d}",
    "__2": lambda at: f"{at.timetuple().tm_yday:3d}",
    "002": lambda at: f"{at.timetuple().tm_yday:03d}",
    "15": lambda at: f"{at.hour:02d}",
    "3": lambda at: str(at.hour % 12 or 12),
    "03": lambda at: f"{at.hour % 12 or 12:02d}",
    "PM": lambda at: "PM" if at.hour >= 12 else "AM",
    "pm": lambda at: "pm" if at.hour >= 12 else "am",
    "4": lambda at: str(at.minute),
    "04": lambda at: f"{at.minute:02d}",
    "5": lambda at: str(at.second),
    "05": lambda at: f"{at.second:02d}",
    "2006": lambda at: f"{at.year:04d}",
    "06": lambda at: f"{at.year % 100:02d}",
    "MST": lambda at: at.tzname() or "UTC",
}


def format_time(layout: str, at: datetime, at_ns: int, elapsed_ns: int) -> str:
    """Return the text that `layout` asks for.

    Args:
        layout: elements of Go's example time (``2006-01-02 15:04:05.000``), names of its layouts in lower case
            (``rfc3339``), ``unix`` for seconds since 1970, ``duration`` for seconds since the start of the routine,
            both also with ``.s``, ``.milli``, ``.micro`` and ``.nano`` for 0, 3, 6 and 9 decimals; the rest stays.
        at: the time in its zone; its fraction of a second is not used.
        at_ns: the same time in nanoseconds since 1970.
        elapsed_ns: nanoseconds since the start of the routine.

    Decimals are cut off, never rounded up.

    """
    spelled_out = _NAME.sub(lambda found: _NAMED[found[0]], layout)
    counts = {"unix": at_ns, "duration": elapsed_ns}
    pieces, last = [], 0
    for found in _SECONDS.finditer(spelled_out):
        pieces.append(_dated(spelled_out[last : found.start()], at, at_ns))
        pieces.append(_seconds(counts[found[1]], _DIGITS[found[2] or ""]))
        last = found.end()
    return "".join((*pieces, _dated(spelled_out[last:], at, at_ns)))


def _seconds(value_ns: int, digits: int) -> str:
    whole, fraction_ns = divmod(value_ns, 1_000_000_000)
    return f"{whole}.{fraction_ns:09d}"[: len(str(whole)) + 1 + digits] if digits else str(whole)


def _dated(layout: str, at: datetime, at_ns: int) -> str:
    return _ELEMENT.sub(lambda found: _element(found[0], at, at_ns % 1_000_000_000), layout)


def _element(element: str, at: datetime, fraction_ns: int) -> str:
    if element in _ELEMENTS:
        return _ELEMENTS[element](at)
    if element[0] in ".,":
        return _fraction(element, fraction_ns)
    return _offset(element, at)


def _fraction(element: str, fraction_ns: int) -> str:
    """Return a fraction of a second: as many digits as there are zeros, or nines without zeros at the end."""
    digits = f"{fraction_ns:09d}".ljust(len(element) - 1, "0")[: len(element) - 1]
    if element[1] == "9":
        digits = digits.rstrip("0")
    return element[0] + digits if digits else ""


def _offset(element: str, at: datetime) -> str:
    """Return the distance from UTC in the way of ``-0700``; ``Z0700`` is Z where there is none."""
    offset = at.utcoffset()
    seconds = int(offset.total_seconds()) if offset else 0
    if element[0] == "Z" and not seconds:
        return "Z"
    hours, rest = divmod(abs(seconds), 3600)
    parts = [f"{hours:02d}", f"{rest // 60:02d}", f"{rest % 60:02d}"][: len(re.findall("0[07]", element))]
    return ("-" if seconds < 0 else "+") + (":" if ":" in element else "").join(parts)
