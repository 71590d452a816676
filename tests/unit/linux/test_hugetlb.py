"""Hugetlb memory is recognised, so that nobody tracks or moves it."""

import os
from pathlib import Path

import pytest

from memtierd.linux.hugetlb import parse_hugetlb_devices
from memtierd.linux.proc import maps, parse_smaps
from memtierd.linux.roots import Roots

PID = 42
# Of Linux 6.12, with two hugetlbfs more.
MOUNTINFO = """\
21 26 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw
26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
34 23 0:31 / /dev/hugepages rw,relatime shared:16 - hugetlbfs hugetlbfs rw,pagesize=2M
35 23 0:259 / /mnt/huge\\040pages rw,relatime - hugetlbfs none rw,pagesize=1024M
36 26 0:32 / /mnt/hugetlbfs rw,relatime shared:17 master:1 - tmpfs tmpfs rw
"""
MAPS = """\
7f0000000000-7f0000200000 rw-p 00000000 00:1f 7                          /dev/hugepages/libhugetlbfs.tmp.3jS1 (deleted)
7f0000200000-7f0000400000 rw-p 00000000 00:0d 32                         /anon_hugepage (deleted)
7f0000400000-7f0000401000 rw-p 00000000 00:20 9                          /mnt/hugetlbfs/file
7f0000401000-7f0000402000 rw-p 00000000 fe:01 9                          /usr/lib/file
7f0000402000-7f0000403000 rw-p 00000000 00:00 0
"""
TRACKED = [0x7F0000400000, 0x7F0000401000, 0x7F0000402000]


def process(directory: Path, maps_text: str) -> Roots:
    """Return roots where process 42 has these mappings and the mounts above."""
    (directory / str(PID)).mkdir()
    (directory / str(PID) / "maps").write_text(maps_text)
    (directory / str(PID) / "mountinfo").write_text(MOUNTINFO)
    return Roots(proc=str(directory))


def test_devices_are_written_as_in_maps() -> None:
    assert parse_hugetlb_devices(MOUNTINFO) == {"00:1f", "00:103"}
    assert parse_hugetlb_devices("") == frozenset()


def test_private_mappings_of_hugetlb_files_are_not_tracked(tmp_path: Path) -> None:
    found = maps(PID, process(tmp_path, MAPS))
    assert [mapping.is_hugetlb for mapping in found] == [True, True, False, False, False]
    assert [mapping.start for mapping in found if mapping.is_tracked] == TRACKED


def test_mounts_are_read_only_when_they_matter(tmp_path: Path) -> None:
    roots = process(tmp_path, MAPS.splitlines()[-1] + "\n")
    (tmp_path / str(PID) / "mountinfo").unlink()
    os.mkfifo(tmp_path / str(PID) / "mountinfo")  # reading it would wait for ever
    assert len(maps(PID, roots)) == 1


def test_a_kernel_without_mountinfo_has_no_hugetlb_files(tmp_path: Path) -> None:
    roots = process(tmp_path, MAPS)
    (tmp_path / str(PID) / "mountinfo").unlink()
    assert [mapping.is_hugetlb for mapping in maps(PID, roots)] == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("flags", "is_hugetlb"), [("rd wr mr mw me sd ", False), ("rd wr mr mw me de ht sd ", True), ("", False)]
)
def test_smaps_tells_it_of_every_mapping(flags: str, is_hugetlb: bool) -> None:
    header = "7f1000000000-7f1000400000 rw-p 00000000 00:0d 33                         /memfd:pool (deleted)"
    (use,) = parse_smaps(f"{header}\nRss:                   0 kB\nAnonHugePages:      2048 kB\nVmFlags: {flags}\n")
    assert use.mapping.is_hugetlb is is_hugetlb
    assert use.mapping.is_tracked is not is_hugetlb
    assert use.anon_huge_kb == 2048
