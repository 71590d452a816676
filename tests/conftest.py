"""What all tests share."""

import signal

# A shell starts background jobs with SIGINT ignored, nohup ignores SIGHUP, and children inherit that: tests of
# these signals could not work then.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
