"""What is said to and asked from DAMON, whatever the files are called through which this happens."""

from typing import Protocol

import attrs

from memtierd.model import AddressRange


@attrs.frozen
class Target:
    """A process to be monitored."""

    pid: int
    ranges: tuple[AddressRange, ...] = ()
    """Regions to begin with, ascending, not overlapping; none: DAMON finds them, or keeps those that it has."""


@attrs.frozen
class Setup:
    """The context of one kdamond (Documentation/admin-guide/mm/damon/usage.rst, monitoring attributes)."""

    sampling_us: int
    aggregation_us: int
    regions_update_us: int
    min_regions: int
    max_regions: int
    targets: tuple[Target, ...]
    schemes: bool = False
    """Whether there is a scheme for each target that does nothing but keep a list of its regions."""


@attrs.frozen
class KdamondFacts:
    """What a kdamond is doing, and what it is set up for."""

    kdamond: int
    thread: int | None
    """Thread id while it runs, else None."""
    is_set_up: bool
    """Whether there is a context, or targets, also when it does not run."""
    target_pids: tuple[int, ...]


class DamonInterface(Protocol):
    """Configures DAMON; kdamonds are known by their numbers.

    Every method raises KernelError for what the kernel refuses, with what to do.
    """

    @property
    def name(self) -> str:
        """Return sysfs or debugfs."""

    def kdamonds(self) -> int:
        """Return how many kdamonds there are to be used."""

    def facts(self, kdamond: int) -> KdamondFacts:
        """Return what a kdamond is doing; reads only."""

    def scheme_capacity(self, kdamond: int) -> int | None:
        """Return for how many targets a kdamond that is not in use can keep lists of regions; None: any number.

        Raises UnsupportedError when it keeps none.
        """

    def configure(self, kdamond: int, setup: Setup) -> None:
        """Set up a kdamond that does not run."""

    def start(self, kdamond: int) -> int:
        """Start a kdamond and return its thread id."""

    def commit(self, kdamond: int, setup: Setup) -> bool:
        """Give a running kdamond other targets; False when it can't take them, and has to be stopped for it."""

    def stop(self, kdamond: int) -> None:
        """Stop a kdamond; no effect when it does not run."""

    def clear(self, kdamond: int) -> None:
        """Take back what `configure` set up."""
