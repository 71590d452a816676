"""Time stamps: Go's layouts and names, and counted seconds."""

from datetime import datetime, timedelta, timezone

import pytest

from memtierd.routines.timestamps import format_time

AT_NS = 1_795_452_145_080_900_001
CET = timezone(timedelta(hours=1), "CET")


def stamp(layout: str, zone: timezone = CET, elapsed_ns: int = 65_999_999_999) -> str:
    return format_time(layout, datetime.fromtimestamp(AT_NS // 1_000_000_000, zone), AT_NS, elapsed_ns)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("ansic", "Mon Nov 23 17:42:25 2026"),
        ("unixdate", "Mon Nov 23 17:42:25 CET 2026"),
        ("rfc822", "23 Nov 26 17:42 CET"),
        ("rfc822z", "23 Nov 26 17:42 +0100"),
        ("rfc850", "Monday, 23-Nov-26 17:42:25 CET"),
        ("rfc1123", "Mon, 23 Nov 2026 17:42:25 CET"),
        ("rfc3339", "2026-11-23T17:42:25+01:00"),
        ("rfc3339nano ", "2026-11-23T17:42:25.080900001+01:00 "),
        ("15:04:05.000", "17:42:25.080"),
        ("15:04:05,00", "17:42:25,08"),
        ("5.999", "25.08"),
        ("3:4:5 PM pm 03", "5:42:25 PM pm 05"),
        ("1/2/06 January Monday", "11/23/26 November Monday"),
        ("002 __2 _2 _2006", "327 327 23 _2026"),
        ("-07 -07:00:00 Z0700", "+01 +01:00:00 +0100"),
        ("Janet Monk", "Janet Monk"),
        ("unix", "1795452145"),
        ("unix.s|unix.milli", "1795452145|1795452145.080"),
        ("unix.micro|unix.nano", "1795452145.080900|1795452145.080900001"),
        ("[duration] duration.milli", "[65] 65.999"),
        ("at unix:", "at 1795452145:"),
        ("", ""),
    ],
)
def test_layout(layout: str, expected: str) -> None:
    assert stamp(layout) == expected


def test_utc_and_zones_to_the_west() -> None:
    assert stamp("rfc3339", timezone.utc) == "2026-11-23T16:42:25Z"  # noqa: UP017  as users see it
    assert stamp("Z070000 -0700", timezone(-timedelta(hours=3, minutes=30), "NST")) == "-033000 -0330"
