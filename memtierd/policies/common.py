"""What every policy has: parameters (whom to watch, how to track, how fast to move) and its pure decisions."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol

import attrs
import numpy as np

from memtierd.model import F32, U8, U16, U32, Auto, Bool, MachineFacts, NodeChoice, ProcessFacts
from memtierd.parameters import FieldProblem, Part, option, part
from memtierd.regions.history import HeatDecay
from memtierd.regions.lifecycle import CompiledMachine


@attrs.frozen(kw_only=True)
class MaxPressureParams:
    """Under how much pressure memory is still demoted."""

    memory: float = option(
        10.0,
        doc="Portion of the last ten seconds in which tasks waited for memory, above which demotion pauses.",
        unit="%",
        at_least=0,
        at_most=100,
    )
    io: float = option(20.0, doc="The same for tasks that waited for io.", unit="%", at_least=0, at_most=100)
    resume_ms: int = option(
        10_000, doc="Demotion goes on when no pressure was above its limit for this long.", unit="ms", at_least=0
    )


@attrs.frozen(kw_only=True)
class MaxRefaultParams:
    """How much of what was demoted may come back soon, and how long a region waits that did."""

    percent: float = option(
        20.0,
        doc="Portion of what was demoted within the window that came back within it, above which demotion pauses.",
        unit="%",
        at_least=0,
        at_most=100,
    )
    window_ms: int = option(60_000, doc="What comes back within this time came back soon.", unit="ms", at_least=1)
    damp_ms: int = option(
        60_000,
        doc="How long a region that came back soon is not demoted; twice as long each time that it comes back again.",
        unit="ms",
        at_least=1,
    )
    damp_max_ms: int = option(3_600_000, doc="The longest time that a region is not demoted.", unit="ms", at_least=1)

    def problems(self) -> Iterator[FieldProblem]:
        """Return a longest wait that is shorter than the first."""
        if self.damp_max_ms < self.damp_ms:
            expected = f"{self.damp_ms} or more, which is dampms"
            yield FieldProblem("damp_max_ms", expected, depends_on=("damp_ms",))


@attrs.frozen(kw_only=True)
class PolicyParams:
    """Base of all policies' parameters."""

    watches: ClassVar[bool] = True
    """False for a policy that has neither processes nor a tracker."""
    default_tracker: ClassVar[str] = "auto"
    """The tracker when none is configured."""
    finders: ClassVar[tuple[str, ...]] = ()
    """Fields that say which processes are managed, so that a policy with one of them needs no pidwatcher."""

    interval_ms: int = option(5000, doc="How often the policy decides and plans.", unit="ms", at_least=1)
    pidwatcher: Part | None = part("pidwatcher", None, doc="Which processes are managed.")
    cgroups: tuple[str, ...] = option((), doc="Short form of the cgroups pidwatcher: directories, taken recursively.")
    pids: tuple[int, ...] = option((), doc="Short form of the pidlist pidwatcher.", at_least=1)
    tracker: Part | None = part("tracker", None, doc="How accesses are observed; missing: as suits the policy.")
    mover: Any = part("mover", None, doc="How fast memory is moved.", named=False)
    reserve_percent: float = option(
        2.0, doc="Portion of a target node that is left free.", unit="%", at_least=0, at_most=100
    )
    retry_ms: int = option(
        10_000, doc="How long a region waits after a failed move; doubled at each failure.", unit="ms", at_least=1
    )
    retry_max_ms: int = option(600_000, doc="The longest wait after failed moves.", unit="ms", at_least=1)
    batch_mb: int = option(
        64, doc="Largest piece handed to the mover at a time.", unit="MB", at_least=1, at_most=1_000_000
    )
    max_pressure: MaxPressureParams | None = option(
        None, doc="Demotion pauses while tasks wait for memory or io more than this; missing: it never does."
    )
    max_refault: MaxRefaultParams | None = option(
        None, doc="Demotion pauses when more than this comes back soon, and waits for what did; missing: never."
    )

    @property
    def watched_cgroups(self) -> tuple[str, ...]:
        """Return the directories of control groups whose processes are managed, each once."""
        return tuple(dict.fromkeys(_cgroups_of(self.pidwatcher)))

    @property
    def pages_of_interest(self) -> str | None:
        """Return the directory whose files name addresses to manage, None without one."""
        return None

    @property
    def tracker_defaults(self) -> dict[str, Any]:
        """Return parameters of the default tracker that this policy wants, by the names of its fields."""
        return {}


def _cgroups_of(watcher: Part | None) -> Iterator[str]:
    params = watcher.params if watcher is not None else None
    yield from getattr(params, "cgroups", ())
    source = getattr(params, "source", None)
    if isinstance(source, Part):
        yield from _cgroups_of(source)


