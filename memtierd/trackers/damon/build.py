"""From the parameters of the damon tracker to one that works on this machine."""

import itertools
import os

from memtierd.errors import UnsupportedError
from memtierd.linux.damon_debugfs import MOST_TARGETS, DamonDebugfs
from memtierd.linux.damon_files import LOCK_PATIENCE_S, DamonFiles
from memtierd.linux.damon_setup import DamonInterface
from memtierd.linux.damon_sysfs import DamonSysfs, admin_directory
from memtierd.linux.probe import Features
from memtierd.linux.roots import Roots
from memtierd.trackers.damon.bpftrace import bpftrace_connection
from memtierd.trackers.damon.connection import Connection
from memtierd.trackers.damon.monitoring import Monitoring
from memtierd.trackers.damon.ownership import Ownership, recover
from memtierd.trackers.damon.params import AUTODETECT, DEBUGFS, SYSFS, DamonParams
from memtierd.trackers.damon.perf import perf_connection
from memtierd.trackers.damon.snapshots import SysfsConnection
from memtierd.trackers.damon.tracefs import TracefsConnection
from memtierd.trackers.damon.tracker import DamonTracker
from memtierd.trackers.kernel import TrackerKernel

_BEST_FIRST = {
    "tracefs": "it gets every report of DAMON, at little cost and without any program",
    "sysfs": "it needs no program, and sees one aggregation in every snapshotms",
    "bpftrace": "it gets every report of DAMON",
    "perf": "it gets every report of DAMON",
}
"""What auto tries, and what speaks for it."""
_US_PER_S = 1_000_000
_NUMBERS = itertools.count(1)
"""Of the trackers of this process: their trace instances have different names."""


def build_damon(params: DamonParams, kernel: TrackerKernel, features: Features) -> DamonTracker:
    """Return the tracker; kdamonds are claimed by its first scan.

    What memtierds that were killed have left of DAMON is removed first.
    Raises UnsupportedError when it can't work, or may not because DAMON is in other hands, with what to do.
    """
    roots = kernel.roots
    left = recover(roots)
    if left:
        raise UnsupportedError(f"tracker damon: what a memtierd that was killed has left stays: {'; '.join(left)}")
    interface = _interface(params, features, roots)
    name, why = _connection_name(params, interface, features)
    instance = f"memtierd-{os.getpid()}-{next(_NUMBERS)}" if name == "tracefs" else ""
    connection = _connection(name, params.resolved(), interface, instance, roots)
    ownership = Ownership(interface, params, instance, roots)
    ownership.check()
    capacity = MOST_TARGETS if interface.name == "debugfs" else None
    monitoring = Monitoring(ownership, kernel, needs_schemes=connection.needs_schemes, capacity=capacity)
    return DamonTracker(params, kernel, monitoring, connection, why)


def _interface(params: DamonParams, features: Features, roots: Roots) -> DamonInterface:
    """Return the configuration interface that was asked for, or the first that there is."""
    sysfs, debugfs = features.get("damon_sysfs"), features.get("damon_debugfs")
    if params.interface != DEBUGFS and sysfs.works:
        # A snapshot keeps DAMON's lock for an aggregation interval or two.
        patience_s = LOCK_PATIENCE_S + 2 * params.resolved().aggregation_us / _US_PER_S
        return DamonSysfs(roots, DamonFiles(admin_directory(roots), patience_s))
    if params.interface == SYSFS or params.connection == "sysfs":
        raise UnsupportedError(f"tracker damon: the sysfs interface does not work here: {sysfs.detail}")
    if debugfs.works:
        return DamonDebugfs(roots)
    both = f"sysfs: {sysfs.detail}; " if params.interface == AUTODETECT else ""
    raise UnsupportedError(f"tracker damon can't configure DAMON here: {both}debugfs: {debugfs.detail}")


def _connection_name(params: DamonParams, interface: DamonInterface, features: Features) -> tuple[str, str]:
    """Return the word for the connection, and why `auto` became that."""
    word = params.connection.partition(" ")[0]
    if word != "auto":
        feature = features.get(f"damon_{word}")
        if not feature.works:
            raise UnsupportedError(f"tracker damon: connection {word} does not work here: {feature.detail}")
        return word, ""
    rejected: list[str] = []
    for name, merit in _BEST_FIRST.items():
        if name == "sysfs" and interface.name != "sysfs":
            continue
        feature = features.get(f"damon_{name}")
        if feature.works:
            against = "".join(f"; {reason}" for reason in rejected)
            return name, f"damon's connection auto became {name}: {merit}{against}"
        rejected.append(f"{name} does not work here: {feature.detail}")
    raise UnsupportedError(f"tracker damon: no connection works here: {'; '.join(rejected)}")


def _connection(name: str, params: DamonParams, interface: DamonInterface, instance: str, roots: Roots) -> Connection:
    match name:
        case "tracefs":
            return TracefsConnection(instance, params.aggregation_us, roots)
        case "bpftrace":
            return bpftrace_connection(roots)
        case "perf":
            return perf_connection(params.connection.partition(" ")[2], roots)
    if not isinstance(interface, DamonSysfs):
        raise UnsupportedError("tracker damon: the sysfs connection needs the sysfs interface; set interface to 1")
    return SysfsConnection(interface, params.snapshot_ms)
