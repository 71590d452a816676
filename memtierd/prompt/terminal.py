"""Line editing with a history that outlives the session; only for a terminal."""

import contextlib
import os
from collections.abc import Callable, Iterator

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
        report(f"read history {path}: {error.strerror}")
    try:
        yield
    finally:
        readline.set_history_length(MAX_LINES)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            readline.write_history_file(path)
            os.chmod(path, 0o600)
        except OSError as error:
            report(f"keep history {path}: {error.strerror}")
