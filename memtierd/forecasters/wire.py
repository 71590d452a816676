"""Heats as one line of JSON: {"PID": [{"addr": BYTES, "length": PAGES, "heat": H, "created": NS, "updated": NS}]}."""

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from memtierd.errors import MemtierdError
from memtierd.forecasters.heats import Heats, ProcessHeats
from memtierd.model import ProcessKey
from memtierd.text import bounded

_REGION = '{{"addr":{},"length":{},"heat":{:.9g},"created":{},"updated":{}}}'
"""Nine digits tell all 32-bit floats apart."""
_MOST_SHOWN = 80


def to_json(heats: Heats) -> bytes:
    """Return the heats as a line, with its end."""
    return ("{" + ",".join(_process_json(key, of_process) for key, of_process in heats.items()) + "}\n").encode()


def _process_json(key: ProcessKey, of_process: ProcessHeats) -> str:
    return f'"{key.pid}":[{",".join(map(_REGION.format, *columns_of(of_process)))}]'


def columns_of(of_process: ProcessHeats) -> Iterable[list[Any]]:
    """Return the columns as Python's own numbers."""
    return [
        column.tolist()
        for column in (
            of_process.start,
            of_process.pages,
            of_process.heat,
            of_process.created_ns,
            of_process.updated_ns,
        )
    ]


def from_json(line: bytes, asked: Heats) -> Heats:
    """Return the heats in a line that answers `asked`; other processes are left out.

    Raises MemtierdError, which says what is wrong with the line.
    """
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MemtierdError(f"not a line of JSON: {_shown(line)}") from error
    keys = {str(key.pid): key for key in asked}
    if not isinstance(answer, dict):
        raise MemtierdError(f"not a JSON object with pids: {_shown(line)}")
    return {keys[pid]: _process_heats(pid, regions) for pid, regions in answer.items() if pid in keys}


def _shown(line: bytes) -> str:
    return bounded(line.decode("utf-8", "backslashreplace").strip(), _MOST_SHOWN)


def _process_heats(pid: str, regions: Any) -> ProcessHeats:
    try:
        return ProcessHeats(
            np.array([_count(region["addr"]) for region in regions], dtype=np.uint64),
            np.array([_count(region["length"]) for region in regions], dtype=np.uint32),
            np.array([_heat(region["heat"]) for region in regions], dtype=np.float64).astype(np.float32),
            np.array([_count(region.get("created", 0)) for region in regions], dtype=np.int64),
            np.array([_count(region.get("updated", 0)) for region in regions], dtype=np.int64),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        what = f"a region without {error}" if isinstance(error, KeyError) else str(error)
        raise MemtierdError(f"wrong heats of pid {pid}: {bounded(what, _MOST_SHOWN)}") from error


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} where an integer of 0 or more is expected")
    return value


def _heat(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{value!r} as heat, expected a number of 0 or more")
    return min(float(value), 1e30)
