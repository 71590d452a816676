"""Where the program begins: `memtierd` and `python -m memtierd`."""

import sys


def main() -> int:
    """Run the command line and return its exit status; Ctrl-C is quiet also while the program is being loaded."""
    try:
        from memtierd.cli import main as run  # noqa: PLC0415  takes long enough to be interrupted

        return run()
    except KeyboardInterrupt:
        return 130  # as a shell says of a command that SIGINT ended


if __name__ == "__main__":
    sys.exit(main())
