"""A daemon with kept state to start, ask, end and kill: python -m tests.host.state_daemon CONFIG DIRECTORY.

Every line on standard input is a prompt command, answered by one line: its output as a JSON text.  SIGTERM ends it.
"""

import io
import json
import sys

from memtierd.config import read_file
from memtierd.daemon import Daemon
from memtierd.prompt.session import Session
from memtierd.signals import Terminated, Termination
from memtierd.state import Keeper


def main(config: str, directory: str) -> None:
    """Run until the end of standard input, or SIGTERM."""
    Termination().take()
    daemon = Daemon()
    daemon.start()
    keeper = Keeper(daemon, directory, interval_s=0.2)
    try:
        keeper.start()
        daemon.load(read_file(config))
        for line in sys.stdin:
            out = io.StringIO()
            Session(daemon, out, out).run_text(line)
            print(json.dumps(out.getvalue()), flush=True)
    except Terminated:
        pass
    finally:
        keeper.stop()
        daemon.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
