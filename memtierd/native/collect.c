/* Gather the addresses that a move_pages call needs: one for each page, or compound page, that is elsewhere. */

#include "native.h"

/* Entries that one call looks at, so that a call over memory with nothing to move ends as soon as others. */
#define CALL_PAGES 65536

struct collect {
	int kpageflags_fd;
	const struct node_map *map;
	int32_t target_index;
	uint64_t max_pages;
	uint64_t gathered_pages;
	uint64_t count; /* of addresses */
	uint64_t *addresses;
	uint32_t *owner;
	uint32_t *weight;
	uint64_t *already_there;
	uint64_t *not_present;
	uint64_t *present;
	unsigned shift;
	uint64_t flags[HUGE_PAGES]; /* of a run */
};

/* Return how many entries from `first` on are present and have consecutive PFNs in one memory block, at least 1.
 *
 * Huge pages are aligned, so a run doesn't go on behind one.
 */
static uint32_t run_length(const struct chunk *chunk, uint32_t first, unsigned block_shift)
{
	uint64_t pfn = chunk->entries[first] & PM_PFN_MASK;
	uint32_t length = 1;

	while (pfn != 0 && first + length < chunk->count) {
		uint64_t entry = chunk->entries[first + length], next = pfn + length;

		if (!is_anonymous(entry) || (entry & PM_PFN_MASK) != next)
			break;
		if (next % HUGE_PAGES == 0 || next >> block_shift != pfn >> block_shift)
			break;
		length++;
	}
	return length;
}

/* Fill flags[1 … length - 1] of the run at `pfn`; every page is a tail of the first if all are in one huge page. */
static int flags_of_run(struct collect *collect, uint64_t pfn, uint32_t length)
{
	uint64_t *flags = collect->flags;
	int huge = length < PROBE_PAGES ? 0 : find_huge_page(collect->kpageflags_fd, pfn, flags);

	if (huge < 0)
		return huge;
	if (huge) {
		for (uint32_t i = 0; i < length; i++)
			flags[i] = KPF_COMPOUND_TAIL;
		return 0;
	}
	int64_t got = length < 2 ? 0 : read_flags(collect->kpageflags_fd, flags, length, pfn);
	return got < 0 ? (int)got : 0;
}

static bool append(struct collect *collect, const struct chunk *chunk, uint32_t first, uint32_t length)
{
	uint64_t i = collect->count;

	if (i != 0 && collect->gathered_pages + length > collect->max_pages)
		return false;
	collect->addresses[i] = (chunk->first_page + first) << collect->shift;
	collect->owner[i] = (uint32_t)chunk->region;
	collect->weight[i] = length;
	collect->count = i + 1;
	collect->gathered_pages += length;
	collect->present[chunk->region] += length;
	return true;
}

/* Gather a run of consecutive PFNs; return how many of its pages were taken, or -errno.
 *
 * Only such a run can be a compound page, so only here its flags are needed; a tail continues what is before it.
 */
static int64_t gather_run(struct collect *collect, const struct chunk *chunk, uint32_t first, uint32_t length)
{
	uint32_t begin = 0, end;
	int error = flags_of_run(collect, chunk->entries[first] & PM_PFN_MASK, length);

	if (error)
		return error;
	for (; begin < length; begin = end) {
		for (end = begin + 1; end < length && (collect->flags[end] & KPF_COMPOUND_TAIL); end++)
			;
		if (!append(collect, chunk, first + begin, end - begin))
			break;
	}
	return begin;
}

/* Take in a chunk; return how many of its entries were dealt with (fewer when enough pages are gathered), or -errno. */
static int64_t gather(struct collect *collect, const struct chunk *chunk)
{
	uint32_t i = 0;

	while (i < chunk->count && collect->gathered_pages < collect->max_pages) {
		uint64_t entry = chunk->entries[i];
		int node = node_of_pfn(collect->map, entry & PM_PFN_MASK);

		if (!is_anonymous(entry)) {
			collect->not_present[chunk->region]++;
			i++;
		} else if (node == collect->target_index) {
			collect->present[chunk->region]++;
			collect->already_there[chunk->region]++;
			i++;
		} else {
			uint32_t length = run_length(chunk, i, collect->map->block_shift);
			int64_t taken = gather_run(collect, chunk, i, length);

			if (taken < 0)
				return taken;
			i += (uint32_t)taken;
			if (taken < length)
				break;
		}
	}
	return i;
}

/* For a move to swap: nothing to gather, count where the pages are. */
static int64_t count_for_swap(struct collect *collect, const struct chunk *chunk)
{
	for (uint32_t i = 0; i < chunk->count; i++) {
		uint64_t entry = chunk->entries[i];

		collect->present[chunk->region] += is_anonymous(entry);
		collect->already_there[chunk->region] += (entry & PM_SWAPPED) != 0;
		collect->not_present[chunk->region] += !is_anonymous(entry) && !(entry & PM_SWAPPED);
	}
	return chunk->count;
}

static int64_t collect_all(struct collect *collect, struct walk *walk, struct position *next)
{
	struct chunk chunk;
	uint64_t looked_at = 0;
	int more = 1;

	while (looked_at < CALL_PAGES && (more = walk_next(walk, &chunk)) > 0) {
		uint64_t left = CALL_PAGES - looked_at;

		chunk.count = chunk.count > left ? (uint32_t)left : chunk.count;
		int64_t taken = collect->target_index < 0 ? count_for_swap(collect, &chunk) : gather(collect, &chunk);
		if (taken < 0)
			return taken;
		looked_at += (uint64_t)taken;
		*next = (struct position){chunk.region, chunk.offset + (uint32_t)taken};
		if (taken < chunk.count)
			break;
	}
	while (next->range < walk->regions.count && next->page >= walk->regions.pages[next->range])
		*next = (struct position){next->range + 1, 0};
	return more < 0 ? more : (int64_t)collect->count;
}

/* Small calls (a tight bandwidth limit) need not read a whole window. */
static uint32_t window_for(uint64_t max_pages)
{
	if (max_pages < HUGE_PAGES)
		return HUGE_PAGES;
	return max_pages > WINDOW_PAGES ? WINDOW_PAGES : (uint32_t)max_pages;
}

/* Walk from *next and gather pages on other nodes than the target, until `max_pages` or CALL_PAGES entries.
 *
 * Returns the number of `addresses` (room for `max_pages`, or CALL_PAGES if that is less, is enough) and moves *next.
 * A first compound page larger than `max_pages` is taken whole.  A compound page that straddles two ranges has an
 * address in each; the kernel answers EBUSY for the second one.  `already_there`, `not_present` and `present` add up.
 */
int64_t memtierd_collect_pages(int pagemap_fd, int kpageflags_fd, const uint64_t *start, const uint32_t *pages,
			       uint64_t ranges, const struct node_map *map, int32_t target_index, uint64_t max_pages,
			       struct position *next, uint64_t *addresses, uint32_t *owner, uint32_t *weight,
			       uint64_t *already_there, uint64_t *not_present, uint64_t *present,
			       const int32_t *stop)
{
	struct regions all = {start, pages, ranges, page_shift()};
	uint32_t window_pages = target_index < 0 ? WINDOW_PAGES : window_for(max_pages);
	struct collect collect = {
		kpageflags_fd, map, target_index, max_pages, 0, 0, addresses, owner, weight,
		already_there, not_present, present, all.shift, {0},
	};
	struct walk walk;
	int64_t result = walk_open(&walk, pagemap_fd, all, window_pages, stop);

	walk.next = *next;
	if (result == 0)
		result = collect_all(&collect, &walk, next);
	walk_close(&walk);
	return result;
}
