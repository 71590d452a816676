"""Recordings: what is kept, for how long, and what is dropped."""

from memtierd.recording import Recording


def test_nothing_is_kept_before_the_start_and_after_the_end() -> None:
    recording: Recording[str] = Recording(10)
    recording.add("early")
    recording.start()
    recording.add("a")
    recording.stop()
    recording.add("late")
    assert recording.take() == ([], 0)


def test_what_is_taken_is_taken_once() -> None:
    recording: Recording[str] = Recording(10)
    recording.start()
    recording.add("a")
    recording.add("b")
    assert recording.take() == (["a", "b"], 0)
    recording.add("c")
    assert recording.take() == (["c"], 0)
    assert recording.take() == ([], 0)


def test_the_oldest_makes_room_and_is_counted() -> None:
    recording: Recording[str] = Recording(10)
    recording.start()
    for name, size in (("a", 4), ("b", 4), ("c", 4)):
        recording.add(name, size)
    assert recording.take() == (["b", "c"], 4)
    recording.add("huge", 11)
    assert recording.take() == ([], 11)


def test_starting_again_begins_anew() -> None:
    recording: Recording[str] = Recording(10)
    recording.start()
    recording.add("a")
    recording.start()
    assert recording.take() == ([], 0)
    assert recording.is_on
