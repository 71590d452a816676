"""The ratio policy: the least accessed memory goes to its targets until the ratio is reached, and then no more."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.vm.scenes import MIB, SWAP, compressed_swap, meme, memtierd, migrated_pages, until

START, TARGET = 1, 3
SIZE_MB, USED_MB = 32, 20

CONFIG = """
policy:
  name: ratio
  config:
    intervalms: 1000
    pids: [{pid}]
    ratio: 0.3
    ratiotargets: [{target}]
    tracker:
      name: {tracker}
      config: {{pagesinregion: 64, scanintervalms: 1000}}
    mover: {{intervalms: 20, bandwidth: 100}}
"""


@attrs.frozen
class Story:
    """Where the portion belongs, and memory use that a tracker can see."""

    target: int
    tracker: str
    use: tuple[str, ...]


STORIES = {
    "swap-softdirty": Story(SWAP, "softdirty", ("-brs", "0", "-bws", f"{USED_MB}M", "-bwi", "100ms")),
    "node-idlepage": Story(TARGET, "idlepage", ("-bws", "0", "-brs", f"{USED_MB}M", "-bri", "100ms")),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_the_ratio_is_reached_with_idle_memory_and_kept(tmp_path: Path, story: Story) -> None:
    with compressed_swap(64), meme("-bs", f"{SIZE_MB}M", *story.use, node=START) as load:
        array = load.arrays[0]
        used, idle = array.part(0, USED_MB * MIB), array.part(USED_MB * MIB, (SIZE_MB - USED_MB) * MIB)

        def where() -> str:
            return f"used {used.spread()}, idle {idle.spread()}"

        assert array.portion(story.target) == 0
        before_pages = migrated_pages()
        config = CONFIG.format(pid=load.pid, target=story.target, tracker=story.tracker)
        with memtierd(tmp_path, config) as daemon:
            until("30 % are there", lambda: array.portion(story.target) >= 0.25, where)
            # What is decided now knows of all that was moved.
            daemon.let_pass(3, f"tracker.{story.tracker}.scan")
            daemon.let_pass(5, "policy.ratio.tick")
            reached = array.spread()[story.target]
            assert 0.25 <= array.portion(story.target) <= 0.35, where()
            assert used.portion(story.target) < 0.05, where()
            daemon.let_pass(5, "policy.ratio.tick")
            assert abs(array.spread()[story.target] - reached) <= 64, where()
            assert migrated_pages() - before_pages <= 1.1 * reached