def decide_alike(one: PolicyParams, other: PolicyParams) -> bool:
    """Return whether two policies judge every region alike: they differ in nothing but common parameters."""
    common = {field.name: getattr(one, field.name) for field in attrs.fields(PolicyParams)}
    return type(one) is type(other) and attrs.evolve(other, **common) == one


@attrs.frozen
class Place:
    """Nodes that are equally right for a region; no nodes: anywhere is right; -1: swapped out."""

    nodes: tuple[int, ...]


ANYWHERE_PLACE = Place(())


@attrs.frozen(eq=False)
class History:
    """What a policy may judge by; one entry a region."""

    last_access_ms: U32
    active_since_ms: U32
    observed_ms: U32
    """Time of the last scan of the region's process."""
    heat: F32
    judged: Bool
    """At least one scan could tell whether the region was used."""
    accesses: U32
    """Pages seen accessed, summed over scans."""
    writes: U32
    pages: U32
    swapped_pages: U32
    node_pages: U32
    """Shape (nodes, regions), nodes in the order of `node_ids`."""
    node_ids: tuple[int, ...]
    failures: U8
    """Moves of the region that failed in a row."""
    process: U16
    """Row of each region's process."""
    facts: Callable[[int], ProcessFacts]
    """What was last seen of the process in a row; to be asked once for each process, not for each region."""


class Policy(Protocol):
    """A policy: parameters compiled to a state machine, an event for every region, and a place for every state."""

    @property
    def name(self) -> str:
        """Name in the configuration."""

    @property
    def params(self) -> PolicyParams:
        """The parameters it was made from."""

    @property
    def activity(self) -> CompiledMachine:
        """The activity machine of regions under this policy."""

    @property
    def places(self) -> tuple[Place, ...]:
        """What `desired` codes mean; the first is anywhere."""

    @property
    def place_of_state(self) -> U8:
        """Place code for each activity state."""

    @property
    def turn_of_state(self) -> U8:
        """Turn of each activity state when regions are to be moved: the lowest comes first."""

    @property
    def heat(self) -> HeatDecay | None:
        """How heat is kept; None: not at all."""

    @property
    def node_limits(self) -> dict[int, str]:
        """At most this much tracked memory on a node, as size or percentage."""

    @property
    def least_available_pages(self) -> dict[int, int]:
        """What must stay available on a node that memory is moved to."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Lasting conditions worth a warning: the same sentence as long as one lasts."""

    def adapt(self, machine: MachineFacts) -> "Policy":
        """Return the policy for a decision on this machine: itself, unless its places depend on the machine.

        The activity machine stays the same.
        """

    def events(self, history: History) -> U8:
        """Return the event for every region, as codes of `activity`."""

    def measure(self, history: History, activity: U8) -> F32:
        """Return the value that explains each region's state: idle seconds, active seconds or heat."""

    def urgency(self, activity: U8, value: F32) -> F32:
        """Return what orders regions of the same turn, the largest first, from their states and measures."""

    def explain(self, activity: int, value: float) -> str:
        """Return why a region in this state, with this measure, should be where `place_of_state` says."""


def places_of_states(machine: CompiledMachine, nodes_of: dict[str, tuple[int, ...]]) -> tuple[tuple[Place, ...], U8]:
    """Return the distinct places and the place code of every state; states that are missing may be anywhere."""
    places = [ANYWHERE_PLACE]
    codes = np.zeros(len(machine.declaration.states), dtype=np.uint8)
    for state, nodes in nodes_of.items():
        place = Place(nodes)
        if place not in places:
            places.append(place)
        codes[machine.state(state)] = places.index(place)
    return tuple(places), codes


def only_samples(tracker: Part) -> bool:
    """Tell whether a tracker, or every one of a multi tracker, looks at samples of the memory only."""
    parts: tuple[Part, ...] = getattr(tracker.params, "trackers", ())
    return tracker.name == "damon" or (bool(parts) and all(map(only_samples, parts)))


def fast_nodes(choice: NodeChoice, machine: MachineFacts) -> tuple[int, ...]:
    """Return the chosen nodes; for `auto` those of the fastest tier."""
    if choice is not Auto.AUTO:
        return choice
    return tuple(facts.node for facts in machine.nodes if facts.tier == 0)


def slow_nodes(choice: NodeChoice, machine: MachineFacts) -> tuple[int, ...]:
    """Return the chosen nodes; for `auto` those of all tiers but the fastest, none where all are alike."""
    if choice is not Auto.AUTO:
        return choice
    return tuple(facts.node for facts in machine.nodes if facts.tier > 0)
