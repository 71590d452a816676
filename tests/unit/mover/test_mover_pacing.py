"""The configured bandwidth is what is reached, the time of the calls included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtierd.mover.pacing import Pacing
from memtierd.mover.params import MoverParams
from memtierd.units import MIB, PAGE_BYTES

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def pages_in(duration_ns: int, params: MoverParams, call_ns: int, oversleep_ns: int = 0, chunk: int = 0) -> int:
    """Return the pages that a simulated mover asks for in a time, with calls and wake-ups that take their time."""
    now_ns, pages = 5, 0
    pacing = Pacing(params, now_ns)
    while now_ns < duration_ns:
        if delay_ns := pacing.delay_ns(now_ns):
            now_ns += delay_ns + oversleep_ns
            continue
        asked = chunk or pacing.chunk_pages
        now_ns += call_ns
        pacing.spend(asked)
        pages += asked
    return pages


def megabytes_per_second(pages: int, duration_ns: int) -> float:
    return pages * PAGE_BYTES / MIB / (duration_ns / SECOND_NS)


@pytest.mark.parametrize("bandwidth", [1, 100, 3333])
@pytest.mark.parametrize("interval_ms", [1, 10, 1000])
@pytest.mark.parametrize("busy_share", [0, 0.3, 0.9])
def test_bandwidth_is_reached_whatever_the_calls_take(bandwidth: int, interval_ms: int, busy_share: float) -> None:
    params = MoverParams(bandwidth=bandwidth, interval_ms=interval_ms)
    chunk_ns = Pacing(params, 0).chunk_pages * PAGE_BYTES / MIB / bandwidth * SECOND_NS
    pages = pages_in(MINUTE_NS, params, call_ns=int(busy_share * chunk_ns))
    one_chunk = interval_ms / 60_000  # the last one may be just done or just not
    assert megabytes_per_second(pages, MINUTE_NS) == pytest.approx(bandwidth, rel=0.01 + one_chunk)


def test_late_wake_ups_are_made_up_for() -> None:
    params = MoverParams(bandwidth=100, interval_ms=10)
    pages = pages_in(MINUTE_NS, params, call_ns=2_000_000, oversleep_ns=3_000_000)
    assert megabytes_per_second(pages, MINUTE_NS) == pytest.approx(100, rel=0.01)


def test_calls_slower_than_the_bandwidth_follow_each_other_without_a_wait() -> None:
    params = MoverParams(bandwidth=100, interval_ms=10)
    pages = pages_in(MINUTE_NS, params, call_ns=20_000_000)
    assert megabytes_per_second(pages, MINUTE_NS) == pytest.approx(50, rel=0.01)


def test_a_huge_page_at_a_low_bandwidth_makes_the_wait_longer() -> None:
    params = MoverParams(bandwidth=1, interval_ms=1)
    assert Pacing(params, 0).chunk_pages == 1
    assert megabytes_per_second(pages_in(MINUTE_NS, params, 0, chunk=512), MINUTE_NS) == pytest.approx(1, rel=0.05)


def test_idle_time_gives_no_credit_beyond_one_interval() -> None:
    params = MoverParams(bandwidth=100, interval_ms=10)
    pacing = Pacing(params, 0)
    chunk = pacing.chunk_pages
    assert pacing.delay_ns(MINUTE_NS) == 0
    pacing.spend(chunk)
    assert pacing.delay_ns(MINUTE_NS) == 0
    pacing.spend(chunk)
    assert pacing.delay_ns(MINUTE_NS) == pytest.approx(10_000_000, rel=1e-6)


def test_other_parameters_hold_at_once_and_debts_stay() -> None:
    pacing = Pacing(MoverParams(bandwidth=1), 0)
    pacing.spend(512)
    assert pacing.delay_ns(0) == pytest.approx(2 * SECOND_NS)
    pacing.configure(MoverParams(bandwidth=100))
    assert pacing.delay_ns(0) == pytest.approx(SECOND_NS // 50)
    assert pacing.chunk_pages == 256


def test_a_call_is_never_bigger_than_allowed() -> None:
    assert Pacing(MoverParams(bandwidth=1 << 20, interval_ms=1000), 0).chunk_pages == 65536
    assert Pacing(MoverParams(max_call_pages=7), 0).chunk_pages == 7


@given(
    bandwidth=st.integers(1, 10_000),
    interval_ms=st.integers(1, 100),
    gaps_ns=st.lists(st.integers(0, SECOND_NS), max_size=30),
)
def test_no_window_gets_more_than_its_share_and_an_interval(
    bandwidth: int, interval_ms: int, gaps_ns: list[int]
) -> None:
    params = MoverParams(bandwidth=bandwidth, interval_ms=interval_ms)
    pacing, now_ns, pages = Pacing(params, 0), 0, 0
    chunk = pacing.chunk_pages
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        while not pacing.delay_ns(now_ns):
            pacing.spend(chunk)
            pages += chunk
    rate = bandwidth * MIB / PAGE_BYTES / SECOND_NS
    assert pages <= rate * now_ns + chunk + 1e-3
