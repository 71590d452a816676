"""What the parameters of the watchers refuse."""

from typing import Any

import attrs
import pytest

from memtierd.parameters import option_of
from memtierd.watchers import CgroupsParams, FilterParams, FilterRule, PidlistParams

SIZE = FilterRule(min_vm_size_kb=1)
EMPTY = FilterRule()


def _is_right(params: type, name: str, value: Any) -> bool:
    check = option_of(attrs.fields_dict(params)[name]).check
    assert check is not None
    expected = check(value)
    assert expected is None or expected
    return expected is None


@pytest.mark.parametrize(
    ("params", "name", "value", "right"),
    [
        (CgroupsParams, "cgroups", ("/sys/fs/cgroup/a", "/x"), True),
        (CgroupsParams, "cgroups", (), False),
        (CgroupsParams, "cgroups", ("/sys/fs/cgroup/a", "b"), False),
        (PidlistParams, "pids", (1, 2), True),
        (PidlistParams, "pids", (), False),
        (PidlistParams, "pids", (1, 0), False),
        (FilterParams, "filters", (SIZE,), True),
        (FilterParams, "filters", (), False),
        (FilterRule, "proc_exe_regexp", "^/usr/(bin|sbin)/", True),
        (FilterRule, "proc_exe_regexp", None, True),
        (FilterRule, "proc_exe_regexp", "[", False),
    ],
)
def test_check(params: type, name: str, value: Any, right: bool) -> None:
    assert _is_right(params, name, value) is right


@pytest.mark.parametrize(
    ("rule", "conditions"),
    [
        (EMPTY, 0),
        (SIZE, 1),
        (FilterRule(min_vm_rss_kb=0), 1),
        (FilterRule(proc_exe_regexp="", min_private_dirty_kb=3, and_=(SIZE,), or_=(SIZE, SIZE), not_=SIZE), 5),
    ],
)
def test_conditions_of_a_rule(rule: FilterRule, conditions: int) -> None:
    assert rule.conditions == conditions
    assert bool(list(rule.problems())) == (not conditions)
