"""A loader with small parts of its own: these tests don't change with the trackers' and watchers' parameters."""

import re

import attrs
import pytest

from memtierd.config.loader import Loader
from memtierd.config.structuring import Registries
from memtierd.parameters import Part, option, part
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatParams


def _regexp(text: str | None) -> str | None:
    try:
        re.compile(text or "")
    except re.error as error:
        return f"a regular expression ({error})"
    return None


@attrs.frozen(kw_only=True)
class GridParams:
    pages_in_region: int = option(512, doc="Pages.", unit="pages", at_least=1)
    scan_interval_ms: int = option(5000, doc="Interval.", unit="ms", at_least=1)
    reads: bool = option(False, doc="Reads, too.")
    mode: str = option("exact", doc="Mode.", choices=("exact", "fast"))


@attrs.frozen(kw_only=True)
class AutoParams:
    scan_interval_ms: int = option(5000, doc="Interval.", unit="ms", at_least=1)


@attrs.frozen(kw_only=True)
class CgroupsParams:
    interval_ms: int = option(5000, doc="Interval.", unit="ms", at_least=1)
    cgroups: tuple[str, ...] = option(doc="Directories.")


def _some_pids(pids: tuple[int, ...]) -> str | None:
    return None if pids else "one or more process ids"


@attrs.frozen(kw_only=True)
class PidlistParams:
    pids: tuple[int, ...] = option(doc="Process ids.", unit="pid", check=_some_pids)


@attrs.frozen(kw_only=True)
class ProcParams:
    interval_ms: int = option(5000, doc="Interval.", unit="ms", at_least=1)


@attrs.frozen(kw_only=True)
class FilterRule:
    proc_exe_regexp: str | None = option(None, doc="Program.", check=_regexp)
    min_vm_rss_kb: int | None = option(None, doc="Size.", unit="kB", at_least=0)
    and_: "tuple[FilterRule, ...]" = option((), doc="All of these.")
    not_: "FilterRule | None" = option(None, doc="Not this.")


@attrs.frozen(kw_only=True)
class FilterParams:
    source: Part = part("pidwatcher", doc="What is filtered.")
    filters: tuple[FilterRule, ...] = option(doc="Rules.")


@attrs.frozen(kw_only=True)
class MoverParams:
    interval_ms: int = option(10, doc="Interval.", unit="ms", at_least=1)
    bandwidth: int = option(100, doc="Bandwidth.", unit="MB/s", at_least=1)


REGISTRIES: Registries = {
    "policy": {"age": AgeParams, "heat": HeatParams},
    "tracker": {"auto": AutoParams, "grid": GridParams},
    "pidwatcher": {"cgroups": CgroupsParams, "pidlist": PidlistParams, "proc": ProcParams, "filter": FilterParams},
    "mover": MoverParams,
    "routine": {"repeat": ProcParams},
    "forecaster": {"guess": ProcParams},
}


@pytest.fixture(scope="session")
def loader() -> Loader:
    return Loader(REGISTRIES)
