"""The inbox: messages in order, a descriptor beside them, and no wait while there is something to do."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from memtierd.linux.inbox import Inbox

DEADLINE_S = 20.0


@pytest.fixture
def beside() -> Iterator[int]:
    descriptor = os.eventfd(0)
    yield descriptor
    os.close(descriptor)


def test_messages_come_in_order_without_waiting(beside: int) -> None:
    inbox = Inbox[int]()
    began_s = time.monotonic()
    for number in range(3):
        inbox.put(number)
    assert inbox.qsize() == 3
    assert [inbox.wait(DEADLINE_S, beside) for _ in range(2)] == [(0, False), (1, False)]
    os.eventfd_write(beside, 1)
    assert inbox.wait(DEADLINE_S, beside) == (2, True)
    assert inbox.wait(DEADLINE_S, beside) == (None, True)
    assert inbox.wait(0, None) == (None, False)
    assert time.monotonic() - began_s < DEADLINE_S


def test_a_message_of_another_thread_ends_the_wait() -> None:
    inbox = Inbox[str]()
    threading.Thread(target=lambda: inbox.put("now")).start()
    began_s, message = time.monotonic(), None
    while message is None:
        message, _ = inbox.wait(2 * DEADLINE_S, None)
    assert time.monotonic() - began_s < DEADLINE_S
    assert inbox.wait(0.001, None) == (None, False)
