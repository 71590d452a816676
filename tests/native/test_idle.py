"""The idle scan over files that stand in for the kernel's, against a twin that knows the compound pages beforehand."""

import errno
import mmap
import os
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtierd import native
from memtierd.native import NodeMap
from tests.native.child import Child
from tests.native.layouts import (
    FILE,
    HEAD,
    LRU,
    MOVABLE,
    PAGE_BYTES,
    PFN_MASK,
    PRESENT,
    SWAPPED,
    TAIL,
    Regions,
    columns,
    counts,
    errno_of,
    index_of,
    is_movable,
    one_node,
    stop_flag,
    word_file,
    words_of,
)

BITMAP = Path("/sys/kernel/mm/page_idle/bitmap")
ALL_IDLE = (1 << 64) - 1


@attrs.frozen
class Folio:
    """A page, or a compound page of 2^order pages, at an aligned PFN."""

    pfn: int
    order: int
    on_lru: bool
    idle: bool

    def flags(self) -> list[int]:
        """Return its words of kpageflags; the tails carry no LRU bit."""
        lru = LRU if self.on_lru else 0
        if self.order == 0:
            return [lru]
        return [lru | HEAD] + [TAIL] * ((1 << self.order) - 1)


@attrs.frozen
class Layout:
    """The page frames of a machine and the pagemap of a process on it."""

    folios: list[Folio]
    entries: list[int]
    regions: Regions

    def kpageflags(self) -> list[int]:
        words = [0] * max((folio.pfn + (1 << folio.order) for folio in self.folios), default=0)
        for folio in self.folios:
            words[folio.pfn : folio.pfn + (1 << folio.order)] = folio.flags()
        return words

    def bitmap(self) -> list[int]:
        words = [0] * (len(self.kpageflags()) // 64 + 1)
        for folio in self.folios:
            words[folio.pfn // 64] |= int(folio.idle) << folio.pfn % 64
        return words

    def folio_of(self, entry: int) -> Folio | None:
        pfn = entry & PFN_MASK
        if not entry & PRESENT:
            return None
        return next((folio for folio in self.folios if folio.pfn <= pfn < folio.pfn + (1 << folio.order)), None)

    def accessed(self) -> list[list[int]]:
        """Return for each region the heads, once for each of their pages, that were accessed."""
        heads = []
        for first, pages in self.regions:
            folios = [self.folio_of(entry) for entry in self.entries[first : first + pages]]
            heads.append([folio.pfn for folio in folios if folio and folio.on_lru and not folio.idle])
        return heads


def is_idle(bitmap: list[int], pfn: int) -> bool:
    return bool(bitmap[pfn // 64] >> pfn % 64 & 1)


@st.composite
def folio_lists(draw: st.DrawFn) -> list[Folio]:
    folios, pfn = [], draw(st.integers(1, 80))
    orders = st.sampled_from([0, 0, 0, 1, 2, 4, 6, 9])
    gaps = st.sampled_from([0, 0, 0, 1, 3, 17, 64, 500])
    for order, gap in draw(st.lists(st.tuples(orders, gaps), max_size=30)):
        pfn = (pfn + gap + (1 << order) - 1) >> order << order
        folios.append(Folio(pfn, order, on_lru=draw(st.booleans() | st.just(True)), idle=draw(st.booleans())))
        pfn += 1 << order
    return folios


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Folios mapped whole and in part, in any order, some twice, among holes, swapped pages and unknown PFNs."""
    folios = draw(folio_lists())
    entries: list[int] = []
    for _ in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(["folio", "folio", "folio", "hole", "swapped", "hidden", "beyond"]))
        if kind == "folio" and folios:
            folio = draw(st.sampled_from(folios))
            first = draw(st.integers(0, (1 << folio.order) - 1))
            last = draw(st.integers(first, (1 << folio.order) - 1))
            flags = draw(st.sampled_from([PRESENT, MOVABLE, MOVABLE | FILE]))
            entries += [flags | folio.pfn + page for page in range(first, last + 1)]
        else:
            entries += {
                "hole": [0] * 70,
                "swapped": [SWAPPED | 5],
                "hidden": [PRESENT],
                "beyond": [PRESENT | 90000],
            }.get(kind, [0])
    cuts = sorted(draw(st.lists(st.integers(0, len(entries)), min_size=2, max_size=12)))
    keep = draw(st.lists(st.booleans() | st.just(True), min_size=len(cuts) - 1, max_size=len(cuts) - 1))
    regions = [(low, high - low) for low, high, kept in zip(cuts, cuts[1:], keep, strict=False) if kept]
    return Layout(folios, entries, regions)


def scan(layout: Layout, max_count: int = 0, node_map: NodeMap | None = None) -> tuple[list[int], list[int]]:
    """Return the accessed pages of each region and the bitmap after a scan."""
    start, pages = columns(layout.regions)
    accessed, swapped = counts(start), counts(start)
    nodes = np.full((2, len(start)), 5, np.uint32)
    places = node_map or one_node()
    with (
        word_file(layout.entries) as pagemap_fd,
        word_file(layout.kpageflags()) as kpageflags_fd,
        word_file(layout.bitmap()) as bitmap_fd,
    ):
        native.scan_idle(
            pagemap_fd, kpageflags_fd, bitmap_fd, start, pages, max_count, places, accessed, swapped, nodes, stop_flag()
        )
        bitmap = words_of(bitmap_fd)
    for region, (first, length) in enumerate(layout.regions):
        entries = layout.entries[first : first + length]
        assert swapped[region] == sum(bool(entry & SWAPPED) for entry in entries)
        indices = [index_of(places, entry & PFN_MASK) for entry in entries if is_movable(entry)]
        assert nodes[:, region].tolist() == [indices.count(0), indices.count(1)]
    return accessed.tolist(), bitmap


@settings(deadline=None, max_examples=300)
@given(layout=layouts(), max_count=st.integers(0, 3))
def test_any_layout(layout: Layout, max_count: int) -> None:
    heads = layout.accessed()
    accessed, bitmap = scan(layout, max_count, NodeMap(64, np.array([0, 1, -1, 0, 1] * 40, np.int8)))
    assert accessed == [min(len(region), max_count or 1 << 32) for region in heads]
    ours = {head for region in heads for head in region}
    assert all(is_idle(bitmap, head) for head in ours)
    before = layout.bitmap()
    assert not [
        pfn for pfn in range(len(before) * 64) if is_idle(bitmap, pfn) and pfn not in ours and not is_idle(before, pfn)
    ]


@pytest.mark.parametrize("order", [1, 4, 9, 12])
def test_region_of_tails_only_looks_at_the_head(order: int) -> None:
    pages = 1 << order
    head = Folio(1 << 14, order, on_lru=True, idle=False)
    layout = Layout([head], [PRESENT | head.pfn + page for page in range(pages)], [(pages - 1, 1)])
    accessed, bitmap = scan(layout)
    assert accessed == [1]
    assert is_idle(bitmap, head.pfn)


@pytest.mark.parametrize("order", [0, 1, 4, 8, 9, 10])
def test_neighbouring_pages_of_any_order_are_told_apart(order: int) -> None:
    size = 1 << order
    folios = [Folio(pfn, order, on_lru=True, idle=pfn // size % 2 == 0) for pfn in range(1024, 2048, size)]
    layout = Layout(folios, [PRESENT | pfn for pfn in range(1024, 2048)], [(0, 512), (512, 512)])
    assert scan(layout)[0] == [len(heads) for heads in layout.accessed()]


def test_tail_bits_of_an_idle_page_are_no_access() -> None:
    head = Folio(512, 9, on_lru=True, idle=True)
    layout = Layout([head], [PRESENT | 512 + page for page in range(512)], [(0, 512)])
    assert scan(layout)[0] == [0]


def test_other_pages_of_the_same_word_are_left_alone() -> None:
    ours, other = Folio(70, 0, on_lru=True, idle=False), Folio(71, 0, on_lru=True, idle=False)
    accessed, bitmap = scan(Layout([ours, other], [PRESENT | 70], [(0, 1)]))
    assert accessed == [1]
    assert bitmap[1] == 1 << 70 - 64


def test_shared_head_of_two_regions_counts_for_both() -> None:
    head = Folio(512, 9, on_lru=True, idle=False)
    layout = Layout([head], [PRESENT | 512 + page for page in range(512)], [(0, 100), (100, 412)])
    assert scan(layout)[0] == [100, 412]


def test_huge_pages_across_slices_keep_their_verdict() -> None:
    """Regions that fit no huge page, over more pages than fit into one slice, which would judge a head twice."""
    folios = [Folio((number + 1) * 512, 9, on_lru=True, idle=False) for number in range(300)]
    order = np.random.default_rng(1).permutation(300)
    entries = [PRESENT | int(number + 1) * 512 + page for number in order for page in range(512)]
    entries[:100] = [0] * 100  # so that a slice isn't full at the end of a huge page by chance
    regions = [(first, min(400, len(entries) - first)) for first in range(0, len(entries), 400)]
    accessed, _ = scan(Layout(folios, entries, regions))
    assert accessed == [300, *(pages for _, pages in regions[1:])]


def test_more_small_pages_than_a_slice() -> None:
    """Words aren't shared by slices here: a file replaces words where the kernel ORs them."""
    random = np.random.default_rng(2)
    words = random.permutation(2500)
    pfns = [int(word + 1) * 64 + bit for word in words for bit in random.permutation(64).tolist()]
    idle = {pfn for pfn in pfns if random.random() < 0.5}
    folios = [Folio(pfn, 0, on_lru=True, idle=pfn in idle) for pfn in pfns]
    regions = [(first, 64) for first in range(0, len(pfns), 64)]
    accessed, bitmap = scan(Layout(folios, [PRESENT | pfn for pfn in pfns], regions))
    assert accessed == [sum(pfn not in idle for pfn in pfns[first : first + 64]) for first, _ in regions]
    assert all(is_idle(bitmap, pfn) for pfn in pfns if pfn not in idle)


def test_stop_flag_cancels() -> None:
    start, pages = columns([(0, 4)])
    column, nodes = counts(start), np.zeros((1, 1), np.uint32)
    with word_file([0] * 4) as fd:
        code = errno_of(
            lambda: native.scan_idle(
                fd, fd, fd, start, pages, 0, one_node(), column, counts(start), nodes, stop_flag(1)
            )
        )
    assert code == errno.ECANCELED


@pytest.mark.parametrize("broken", [0, 1, 2], ids=["pagemap", "kpageflags", "bitmap"])
def test_unusable_file_is_its_errno(broken: int) -> None:
    start, pages = columns([(0, 2)])
    column, nodes = counts(start), np.zeros((1, 1), np.uint32)
    with (
        word_file([PRESENT | 1, PRESENT | 2]) as pagemap_fd,
        word_file([0, LRU, LRU]) as flags_fd,
        word_file([0]) as bitmap_fd,
    ):
        files = [pagemap_fd, flags_fd, bitmap_fd]
        files[broken] = -1
        one, two, three = files
        code = errno_of(
            lambda: native.scan_idle(
                one, two, three, start, pages, 0, one_node(), column, counts(start), nodes, stop_flag()
            )
        )
    assert code == errno.EBADF


def test_bitmap_that_cant_be_written_is_an_error() -> None:
    start, pages = columns([(0, 1)])
    column, nodes = counts(start), np.zeros((1, 1), np.uint32)
    with word_file([PRESENT | 1]) as pagemap_fd, word_file([0, LRU]) as flags_fd, word_file([0]) as bitmap_fd:
        read_only = os.open(f"/proc/self/fd/{bitmap_fd}", os.O_RDONLY)
        code = errno_of(
            lambda: native.scan_idle(
                pagemap_fd, flags_fd, read_only, start, pages, 0, one_node(), column, counts(start), nodes, stop_flag()
            )
        )
        os.close(read_only)
    assert code == errno.EBADF


@pytest.mark.skipif(not BITMAP.exists(), reason="no idle page tracking in this kernel")
@pytest.mark.parametrize("huge", [False, True], ids=["small pages", "huge pages"])
def test_accesses_of_a_real_process(huge: bool) -> None:
    """Kernel without a TLB flush: an access to a page that a CPU still has in its TLB may go unseen, so leave room."""
    pages, region = 4096, 512
    with Child(pages, huge=huge) as child:
        child.do("write", 0, pages)
        first = child.address // PAGE_BYTES
        start, lengths = columns([(first + offset, region) for offset in range(0, pages, region)])
        accessed, swapped, nodes = counts(start), counts(start), np.zeros((1, len(start)), np.uint32)
        flags_fd, bitmap_fd = os.open("/proc/kpageflags", os.O_RDONLY), os.open(BITMAP, os.O_RDWR)

        def scan_child() -> list[int]:
            native.scan_idle(
                child.pagemap_fd,
                flags_fd,
                bitmap_fd,
                start,
                lengths,
                0,
                one_node(),
                accessed,
                swapped,
                nodes,
                stop_flag(),
            )
            return [int(count) for count in accessed]

        scan_child()
        with mmap.mmap(-1, 64 << 20) as other:  # push the child's pages out of the TLB and of the LRU batches
            other.write(bytes(64 << 20))
        scan_child()
        assert sum(scan_child()) < pages // 4
        child.do("write", 2 * region, region)
        counted = scan_child()
        assert counted[2] > region // 2
        assert sum(counted) - counted[2] < pages // 4
        os.close(flags_fd)
        os.close(bitmap_fd)
