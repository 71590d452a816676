"""What all tests share."""

import signal

# A shell starts background jobs with SIGINT ignored, and children inherit that: tests of SIGINT could not work then.
signal.signal(signal.SIGINT, signal.default_int_handler)
