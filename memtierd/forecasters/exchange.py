"""One line to a child process and one line back, in bounded time and memory."""

import os
import select
import subprocess
import time

from memtierd.errors import MemtierdError
from memtierd.linux.child import how_ended

_CHUNK_BYTES = 1 << 16
_END_S = 0.2
"""How long a child that has closed its pipes may take to end before it counts as running."""


def exchange(process: "subprocess.Popen[bytes]", line: bytes, timeout_s: float, most_bytes: int) -> bytes:
    """Return the line that the process answers to `line`.

    Its pipes must not block.  What it printed before it was asked, and what follows the line, is dropped.
    Raises MemtierdError when it ends, takes too long, or answers more than `most_bytes`.
    """
    if process.stdin is None or process.stdout is None:
        raise TypeError("the process was started without pipes")
    in_fd, out_fd = process.stdin.fileno(), process.stdout.fileno()
    until_s = time.monotonic() + timeout_s
    left, answer = memoryview(line), bytearray()
    _drop_what_waits(out_fd)
    poll = select.poll()
    poll.register(out_fd, select.POLLIN)
    poll.register(in_fd, select.POLLOUT)
    while True:
        ready = poll.poll(max(0.0, until_s - time.monotonic()) * 1000)
        if not ready:
            raise MemtierdError(f"no answer within {timeout_s * 1000:g} ms")
        for descriptor, _ in ready:
            if descriptor == in_fd:
                left = _written(process, in_fd, left)
                if not left:
                    poll.unregister(in_fd)
            elif _received(process, out_fd, answer):
                return bytes(answer[: answer.index(b"\n")])
        if len(answer) > most_bytes:
            raise MemtierdError(f"more than {most_bytes} bytes and no end of the line")


def _drop_what_waits(out_fd: int) -> None:
    """Read what is there; not for ever, when there is no end of it."""
    for _ in range(1000):
        try:
            if not os.read(out_fd, _CHUNK_BYTES):
                return
        except BlockingIOError:
            return


def _written(process: "subprocess.Popen[bytes]", in_fd: int, left: memoryview) -> memoryview:
    try:
        return left[os.write(in_fd, left) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        raise MemtierdError(_why_ended(process)) from None


def _received(process: "subprocess.Popen[bytes]", out_fd: int, answer: bytearray) -> bool:
    """Read what is there; return whether the line is complete."""
    try:
        piece = os.read(out_fd, _CHUNK_BYTES)
    except BlockingIOError:
        return False
    if not piece:
        raise MemtierdError(_why_ended(process))
    answer += piece
    return b"\n" in piece


def _why_ended(process: "subprocess.Popen[bytes]") -> str:
    try:
        return how_ended(process.wait(_END_S)) or "it has ended"
    except subprocess.TimeoutExpired:
        return "it has closed its input or output"
