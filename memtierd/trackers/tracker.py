"""What every tracker offers, and how a scan under way is told to stop."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from memtierd.errors import MemtierdError
from memtierd.model import ProcessKey, Scan


class ScanStoppedError(MemtierdError):
    """The stop flag was set during a scan: the round is void, and the next one primes every region anew."""


class StopFlag:
    """A flag that C code polls while it runs without the interpreter's lock."""

    def __init__(self) -> None:
        self.array: npt.NDArray[np.int32] = np.zeros(1, np.int32)
        """Shape (1,); non-zero means stop."""

    def set(self) -> None:
        """Ask whoever polls the flag to stop; there is no way back."""
        self.array[0] = 1

    def is_set(self) -> bool:
        """Tell whether `set` was called."""
        return bool(self.array[0])


class Tracker(Protocol):
    """Observes which memory of processes is used, one whole round at a time."""

    @property
    def name(self) -> str:
        """Return the tracker's name; for ``auto`` that of the tracker it became."""

    @property
    def why(self) -> str:
        """Return why ``auto`` became this tracker, or an empty text when the tracker was asked for by name."""

    @property
    def params(self) -> Any:
        """Return the tracker's own parameters."""

    @property
    def interval_ms(self) -> int:
        """Return the time from the start of a round to the start of the next."""

    def scan(self, targets: Sequence[ProcessKey], stop: StopFlag) -> Scan:
        """Look at all targets once; a vanished or failing one is named in the result and never raises.

        Raises ScanStoppedError when `stop` was set meanwhile.
        """

    def conditions(self) -> tuple[str, ...]:
        """Return the lasting conditions worth a warning, the same text as long as they last."""

    def forget(self, key: ProcessKey) -> None:
        """Drop what is remembered of a process; from the thread that scans."""

    def close(self) -> None:
        """Close files; the tracker can't scan afterwards."""
