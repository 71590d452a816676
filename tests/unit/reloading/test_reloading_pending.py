"""When requests are taken: once it is quiet, soon in any case, and not while somebody writes."""

from hypothesis import given
from hypothesis import strategies as st

from memtierd.reloading.pending import MOST_NS, MOST_WRITING_NS, QUIET_NS, Pending


def test_requests_are_taken_together_when_it_is_quiet() -> None:
    pending = Pending()
    assert pending.due_ns(being_written=False) is None
    pending.ask(1000)
    pending.ask(2000, "SIGHUP")
    pending.ask(3000, "SIGHUP")
    assert pending.due_ns(being_written=False) == 3000 + QUIET_NS
    assert pending.is_new
    assert pending.take().reasons == ("SIGHUP",)
    assert pending.due_ns(being_written=False) is None
    assert not pending.is_new


def test_changes_alone_have_no_reason() -> None:
    pending = Pending()
    pending.ask(0)
    assert pending.take().reasons == ()


def test_a_file_that_is_being_written_is_left_alone_for_a_while() -> None:
    pending = Pending()
    pending.ask(5)
    assert pending.due_ns(being_written=True) == 5 + MOST_WRITING_NS


@given(gaps_ns=st.lists(st.integers(0, QUIET_NS), min_size=1, max_size=100))
def test_what_never_gets_quiet_is_taken_in_the_end(gaps_ns: list[int]) -> None:
    pending, now_ns = Pending(), 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        pending.ask(now_ns)
        due_ns = pending.due_ns(being_written=False)
        assert due_ns is not None
        assert due_ns <= gaps_ns[0] + MOST_NS
        assert due_ns <= now_ns + QUIET_NS
