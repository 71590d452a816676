"""The portion of huge pages shares a column with the flags."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.regions.columns import HUGE_ALL, JUDGED, SHOWN
from memtierd.regions.huge_share import huge_share, with_huge_share
from memtierd.regions.table import RegionTable
from tests.unit.regions.region_samples import u32

MOST_PAGES = (1 << 32) - 1
FLAGS = st.sampled_from([0, JUDGED, SHOWN, JUDGED | SHOWN])


@given(FLAGS, st.integers(1, MOST_PAGES), st.floats(0, 1), st.integers(0, 255))
def test_the_share_is_kept_beside_the_flags(flags: int, pages: int, portion: float, before: int) -> None:
    huge = round(portion * pages)
    kept = with_huge_share(np.array([flags | before & 0xFC], np.uint8), u32(huge), u32(pages))
    assert kept.dtype == np.uint8
    assert int(kept[0]) & (JUDGED | SHOWN) == flags
    share = float(huge_share(kept)[0])
    assert share == pytest.approx(huge / pages, abs=1 / HUGE_ALL + 1e-6)
    assert (share == 0) == (huge == 0)
    assert (share == 1) == (huge == pages)


def test_one_huge_page_in_much_memory_and_one_small_page_beside_many_huge_ones_show() -> None:
    kept = with_huge_share(np.zeros(2, np.uint8), u32(512, MOST_PAGES - 1), u32(MOST_PAGES, MOST_PAGES))
    share = huge_share(kept)
    assert 0 < share[0] < 0.02
    assert 0.98 < share[1] < 1


def test_a_region_has_no_byte_more_for_it() -> None:
    assert RegionTable(4).bytes_per_region == 64
