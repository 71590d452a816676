"""Trackers: which memory of which process is used, and on which node it is."""

from memtierd.trackers.build import REGISTRY, build
from memtierd.trackers.kernel import LinuxTrackerKernel, TrackerKernel, linux_kernel
from memtierd.trackers.params import (
    AutoParams,
    FinderParams,
    IdlePageParams,
    MultiParams,
    ReferencedParams,
    SoftDirtyParams,
    StubParams,
)
from memtierd.trackers.scanner import Scanner
from memtierd.trackers.tracker import ScanStoppedError, StopFlag, Tracker

__all__ = [
    "REGISTRY",
    "AutoParams",
    "FinderParams",
    "IdlePageParams",
    "LinuxTrackerKernel",
    "MultiParams",
    "ReferencedParams",
    "ScanStoppedError",
    "Scanner",
    "SoftDirtyParams",
    "StopFlag",
    "StubParams",
    "Tracker",
    "TrackerKernel",
    "build",
    "linux_kernel",
]
