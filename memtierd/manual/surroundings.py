"""What memtierd meets beside commands, for memtierd(8): exit statuses, signals, environment, files."""

from memtierd.cli import FAILED, OK, WRONG_CONFIG, WRONG_USAGE

STATES = {
    "unknown": "No scan has judged the region yet.",
    "warm": "Policies age and demote-idle: neither used all the time nor idle.",
    "active": "Seen used in every scan for long enough.",
    "idle": "Not used for long enough.",
    "cold": "Not used for so long that it is swapped out.",
    "heat_0": "Policy heat: in the coldest class; `heat_1` and so on are hotter.",
    "chosen": "Policies ratio and avoid-oom: to be moved.",
    "kept": "The same: to stay where it is.",
    "unseen": "Where its memory is has not been looked at since the last move.",
    "settled": "Its memory is where it should be.",
    "misplaced": "It is not, and is to be moved.",
    "queued": "The mover has it.",
    "backoff": "Moving it failed, or is not possible now; it is tried again.",
    "gone": "It is unmapped, or its process has ended.",
}
"""How memory of a region is used, and then where it is."""
EXIT_STATUSES = {
    str(OK): "Done. A daemon that `SIGINT` or `SIGTERM` ended has done its work.",
    str(FAILED): "Something could not be done. What it was is told on standard error.",
    str(WRONG_USAGE): "Wrong flags.",
    str(WRONG_CONFIG): "A wrong configuration. Every error is told with file, line and column.",
    "128+_N_": "Signal _N_ ended commands before they were done.",
}
STATUS_OF_COMMANDS = (
    "With `-c` and `-f` it is the status of the last command that failed (with `-e`: of the first): 1 when something"
    " could not be done, 2 when it was written wrongly, 130 when Ctrl-C ended it; behind a pipe what the shell ended"
    " with, when that is not 0."
)
SIGNALS = {
    "SIGINT, SIGTERM": "End in order: system calls under way are finished, what was learned is written down.",
    "SIGHUP": "With `-config`: read the configuration again, as `config -reload` does at the prompt. Without: end.",
}
ENVIRONMENT = {
    "MEMTIERD_CONTROL": "Path of the control socket, where neither `-control` nor `-attach` gives one. Empty: none.",
    "STATE_DIRECTORY": "Where what was learned is kept, where `-state` is not given. systemd sets it.",
    "JOURNAL_STREAM": "Set by systemd where standard error is the journal: the log then has its form.",
    "NOTIFY_SOCKET": "Set by systemd: where it is told that memtierd is ready, reloads or stops, and how it is.",
    "WATCHDOG_USEC": "Set by systemd: how often it wants to hear that the control loop turns.",
    "WATCHDOG_PID": "Set by systemd: the process that this is for.",
    "XDG_STATE_HOME": "The history of the prompt is in `memtierd/history` in this directory (`~/.local/state`).",
    "NO_COLOR": "Not empty: no colours on a terminal.",
    "TERM": "The terminal; `dumb` has no colours.",
}
FILES = {
    "/etc/memtierd/memtierd.yaml": "What the service runs by, see `memtierd.yaml`(5).",
    "/etc/memtierd/memtierd.d/*.yaml": "What is merged into that.",
    "/etc/default/memtierd": "More flags for the service, in `MEMTIERD_OPTIONS`.",
    "/run/memtierd/control.sock": "The control socket, by which prompts come into the running daemon.",
    "/run/memtierd": "Notes of what memtierd holds of DAMON, to be given back also after a crash.",
    "/var/lib/memtierd": "What the service has learned, for its next start.",
    "/usr/share/memtierd": "Sample configurations and the JSON Schema; `make install` has /usr/local for /usr.",
}
"""Paragraphs by what they explain, `typed words` and _values_ marked."""
