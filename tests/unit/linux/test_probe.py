"""What the probe concludes from a fake proc and sysfs; what needs a kernel is in tests/host."""

from pathlib import Path

import pytest

from memtierd.linux.probe import Features, probe
from tests.unit.linux.fake_kernel import FakeKernel, lay_machine

NAMES = [
    "idlepage",
    "softdirty",
    "referenced",
    "pagemap_pfn",
    "pagemap_scan",
    "kpageflags",
    "swap",
    "numa",
    "pressure",
    "move_pages",
    "process_madvise",
    "damon_sysfs",
    "damon_debugfs",
    "damon_tracefs",
    "damon_bpftrace",
    "damon_perf",
]


def test_an_empty_tree_has_nothing_that_lives_in_files(tmp_path: Path) -> None:
    features = probe(FakeKernel(tmp_path).roots)
    assert [feature.name for feature in features.features] == NAMES
    assert not any(
        map(features.works, ("idlepage", "referenced", "pagemap_pfn", "kpageflags", "swap", "numa", "pressure"))
    )
    assert (features.thp_mode, features.disturbs) == ("none", ())
    assert all("\n" not in feature.detail and feature.detail for feature in features.features)


def test_nodes_and_swap_of_a_machine(tmp_path: Path) -> None:
    features = probe(lay_machine("four-nodes-6.12", tmp_path))
    assert (features.works("swap"), features.works("numa")) == (True, True)
    assert features.thp_mode == "madvise"


def test_full_swap_does_not_count(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    kernel.put("proc/swaps", "Filename Type Size Used Priority\n/swap file 4096 4096 -2\n")
    assert not probe(kernel.roots).works("swap")


def test_the_idle_bitmap_is_read_and_written_without_a_change(tmp_path: Path) -> None:
    kernel = FakeKernel(tmp_path)
    bitmap = kernel.put("sys/kernel/mm/page_idle/bitmap", "")
    bitmap.write_bytes(bytes(64))
    assert probe(kernel.roots).works("idlepage")
    assert bitmap.read_bytes() == bytes(64)


@pytest.mark.parametrize(
    ("files", "disturbances"),
    [
        ({"proc/sys/kernel/numa_balancing": "0\n"}, 0),
        ({"proc/sys/kernel/numa_balancing": "2\n"}, 1),
        ({"sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds": "0\n"}, 0),
        (
            {
                "sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds": "3\n",
                "sys/kernel/mm/damon/admin/kdamonds/0/state": "off\n",
                "sys/kernel/mm/damon/admin/kdamonds/1/state": "on\n",
                "sys/kernel/mm/damon/admin/kdamonds/2/state": "on\n",
            },
            2,
        ),
        ({"sys/module/damon_reclaim/parameters/enabled": "Y\n"}, 1),
        ({"sys/module/damon_stat/parameters/enabled": "N\n"}, 0),
    ],
)
def test_who_else_clears_accessed_bits(tmp_path: Path, files: dict[str, str], disturbances: int) -> None:
    kernel = FakeKernel(tmp_path)
    for path, text in files.items():
        kernel.put(path, text)
    assert len(probe(kernel.roots).disturbs) == disturbances
    assert all((tmp_path / path).read_text() == text for path, text in files.items())


def test_a_feature_that_was_not_tried() -> None:
    with pytest.raises(KeyError):
        Features((), "none", ()).get("telepathy")
