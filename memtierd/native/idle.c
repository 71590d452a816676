/* Count the pages of regions that /sys/kernel/mm/page_idle/bitmap says were accessed, and set them idle again.
 *
 * Documentation/admin-guide/mm/idle_page_tracking.rst.  A word of the bitmap stands for 64 PFNs; reading one walks the
 * reverse map of all pages in it, so only words that hold pages of ours are read.  Only pages on an LRU list can be
 * idle, and of a compound page only its head (mm/page_idle.c, page_idle_get_folio), so /proc/kpageflags is read too.
 */

#include "native.h"

/* Bounds the memory; pages that share a head must be judged together, since judging one sets it idle. */
#define SLICE_PAGES 65536
#define SLICE_FULL (SLICE_PAGES - 2 * WINDOW_PAGES)

/* Reading this many unwanted flags costs less than one more system call. */
#define FLAGS_GAP 4

/* A read of so many words looks at up to 8192 pages. */
#define BITMAP_WORDS 128

#define MAX_ORDER 18 /* 1 GiB of 4 KiB pages */
#define DIGIT_BITS 11
#define DIGITS (1 << DIGIT_BITS)

struct page {
	uint64_t pfn;
	uint64_t region;
};

struct idle {
	int kpageflags_fd;
	int bitmap_fd;
	uint32_t max_count;
	uint32_t *accessed;
	const int32_t *stop;
	struct page *pages; /* SLICE_PAGES */
	struct page *spare; /* SLICE_PAGES */
	uint64_t flags[HUGE_PAGES];
	uint64_t count;     /* of pages */
	uint64_t next_page; /* virtual page number behind the last page taken in */
};

static void sort_by_digit(const struct page *from, struct page *to, uint64_t count, uint64_t lowest, unsigned shift)
{
	uint32_t place[DIGITS + 1] = {0};

	for (uint64_t i = 0; i < count; i++)
		place[(((from[i].pfn - lowest) >> shift) & (DIGITS - 1)) + 1]++;
	for (unsigned digit = 0; digit < DIGITS; digit++)
		place[digit + 1] += place[digit];
	for (uint64_t i = 0; i < count; i++)
		to[place[((from[i].pfn - lowest) >> shift) & (DIGITS - 1)]++] = from[i];
}

/* Radix sort, because qsort costs as much as the kernel needs to read the pages. */
static void sort_by_pfn(struct idle *idle)
{
	uint64_t lowest = UINT64_MAX, highest = 0;

	for (uint64_t i = 0; i < idle->count; i++) {
		uint64_t pfn = idle->pages[i].pfn;

		lowest = pfn < lowest ? pfn : lowest;
		highest = pfn > highest ? pfn : highest;
	}
	for (unsigned shift = 0; shift < 64 && (highest - lowest) >> shift; shift += DIGIT_BITS) {
		struct page *sorted = idle->spare;

		sort_by_digit(idle->pages, sorted, idle->count, lowest, shift);
		idle->spare = idle->pages;
		idle->pages = sorted;
	}
}

/* Go from a tail page to its head; compound pages are aligned to their size.  *flags is 0 when it has none any more. */
static int find_head(int fd, uint64_t *pfn, uint64_t *flags)
{
	uint64_t tail = *pfn;

	if (!(*flags & KPF_COMPOUND_TAIL))
		return 0;
	for (unsigned order = 1; order <= MAX_ORDER && (*flags & KPF_COMPOUND_TAIL); order++) {
		uint64_t candidate = tail >> order << order;

		if (candidate == *pfn)
			continue;
		int64_t got = read_flags(fd, flags, 1, candidate);
		if (got < 0)
			return (int)got;
		*pfn = candidate;
	}
	if (!(*flags & KPF_COMPOUND_HEAD))
		*flags = 0;
	return 0;
}

/* Replace the PFN of each page by the one of its head, or by 0 when it can't be idle; flags[0] is of `first`. */
static int resolve_run(struct idle *idle, struct page *pages, uint64_t count, uint64_t first)
{
	uint64_t head = first, head_flags = idle->flags[0], pfn = first;
	int error = find_head(idle->kpageflags_fd, &head, &head_flags);

	if (error)
		return error;
	for (uint64_t i = 0; i < count; i++) {
		while (pfn < pages[i].pfn) {
			uint64_t flags = idle->flags[++pfn - first];

			if (flags & KPF_COMPOUND_TAIL)
				continue;
			head = pfn;
			head_flags = flags;
		}
		pages[i].pfn = head_flags & KPF_LRU ? head : 0;
	}
	return 0;
}

/* Resolve pages that lie in one aligned block of HUGE_PAGES. */
static int resolve_block(struct idle *idle, struct page *pages, uint64_t count)
{
	uint64_t flags;
	int huge = count < PROBE_PAGES ? 0 : find_huge_page(idle->kpageflags_fd, pages[0].pfn, &flags);

	if (huge < 0)
		return huge;
	if (huge) {
		uint64_t head = flags & KPF_LRU ? pages[0].pfn - pages[0].pfn % HUGE_PAGES : 0;

		for (uint64_t i = 0; i < count; i++)
			pages[i].pfn = head;
		return 0;
	}
	for (uint64_t begin = 0, end; begin < count; begin = end) {
		uint64_t first = pages[begin].pfn, last = first;

		for (end = begin + 1; end < count && pages[end].pfn - last <= FLAGS_GAP; end++)
			last = pages[end].pfn;
		int64_t got = read_flags(idle->kpageflags_fd, idle->flags, last - first + 1, first);
		if (got < 0)
			return (int)got;
		int error = resolve_run(idle, pages + begin, end - begin, first);
		if (error)
			return error;
	}
	return 0;
}

