"""Running `python -m memtierd`."""

import sys

from memtierd.cli import main

if __name__ == "__main__":
    sys.exit(main())
