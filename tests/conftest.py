"""What all tests share."""

import os
import signal
import tempfile

# No test finds, or is found by, a memtierd that runs for another purpose.
_DIRECTORY = tempfile.TemporaryDirectory(prefix="memtierd-test-", ignore_cleanup_errors=True)
os.environ["MEMTIERD_CONTROL"] = os.path.join(_DIRECTORY.name, "control.sock")

# A shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP, and children inherit that: tests of
# these signals could not work then.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