static int resolve_heads(struct idle *idle)
{
	struct page *pages = idle->pages;

	for (uint64_t begin = 0, end; begin < idle->count; begin = end) {
		for (end = begin + 1; end < idle->count; end++)
			if (pages[end].pfn / HUGE_PAGES != pages[begin].pfn / HUGE_PAGES)
				break;
		int error = resolve_block(idle, pages + begin, end - begin);
		if (error)
			return error;
		if (stopped(idle->stop))
			return -ECANCELED;
	}
	return 0;
}

static void drop_pages_never_idle(struct idle *idle)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < idle->count; i++)
		if (idle->pages[i].pfn != 0)
			idle->pages[kept++] = idle->pages[i];
	idle->count = kept;
}

/* Judge pages whose heads lie in neighbouring words: a bit that is set says idle.  PFNs behind the last are idle. */
static int judge_run(struct idle *idle, const struct page *pages, uint64_t count)
{
	uint64_t words[BITMAP_WORDS], used[BITMAP_WORDS] = {0};
	uint64_t first = pages[0].pfn / 64, length = pages[count - 1].pfn / 64 - first + 1, to_write = 0;
	int64_t got = read_words(idle->bitmap_fd, words, length, first);

	if (got < 0)
		return (int)got;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t word = pages[i].pfn / 64 - first, bit = UINT64_C(1) << pages[i].pfn % 64;
		uint32_t *accessed = &idle->accessed[pages[i].region];

		if (word >= (uint64_t)got || (words[word] & bit))
			continue;
		used[word] |= bit;
		to_write = word + 1;
		*accessed = capped((uint64_t)*accessed + 1, idle->max_count);
	}
	if (to_write == 0)
		return 0;
	int64_t put = write_words(idle->bitmap_fd, used, to_write, first);
	return put < 0 ? (int)put : 0;
}

static int judge(struct idle *idle)
{
	const struct page *pages = idle->pages;

	for (uint64_t begin = 0, end; begin < idle->count; begin = end) {
		uint64_t first = pages[begin].pfn / 64, last = first;

		for (end = begin + 1; end < idle->count; end++) {
			uint64_t word = pages[end].pfn / 64;

			if (word - last > 1 || word - first >= BITMAP_WORDS)
				break;
			last = word;
		}
		int error = judge_run(idle, pages + begin, end - begin);
		if (error)
			return error;
		if (stopped(idle->stop))
			return -ECANCELED;
	}
	return 0;
}

static int judge_slice(struct idle *idle)
{
	sort_by_pfn(idle);
	int error = resolve_heads(idle);
	if (error)
		return error;
	drop_pages_never_idle(idle);
	error = judge(idle);
	idle->count = 0;
	return error;
}

/* Take the present pages of a chunk into the slice; judge the slice first when it is full.
 *
 * A compound page that straddles two slices would be judged idle in the second one, so a slice ends where a huge page
 * can't continue: at an address that is a multiple of its size, or at a hole.
 */
static int take_in(struct idle *idle, const struct chunk *chunk)
{
	bool can_end = chunk->first_page % HUGE_PAGES == 0 || chunk->first_page != idle->next_page;

	if ((idle->count >= SLICE_FULL && can_end) || idle->count + chunk->count > SLICE_PAGES) {
		int error = judge_slice(idle);
		if (error)
			return error;
	}
	for (uint32_t i = 0; i < chunk->count; i++) {
		uint64_t entry = chunk->entries[i];

		if ((entry & PM_PRESENT) && (entry & PM_PFN_MASK))
			idle->pages[idle->count++] = (struct page){entry & PM_PFN_MASK, chunk->region};
	}
	idle->next_page = chunk->first_page + chunk->count;
	return 0;
}

static int64_t scan(struct idle *idle, struct walk *walk, const struct node_map *map, uint32_t *swapped,
		    uint32_t *node_pages)
{
	struct chunk chunk;
	int more;

	while ((more = walk_next(walk, &chunk)) > 0) {
		count_swapped(&chunk, swapped);
		count_nodes(&chunk, map, walk->regions.count, node_pages);
		int error = take_in(idle, &chunk);
		if (error)
			return error;
	}
	if (more < 0)
		return more;
	int error = judge_slice(idle);
	return error ? error : (int64_t)walk->read;
}

/* Count accessed (at most `max_count`, 0: all), swapped and present pages; return the pagemap entries read.
 *
 * A compound page counts for each of its pages in a region.  Pages that are on no LRU list (hugetlbfs, zero page,
 * pages still in a CPU's batch) and PFNs hidden for want of CAP_SYS_ADMIN are never accessed.  A page that several
 * processes map counts for the one scanned first.
 */
int64_t memtierd_scan_idle(int pagemap_fd, int kpageflags_fd, int bitmap_fd, const uint64_t *start,
			   const uint32_t *pages, uint64_t regions, uint32_t max_count, const struct node_map *map,
			   uint32_t *accessed, uint32_t *swapped, uint32_t *node_pages, const int32_t *stop)
{
	struct idle idle = {
		.kpageflags_fd = kpageflags_fd, .bitmap_fd = bitmap_fd,
		.max_count = max_count, .accessed = accessed, .stop = stop,
		.pages = malloc(SLICE_PAGES * sizeof(struct page)),
		.spare = malloc(SLICE_PAGES * sizeof(struct page)),
	};
	struct regions all = {start, pages, regions, page_shift()};
	struct walk walk;
	int64_t result = walk_open(&walk, pagemap_fd, all, WINDOW_PAGES, stop);

	if (!idle.pages || !idle.spare)
		result = -ENOMEM;
	if (result == 0)
		result = scan(&idle, &walk, map, swapped, node_pages);
	walk_close(&walk);
	free(idle.pages);
	free(idle.spare);
	return result;
}
