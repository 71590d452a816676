"""Parameters of the watchers, and what can be said against their values without looking at the machine."""

import os
import re
from collections.abc import Iterator

import attrs

from memtierd.parameters import FieldProblem, Part, option, part

DEFAULT_INTERVAL_MS = 5000


def _interval_ms() -> int:
    interval: int = option(DEFAULT_INTERVAL_MS, doc="How often the processes are listed again.", unit="ms", at_least=1)
    return interval


def _check_cgroups(directories: tuple[str, ...]) -> str | None:
    relative = next((path for path in directories if not os.path.isabs(path)), None)
    if directories and relative is None:
        return None
    expected = "one or more absolute directories, such as /sys/fs/cgroup/track-me"
    return expected if relative is None else f"{expected}; {relative!r} does not begin with /"


def _check_pids(pids: tuple[int, ...]) -> str | None:
    return None if pids and min(pids) >= 1 else "one or more process ids, each at least 1"


def _check_regexp(regexp: str | None) -> str | None:
    try:
        re.compile(regexp or "")
    except re.error as error:
        return f"a regular expression ({error})"
    return None


def _check_filters(rules: "tuple[FilterRule, ...]") -> str | None:
    return None if rules else "at least one filter; without one no process would ever be chosen"


@attrs.frozen(kw_only=True)
class CgroupsParams:
    """The processes of control groups, and of all groups below them."""

    interval_ms: int = _interval_ms()
    cgroups: tuple[str, ...] = option(
        doc="Absolute directories of control groups (version 1 or 2); those below belong to them.",
        check=_check_cgroups,
    )


@attrs.frozen(kw_only=True)
class PidlistParams:
    """A fixed list of processes."""

    interval_ms: int = _interval_ms()
    pids: tuple[int, ...] = option(doc="Process ids.", at_least=1, check=_check_pids)


@attrs.frozen(kw_only=True)
class ProcParams:
    """All processes of the machine."""

    interval_ms: int = _interval_ms()


@attrs.frozen(kw_only=True)
class StubWatcherParams:
    """No processes."""

    interval_ms: int = _interval_ms()


def _at_least_kb(what: str) -> int | None:
    threshold: int | None = option(None, doc=f"Matches a process whose {what} is at least this.", unit="kB", at_least=0)
    return threshold


@attrs.frozen(kw_only=True)
class FilterRule:
    """Conditions on one process, which must all hold; a rule without any is an error."""

    proc_exe_regexp: str | None = option(
        None,
        doc="Matches when this regular expression is found anywhere in the path of the program (/proc/PID/exe).",
        check=_check_regexp,
    )
    min_vm_size_kb: int | None = _at_least_kb("virtual memory (VmSize)")
    min_vm_rss_kb: int | None = _at_least_kb("resident memory (VmRSS)")
    min_private_dirty_kb: int | None = _at_least_kb("modified memory of its own (Private_Dirty of smaps)")
    and_: "tuple[FilterRule, ...]" = option((), doc="Matches when all of these rules match.")
    or_: "tuple[FilterRule, ...]" = option(
        (), doc="Matches when any of these rules matches; not given, it is no condition."
    )
    not_: "FilterRule | None" = option(None, doc="Matches when this rule does not.")

    @property
    def conditions(self) -> int:
        """Return how many conditions the rule has."""
        thresholds = (self.min_vm_size_kb, self.min_vm_rss_kb, self.min_private_dirty_kb)
        given = sum(value is not None for value in (self.proc_exe_regexp, *thresholds, self.not_))
        return given + bool(self.and_) + bool(self.or_)

    def problems(self) -> Iterator[FieldProblem]:
        """Yield what is wrong with the rule as a whole: without a condition it would match every process."""
        if not self.conditions:
            names = tuple(field.name for field in attrs.fields(type(self)))
            yield FieldProblem(
                "",
                "at least one, such as procexeregexp or minvmrsskb",
                "a filter without a condition",
                depends_on=names,
            )


@attrs.frozen(kw_only=True)
class FilterParams:
    """Those processes of another watcher that match a filter, judged again at every poll."""

    source: Part = part("pidwatcher", doc="The watcher whose processes are filtered; its interval counts.")
    filters: tuple[FilterRule, ...] = option(
        doc="A process is chosen when any of these rules matches it.", check=_check_filters
    )
