"""Changing over from what runs to another configuration with the smallest change, and all of it or nothing."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from memtierd.control import Control
from memtierd.effective import Effective
from memtierd.errors import ConfigError, MemtierdError
from memtierd.mover import Mover, MoverParams
from memtierd.parameters import Part
from memtierd.policy_runner import PolicyRunner
from memtierd.routines import Routines
from memtierd.text import printable
from memtierd.tracking import Tracking
from memtierd.watchers.selected import SelectedWatcher

if TYPE_CHECKING:
    from memtierd.config import Change, Config, ConfigFile, Edit

LOG = logging.getLogger("memtierd")
SOURCE = "configuration"
"""Of the conditions that say what is wrong with the configuration file."""
RELOADED, FAILED, UNCHANGED = "configuration reload", "configuration reload failed", "configuration unchanged"
"""Events that are counted."""


@attrs.frozen(eq=False, kw_only=True)
class Parts:
    """What is configured."""

    control: Control
    policy: PolicyRunner
    tracking: Tracking
    pidwatcher: SelectedWatcher
    mover: Mover
    routines: Routines
    warnings: Callable[[Part], list[str]]
    """Says what a policy wants and the machine does not have."""
    lock: "threading.RLock"
    """Held while the parts change."""


class Configuration:
    """The configuration in force.  All methods may be called from any thread; changes are made one at a time."""

    def __init__(self, parts: Parts) -> None:
        self.file: ConfigFile | None = None
        """The configuration file as it was loaded last."""
        self._parts = parts
        self._applying = threading.RLock()
        """One change at a time; taken before the other lock."""

    def effective(self) -> Effective:
        """Return what is set up to run, with the parameters that are in force."""
        parts = self._parts
        with parts.lock:
            policy, own, loose = self.effective_policy(), parts.policy.params, parts.pidwatcher
            pidwatcher = Part(loose.name, loose.params) if loose.name is not None else None
            tracker, mover = parts.tracking.part, parts.mover.params
            return Effective(
                policy=policy,
                routines=tuple(Part(one.name, one.params) for one in parts.routines.views() if one.params is not None),
                tracker=None if own is not None and own.tracker == tracker else tracker,
                pidwatcher=None if own is not None and own.pidwatcher == pidwatcher else pidwatcher,
                mover=None if policy is not None and getattr(policy.params, "mover", None) == mover else mover,
            )

    def effective_policy(self) -> Part | None:
        """Return the policy that is chosen, with the parameters of the mover that are in force while it runs."""
        policy = self._parts.policy
        if policy.name is None:
            return None
        params = policy.params
        if params is not None:
            mover = self._parts.mover.params if policy.is_running else params.mover or MoverParams()
            params = attrs.evolve(params, mover=mover)
        return Part(policy.name, params)

    def apply(self, wanted: "Config | Effective", *, start: bool = True) -> "list[Change]":
        """Change over to a configuration with the smallest change, and return what has changed.

        Without `start` nothing is started that does not run.  Raises MemtierdError when a part can't work here;
        everything goes on as before then.
        """
        from memtierd.config import changes  # noqa: PLC0415  reading YAML costs start-up time that few runs need

        parts = self._parts
        with self._applying:
            with parts.lock:
                before = self.effective()
                if isinstance(wanted, Effective):
                    self._apply_loose_parts(before, wanted)
                    after = wanted
                else:
                    after = attrs.evolve(before, policy=wanted.policy, routines=wanted.routines)
                self._apply_policy(before.policy, wanted.policy, start=start)
            # Without this lock: a command of a routine that is stopped may wait for it.
            parts.routines.become(wanted.routines, start=start)
            return changes(before, after)

    def load(self, file: "ConfigFile") -> "list[Change]":
        """Change over to the configuration in a file that was read."""
        with self._applying:
            changed = self.apply(file.config)
            self.file = file
            return changed

    def read(self) -> "ConfigFile":
        """Return the configuration file and its drop-ins as they are now.

        Raises ConfigError with everything that is wrong with them, MemtierdError when there is none.
        """
        from memtierd.config import read_file  # noqa: PLC0415

        if self.file is None:
            raise MemtierdError("no configuration file was loaded; start memtierd with: memtierd -config FILE")
        path = self.file.path
        if os.path.exists(path) and not os.path.isfile(path):
            what = f"read configuration '{printable(path)}' again: it is no regular file"
            raise ConfigError([f"{what}; start memtierd with a file to be able to change it"])
        return read_file(path)

    def reload(self, file: "ConfigFile | None" = None) -> "list[Change]":
        """Change over to the configuration file as it is now, or as it was just read.

        Raises ConfigError with everything that is wrong with it, MemtierdError when a part can't work here; all goes
        on as before then, and what is wrong is held as conditions until a reload succeeds.
        """
        began_ns = time.monotonic_ns()
        with self._applying:
            before = self._warnings()
            try:
                read = self.read() if file is None else file
                changed = self.load(read)
            except MemtierdError as error:
                if self.file is not None:
                    self.refused(error)
                raise
        control = self._parts.control
        control.hold(SOURCE, ())
        control.count(RELOADED if changed else UNCHANGED)
        _log_changes(changed)
        for warning in [one for one in self._warnings() if one not in before]:
            LOG.warning("%s", printable(warning))
        spent_ms = (time.monotonic_ns() - began_ns) / 1e6
        if changed:
            LOG.info("%s taken over in %.1f ms (values changed: %d)", printable(read.path), spent_ms, len(changed))
        else:
            LOG.info("%s says what runs already, nothing to change", printable(read.path))
        return changed

    def _warnings(self) -> list[str]:
        """Return what is said of the policy in the file that was loaded last, as at the start."""
        policy = self.file.config.policy if self.file is not None else None
        return self._parts.warnings(policy) if policy is not None else []

    def refused(self, error: MemtierdError) -> None:
        """Hold what is wrong with the configuration file until it is taken over or is again as it was loaded."""
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        control = self._parts.control
        control.hold(SOURCE, [printable(problem) for problem in problems])
        control.count(FAILED)
        LOG.warning("configuration not taken over (problems: %d), what ran before goes on", len(problems))

    def is_as_loaded(self) -> None:
        """Note that the configuration file is what it was when it was loaded: nothing is wrong with it any more."""
        self._parts.control.hold(SOURCE, ())
        self._parts.control.count(UNCHANGED)

    def edit(self, edits: "Sequence[Edit]") -> "list[Change]":
        """Set single values of what is effective, checked as a whole like a file; raises what `reload` does."""
        from memtierd.config import with_edits  # noqa: PLC0415

        with self._applying:
            changed = self.apply(with_edits(self.effective(), edits), start=False)
        _log_changes(changed)
        return changed

    def _apply_policy(self, before: Part | None, wanted: Part | None, *, start: bool) -> None:
        policy = self._parts.policy
        if wanted is None and before is not None:
            policy.remove()
        if wanted is None or (wanted == before and (policy.is_running or not start)):
            return
        if policy.is_running or start:
            policy.run(wanted.name, wanted.params)
        else:
            policy.choose(wanted.name, wanted.params)

    def _apply_loose_parts(self, before: Effective, wanted: Effective) -> None:
        """Change the parts that belong to no policy."""
        parts = self._parts
        if wanted.tracker != before.tracker and wanted.tracker is not None:
            parts.tracking.reconfigure(wanted.tracker)
        if wanted.pidwatcher != before.pidwatcher and wanted.pidwatcher is not None:
            if wanted.pidwatcher.name != parts.pidwatcher.name:
                parts.pidwatcher.select(wanted.pidwatcher.name, None)
            parts.pidwatcher.configure(wanted.pidwatcher.params)
        if wanted.mover != before.mover and wanted.mover is not None:
            parts.mover.reconfigure(wanted.mover)


def _log_changes(changed: "Sequence[Change]") -> None:
    for change in changed:
        LOG.info("configuration: %s", printable(str(change)))
