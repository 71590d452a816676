"""Ctrl-C: raised where somebody waits, dropped everywhere else."""

import signal
import threading

import pytest

from memtierd.prompt.interrupts import Interrupts


def test_it_is_raised_once_and_only_where_it_is_allowed() -> None:
    interrupts = Interrupts()
    told = []
    with interrupts.taken():
        signal.raise_signal(signal.SIGINT)
        for number in range(3):
            try:
                with interrupts.allowed():
                    signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                signal.raise_signal(signal.SIGINT)  # the second one, while the first is told of
                told.append(number)
        with interrupts.allowed():
            pass
        signal.raise_signal(signal.SIGINT)
    assert told == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_comes_while_it_is_held_is_dropped_and_the_next_one_is_not() -> None:
    interrupts = Interrupts()
    with interrupts.taken(), interrupts.allowed():
        with interrupts.held():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_without_a_terminal_it_ends_everything() -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts().allowed():
        signal.raise_signal(signal.SIGINT)


def test_where_it_is_ignored_it_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts().taken():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_leaves_it_alone() -> None:
    found = []

    def look() -> None:
        with Interrupts().taken():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_where_it_is_noted_it_raises_nothing_and_is_counted() -> None:
    interrupts = Interrupts()
    with interrupts.taken(), interrupts.allowed():
        with interrupts.noted() as noted:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            assert len(noted) == 2
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_where_it_was_not_taken_nothing_is_noted() -> None:
    with Interrupts().noted() as noted, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert noted == []
