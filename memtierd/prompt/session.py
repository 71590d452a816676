"""A session: a conversation whose commands are carried out in this process."""

import time
from collections.abc import Callable
from typing import TextIO

from memtierd.prompt.context import DaemonPort
from memtierd.prompt.conversation import Conversation
from memtierd.prompt.execution import Commands


class Session(Conversation):
    """Runs commands for one user."""

    def __init__(
        self,
        daemon: DaemonPort,
        out: TextIO,
        err: TextIO,
        echo: bool = False,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        alone: bool = False,
    ) -> None:
        """Prepare; an `alone` session has nobody at a terminal, and its shell commands can be killed with `abort`."""
        self.commands = Commands(daemon, clock_ns)
        super().__init__(self.commands, out, err, echo=echo, alone=alone)
