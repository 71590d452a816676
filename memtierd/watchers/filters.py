"""The filter watcher: those processes of another watcher that match a rule, judged again at every poll."""

import re
from collections.abc import Callable
from functools import cached_property

import attrs

from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux import proc
from memtierd.linux.roots import Roots
from memtierd.model import ProcessKey
from memtierd.watchers.base import See, Watcher, refusals, see_nothing
from memtierd.watchers.params import FilterParams, FilterRule

Condition = Callable[["Candidate"], bool]


@attrs.define(eq=False)
class Candidate:
    """One process under judgement; what is read of it is kept, so that all rules of a poll see the same."""

    pid: int
    roots: Roots

    @cached_property
    def exe(self) -> str:
        """Path of its program, empty when it has none."""
        return proc.exe(self.pid, self.roots) or ""

    @cached_property
    def status(self) -> proc.ProcessStatus:
        """Its sizes."""
        return proc.status(self.pid, self.roots)

    @cached_property
    def private_dirty_kb(self) -> int:
        """Its Private_Dirty, for which the kernel walks all its page tables."""
        return proc.private_dirty_kb(self.pid, self.roots)


def compile_rule(rule: FilterRule) -> Condition:
    """Return one condition that holds when all conditions of the rule hold, the cheap ones asked first."""
    conditions: list[Condition] = []
    if rule.proc_exe_regexp is not None:
        regexp = re.compile(rule.proc_exe_regexp)
        conditions.append(lambda candidate: regexp.search(candidate.exe) is not None)
    if (size_kb := rule.min_vm_size_kb) is not None:
        conditions.append(lambda candidate: candidate.status.vm_size_kb >= size_kb)
    if (rss_kb := rule.min_vm_rss_kb) is not None:
        conditions.append(lambda candidate: candidate.status.vm_rss_kb >= rss_kb)
    conditions.extend(map(compile_rule, rule.and_))
    if rule.or_:
        conditions.append(compile_any(rule.or_))
    if rule.not_ is not None:
        unwanted = compile_rule(rule.not_)
        conditions.append(lambda candidate: not unwanted(candidate))
    if (dirty_kb := rule.min_private_dirty_kb) is not None:
        conditions.append(lambda candidate: candidate.private_dirty_kb >= dirty_kb)
    return lambda candidate: all(holds(candidate) for holds in conditions)


def compile_any(rules: tuple[FilterRule, ...]) -> Condition:
    """Return one condition that holds when any of the rules does."""
    alternatives = list(map(compile_rule, rules))
    return lambda candidate: any(holds(candidate) for holds in alternatives)


@attrs.define(eq=False)
class FilterWatcher:
    """Judges every process of its source at every poll: one that grows, shrinks or execs is seen anew."""

    params: FilterParams
    roots: Roots
    source: Watcher
    _matches: Condition = attrs.field(init=False)
    _conditions: tuple[str, ...] = attrs.field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        """Compile the rules once."""
        self._matches = compile_any(self.params.filters)

    @property
    def interval_ms(self) -> int:
        """Return how often it wants to be polled: as often as its source."""
        return self.source.interval_ms

    def poll(self, see: See = see_nothing) -> frozenset[ProcessKey]:
        """Return the source's processes that match a rule now; one that can't be judged does not match."""
        chosen: list[ProcessKey] = []
        refused: list[KernelError] = []
        for key in self.source.poll(see):
            try:
                # The pid may have changed hands since the source saw it.  Then another process is judged here, but
                # the key is still that of the one that ended, and whoever uses it finds that out.
                if self._matches(Candidate(key.pid, self.roots)):
                    chosen.append(key)
            except ProcessGoneError:
                continue
            except KernelError as error:
                refused.append(error)
        self._conditions = refusals("processes", refused)
        return frozenset(chosen)

    def conditions(self) -> tuple[str, ...]:
        """Return what kept the latest poll from being complete, here and in the source."""
        return self.source.conditions() + self._conditions
