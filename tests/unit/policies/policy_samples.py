"""What a policy judges by, written with as few columns as a test cares for."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from memtierd.model import ProcessFacts
from memtierd.policies.common import History
from tests.unit.regions.region_samples import NODES, facts_of

PAGES = 512


def history_with(regions: int, *, facts: Mapping[int, ProcessFacts] | None = None, **columns: Any) -> History:
    """Return a history of so many regions; columns that are not given are zeros, `judged` is True.

    `pages` is PAGES and all of them lie on the first of NODES unless given.  `facts` are those of each process row.
    """
    zeros = np.zeros(regions, np.uint32)
    node_pages = np.zeros((len(NODES), regions), np.uint32)
    node_pages[0] = columns.get("pages", PAGES)
    known = {0: facts_of()} if facts is None else facts
    made: dict[str, Any] = {
        "last_access_ms": zeros,
        "active_since_ms": zeros,
        "observed_ms": zeros,
        "heat": zeros.astype(np.float32),
        "judged": np.ones(regions, np.bool_),
        "accesses": zeros,
        "writes": zeros,
        "pages": np.full(regions, PAGES, np.uint32),
        "swapped_pages": zeros,
        "node_pages": node_pages,
        "node_ids": NODES,
        "failures": zeros.astype(np.uint8),
        "process": zeros.astype(np.uint16),
        "facts": known.__getitem__,
    }
    types = {name: value.dtype for name, value in made.items() if isinstance(value, np.ndarray)}
    given = {name: np.array(value, types[name]) if name in types else value for name, value in columns.items()}
    return History(**made | given)
