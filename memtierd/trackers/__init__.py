"""Trackers: which memory of which process is used, and on which node it is."""

from memtierd.trackers.build import REGISTRY, build
from memtierd.trackers.kernel import LinuxTrackerKernel, TrackerKernel, linux_kernel
from memtierd.trackers.params import AutoParams, IdlePageParams, ReferencedParams, SoftDirtyParams
from memtierd.trackers.scanner import Scanner
from memtierd.trackers.tracker import ScanStoppedError, StopFlag, Tracker

__all__ = [
    "REGISTRY",
    "AutoParams",
    "IdlePageParams",
    "LinuxTrackerKernel",
    "ReferencedParams",
    "ScanStoppedError",
    "Scanner",
    "SoftDirtyParams",
    "StopFlag",
    "Tracker",
    "TrackerKernel",
    "build",
    "linux_kernel",
]
