"""The command top: its picture, from what the reconciler holds."""

from memtierd.prompt.top_view import look, picture
from tests.unit.prompt.prompt_fakes import EPOCH_NS, FakeDaemon, Prompt, S, process_scan, scan


def daemon_with_regions() -> FakeDaemon:
    """Return a daemon that tracks one process of four regions, seen twice."""
    daemon = FakeDaemon()
    for at_s in (1.0, 2.0):
        daemon.reconciler.observe(scan(process_scan([1, 0, 0, 0], at_s)))
    daemon.tick_now()
    return daemon


def test_memory_is_summed_by_state_and_node() -> None:
    snapshot = look(daemon_with_regions().reconciler, EPOCH_NS)
    (process,) = snapshot.processes
    assert (process.pid, process.name) == (42, "meme")
    assert dict(zip(snapshot.states, process.state_pages, strict=True))["warm"] == 4 * 512
    assert process.node_pages == (4 * 512, 0)
    assert process.total_pages == 4 * 512


def test_the_picture_fits_the_window() -> None:
    daemon = daemon_with_regions()
    now = look(daemon.reconciler, EPOCH_NS)
    shown = picture("title", now, None, daemon.machine(), 60, 5)
    assert len(shown) == 5
    assert max(map(len, shown)) <= 60
    assert shown[0] == "title"


def test_movement_is_told_by_the_second() -> None:
    daemon = daemon_with_regions()
    before = look(daemon.reconciler, EPOCH_NS)
    daemon.reconciler.statistics.swapped_out_pages += 512
    now = look(daemon.reconciler, EPOCH_NS + 2 * S)
    shown = picture("title", now, before, daemon.machine(), 200, 20)
    assert any("1 MB/s to swap" in line for line in shown)


def test_without_a_terminal_it_needs_a_count() -> None:
    prompt = Prompt(daemon_with_regions())
    assert "-count" in prompt.bad("top")
    out = prompt.good("top -count 1")
    assert "meme" in out
    assert "\x1b" not in out


def test_nothing_tracked_is_shown_as_nothing() -> None:
    assert "pid" in Prompt(FakeDaemon()).good("top -count 1")
