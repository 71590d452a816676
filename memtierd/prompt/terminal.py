"""Line editing with a history that outlives the session; only for a terminal."""

import contextlib
import os
from collections.abc import Callable, Iterator

from memtierd.errors import errno_name

MAX_LINES = 1000


def history_path(environment: "os._Environ[str] | dict[str, str]") -> str:
    """Return where the history is kept: below XDG_STATE_HOME, or ~/.local/state without it."""
    home = environment.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "memtierd", "history")


@contextlib.contextmanager
def line_editing(path: str, report: Callable[[str], None]) -> Iterator[None]:
    """Give `input` line editing and a history within the block; `report` hears when the history can't be kept."""
    import readline  # noqa: PLC0415  it changes how a terminal behaves, and costs start-up time

    try:
        if os.path.exists(path):
            readline.read_history_file(path)
    except OSError as error:
        report(f"read history {path!r}: {_said(error)}; move it away")
    try:
        yield
    finally:
        readline.set_history_length(MAX_LINES)
        try:
            _make_directory(os.path.dirname(path))
            readline.write_history_file(path)
            os.chmod(path, 0o600)
        except OSError as error:
            report(f"keep history {path!r}: {_said(error)}; set XDG_STATE_HOME to a directory of yours")


def _make_directory(path: str) -> None:
    """Make the directory of the history, but never the home directory that should hold it."""
    home = os.path.expanduser("~")
    if path.startswith(f"{home}/"):
        os.stat(home)
    os.makedirs(path, mode=0o700, exist_ok=True)


def _said(error: OSError) -> str:
    return f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
