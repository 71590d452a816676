"""Every metric, declared once: name, type, labels and what it says; and what was measured of one."""

from collections.abc import Iterable, Sequence

import attrs

from memtierd.statistics import BOUNDS_NS, Durations

NAMESPACE = "memtierd_"
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
UNITS = ("bytes", "seconds", "ratio")


@attrs.frozen
class Family:
    """One metric with all its labels; the name is that of Prometheus' text format, a counter's with _total."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """Return the name without _total, as OpenMetrics calls the family."""
        return self.name.removesuffix("_total")

    @property
    def unit(self) -> str:
        """Return the base unit with which the name ends; empty for a mere number."""
        return next((unit for unit in UNITS if self.base.endswith(f"_{unit}")), "")


@attrs.frozen
class Sample:
    """One number, the values of the family's labels in their order, and for histograms which of its series it is."""

    labels: tuple[str, ...]
    value: float
    suffix: str = ""
    """"_bucket", "_sum", or "_count"; a bucket has the label le beside the family's own."""


@attrs.frozen
class Measured:
    """A family and all its samples now."""

    family: Family
    samples: tuple[Sample, ...]

    def label_names(self, sample: Sample) -> tuple[str, ...]:
        """Return the names of a sample's labels."""
        return (*self.family.labels, "le") if sample.suffix == "_bucket" else self.family.labels


def _declared(*families: tuple[str, str, str] | tuple[str, str, str, tuple[str, ...]]) -> dict[str, Family]:
    return {NAMESPACE + name: Family(NAMESPACE + name, *rest) for name, *rest in families}


FAMILIES = _declared(
    ("build_info", GAUGE, "Always 1; the labels say what runs.", ("version", "python")),
    ("policy_info", GAUGE, "Always 1; the labels say what decides and what looks at memory.", ("policy", "tracker")),
    ("start_time_seconds", GAUGE, "When memtierd began, in seconds since 1970."),
    ("collected_timestamp_seconds", GAUGE, "When these metrics were measured, in seconds since 1970."),
    ("answering", GAUGE, "1 when the control thread answered in time; 0: what it knows is missing here."),
    ("dry_run", GAUGE, "1 while nothing is moved."),
    ("processes", GAUGE, "Processes with regions in the table."),
    ("regions", GAUGE, "Regions by what is being done about where they lie.", ("placement",)),
    ("table_bytes", GAUGE, "Memory of the region table itself."),
    (
        "tracked_bytes",
        GAUGE,
        "Tracked memory by group of processes, state, and where it is: a node, or swap.",
        ("group", "state", "node"),
    ),
    ("planned_bytes", GAUGE, "What the latest plan is to move, by where to: a node, or swap.", ("to",)),
    ("blocked_bytes", GAUGE, "What lies wrong and can't be moved now, by why.", ("reason",)),
    (
        "moved_bytes_total",
        COUNTER,
        "Moved memory by where the latest scan saw it, unknown if it saw it nowhere else, and where to.",
        ("from", "to"),
    ),
    ("move_outcome_bytes_total", COUNTER, "Memory of finished moves by how they ended.", ("outcome",)),
    (
        "move_error_bytes_total",
        COUNTER,
        "Memory of finished moves that stayed put, by what the kernel said.",
        ("errno",),
    ),
    ("move_calls_total", COUNTER, "System calls of the mover.", ("call",)),
    ("swapped_out_bytes_total", COUNTER, "Memory that really was found swapped out after memtierd had swapped it out."),
    ("scanned_bytes_total", COUNTER, "Memory looked at by the tracker; what is looked at again counts again."),
    ("accessed_bytes_total", COUNTER, "Memory that scans saw used."),
    ("written_bytes_total", COUNTER, "Memory that scans saw written; 0 where the tracker can't tell."),
    ("scan_failures_total", COUNTER, "How often a process could not be scanned."),
    ("scan_duration_seconds", HISTOGRAM, "How long rounds of the tracker over all processes took."),
    ("scan_longest_seconds", GAUGE, "The longest round of the tracker since the start."),
    (
        "last_scan_timestamp_seconds",
        GAUGE,
        "When the latest round ended, in seconds since 1970; missing before the first.",
    ),
    ("tick_duration_seconds", HISTOGRAM, "How long it took to decide and plan."),
    ("tick_longest_seconds", GAUGE, "The longest decision since the start."),
    (
        "last_tick_timestamp_seconds",
        GAUGE,
        "When the latest decision ended, in seconds since 1970; missing before the first.",
    ),
    ("node_bytes", GAUGE, "Memory of a node.", ("node",)),
    (
        "node_free_bytes",
        GAUGE,
        "Memory of a node to which something can be moved: free, or clean page cache.",
        ("node",),
    ),
    ("swap_bytes", GAUGE, "Swap space."),
    ("swap_free_bytes", GAUGE, "Free swap space."),
    (
        "pressure_ratio",
        GAUGE,
        "Portion of the last ten seconds in which some task waited; the scope is system or a watched control group.",
        ("resource", "scope"),
    ),
    ("guard_paused", GAUGE, "1 while a guard holds demotion back.", ("guard", "scope")),
    ("guard_pauses_total", COUNTER, "How often a guard began to hold demotion back.", ("guard", "scope")),
    ("config_reloads_total", COUNTER, "Times that the configuration was read again, by result.", ("result",)),
    ("config_last_reload_successful", GAUGE, "0 while the configuration file is one that was refused."),
    (
        "conditions",
        GAUGE,
        "Lasting conditions that keep memtierd from doing all it should, by what tells of them.",
        ("source",),
    ),
    ("events_total", COUNTER, "Named events, as the command stats -t events counts them.", ("event",)),
    ("control_errors_total", COUNTER, "Bugs that the control thread met and survived."),
    ("cpu_seconds_total", COUNTER, "CPU time of memtierd, user and system."),
    ("resident_memory_bytes", GAUGE, "Resident memory of memtierd."),
    ("open_fds", GAUGE, "Open file descriptors of memtierd."),
    ("threads", GAUGE, "Threads of memtierd."),
)
"""By name, in the order of the output."""


def measured(name: str, samples: Iterable[tuple[Sequence[str], float]]) -> Measured:
    """Return a family by its name without the prefix, with (label values, value) of each sample."""
    family = FAMILIES[NAMESPACE + name]
    return Measured(family, tuple(Sample(tuple(labels), value) for labels, value in samples))


def single(name: str, value: float) -> Measured:
    """Return a family without labels."""
    return measured(name, [((), value)])


def histogram(name: str, durations: Durations) -> Measured:
    """Return a histogram without labels: how many took at most so many seconds, the sum of all, and how many."""
    samples, below = [], 0
    for bound_ns, count in zip(BOUNDS_NS, durations.by_bound, strict=False):
        below += count
        samples.append(Sample((f"{bound_ns / 1e9:g}",), below, "_bucket"))
    samples.append(Sample(("+Inf",), durations.count, "_bucket"))
    samples.append(Sample((), durations.count, "_count"))
    samples.append(Sample((), durations.total_ns / 1e9, "_sum"))
    return Measured(FAMILIES[NAMESPACE + name], tuple(samples))
