"""mover: parameters, tasks, and moving what was selected."""

import numpy as np
import pytest

from memtierd.mover import MoverParams
from memtierd.prompt.context import Selection
from tests.unit.prompt.prompt_fakes import BASE, KEY, FakeDaemon, Prompt


@pytest.fixture
def selected(prompt: Prompt) -> Prompt:
    """Return a session in which 1280 pages in two ranges are selected."""
    start = np.array([BASE, BASE + (1 << 30)], np.uint64)
    prompt.session.commands.memory.selection = Selection(KEY, start, np.array([1024, 256], np.uint32))
    return prompt


def test_parameters(prompt: Prompt, daemon: FakeDaemon) -> None:
    out = prompt.good('mover -config {"IntervalMs":20,"Bandwidth":200} -config-dump')
    assert out.startswith('{"IntervalMs":20,"Bandwidth":200,')
    assert daemon.mover.params == MoverParams(interval_ms=20, bandwidth=200)
    assert prompt.bad("mover -config {Bandwidth: 0}").startswith("mover: -config:1:")
    assert daemon.mover.params.bandwidth == 200


def test_moving_the_selected_pages(selected: Prompt, daemon: FakeDaemon) -> None:
    assert selected.good("mover -pages-to 1") == ""
    assert daemon.mover.started
    assert selected.good("mover -tasks") == (
        f"0        MoverTask{{pid: 42, next: {BASE:x}, page: 0 out of 1280, dest: [node1]}}\n"
    )
    (task,) = daemon.mover._queue
    assert task.batch.source == "prompt"


def test_what_cannot_be_moved(prompt: Prompt, selected: Prompt, daemon: FakeDaemon) -> None:
    assert selected.bad("mover -pages-to 7") == (
        "mover: move pages to node 7: it is not online with memory; these are: 0, 1"
    )
    assert selected.bad("mover -pages-to swap", status=2).startswith("mover: flag -pages-to: invalid node 'swap'")
    daemon.dry_run = True
    assert selected.bad("mover -pages-to 1").startswith("mover: dry run: nothing is moved")
    assert daemon.mover.tasks() == []


def test_nothing_selected(prompt: Prompt) -> None:
    assert prompt.bad("mover -pages-to 1") == "mover: no pages are selected, select some with: pages -pid PID"


def test_removing_tasks(selected: Prompt) -> None:
    selected.good("mover -pages-to 1")
    assert selected.bad("mover -remove-task 3") == "mover: there is no task 3; mover -tasks lists the tasks"
    assert selected.good("mover -remove-task 0 ") == ""
    assert selected.good("mover -tasks") == ""


def test_waiting_never_hangs_on_a_stopped_mover(selected: Prompt) -> None:
    assert selected.good("mover -wait") == "mover wait received: Stopped\n"
    selected.good("mover -pages-to 1")
    assert (
        selected.bad("mover -wait")
        == "mover: wait for the mover: it is stopped and has tasks, start it with: mover -start"
    )


def test_commands_without_effect_succeed(prompt: Prompt) -> None:
    for flags in ("-stop", "-pause", "-continue", "-stop -pause -continue -tasks"):
        assert prompt.good(f"mover {flags}") == ""


def test_wrong_usage(prompt: Prompt) -> None:
    assert prompt.bad("mover", status=2) == "mover: nothing to do; mover -h lists the flags"
    assert prompt.bad("mover -timeout 5s", status=2) == "mover: flag -timeout: only together with -wait"
