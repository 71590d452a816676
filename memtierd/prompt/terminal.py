"""Line editing with a history that outlives the session; only for a terminal."""

import contextlib
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

from memtierd.errors import errno_name
from memtierd.prompt.completion import Candidate

MAX_LINES = 1000
Complete = Callable[[str], list[Candidate]]


def history_path(environment: "os._Environ[str] | dict[str, str]") -> str:
    """Return where the history is kept: below XDG_STATE_HOME, or ~/.local/state without it."""
    home = environment.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(home, "memtierd", "history")


@contextlib.contextmanager
def line_editing(path: str, prompt: str, report: Callable[[str], None], complete: Complete) -> Iterator[None]:
    """Give `input` line editing, completion and a history within the block.

    `report` hears when the history can't be kept; `complete` gets the text up to the cursor.
    """
    import readline  # noqa: PLC0415  it changes how a terminal behaves, and costs start-up time

    _Completer(readline, prompt, complete).install()

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


class _Completer:
    """Gives readline the candidates for the word under the cursor."""

    def __init__(self, readline: ModuleType, prompt: str, complete: Complete) -> None:
        self._readline = readline
        self._prompt = prompt
        self._complete = complete
        self._candidates: list[Candidate] = []

    def install(self) -> None:
        """Let the tab key complete."""
        self._readline.set_completer_delims(" ")
        self._readline.set_completer(self._match)
        self._readline.set_completion_display_matches_hook(self._show)
        self._readline.parse_and_bind("tab: complete")

    def _match(self, _word: str, number: int) -> str | None:
        """Return the candidate with this number, None behind the last one."""
        if number == 0:
            before = self._readline.get_line_buffer()[: self._readline.get_endidx()]
            self._candidates = self._complete(before)
        if number >= len(self._candidates):
            return None
        text = self._candidates[number].text
        is_whole = len(self._candidates) == 1 and not text.endswith(("/", "="))
        return f"{text} " if is_whole else text

    def _show(self, _word: str, _texts: Sequence[str], _longest: int) -> None:
        """List the candidates below the line, and write the line again."""
        shown = [candidate.shown or candidate.text for candidate in self._candidates]
        columns = shutil.get_terminal_size().columns
        sys.stdout.write("\n" + textwrap.fill("  ".join(shown), columns, break_on_hyphens=False) + "\n")
        sys.stdout.write(f"{self._prompt}{self._readline.get_line_buffer()}")
        sys.stdout.flush()


def _make_directory(path: str) -> None:
    """Make the directory of the history, but never the home directory that should hold it."""
    home = os.path.expanduser("~")
    if path.startswith(f"{home}/"):
        os.stat(home)
    os.makedirs(path, mode=0o700, exist_ok=True)


def _said(error: OSError) -> str:
    return f"{os.strerror(error.errno or 0).lower()} ({errno_name(error.errno or 0)})"
