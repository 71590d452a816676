/* Find the pages whose pagemap entries have certain bits. */

#include "native.h"

/* Runs of pages that match, one behind the other. */
struct runs {
	uint64_t *start;
	uint32_t *pages;
	uint64_t capacity;
	uint64_t count;
	unsigned shift;
	uint64_t end_page; /* behind the last run */
	uint64_t region;   /* of the last run */
};

/* Lengthen the last run, or begin the next; return false when there is no room for it. */
static bool add_page(struct runs *runs, uint64_t page, uint64_t region)
{
	if (runs->count > 0 && page == runs->end_page && region == runs->region) {
		runs->pages[runs->count - 1]++;
	} else {
		if (runs->count == runs->capacity)
			return false;
		runs->start[runs->count] = page << runs->shift;
		runs->pages[runs->count++] = 1;
		runs->region = region;
	}
	runs->end_page = page + 1;
	return true;
}

/* Return how many entries of a chunk were looked at before the runs were full. */
static uint32_t add_matching(struct runs *runs, const struct chunk *chunk, uint64_t mask, uint64_t bits)
{
	for (uint32_t i = 0; i < chunk->count; i++)
		if ((chunk->entries[i] & mask) == bits && !add_page(runs, chunk->first_page + i, chunk->region))
			return i;
	return chunk->count;
}

/* Store up to `capacity` runs of pages of which (entry & mask) == bits, and return how many.
 *
 * A run does not reach beyond its region.  *next moves behind what was seen; call again until its range is `regions`.
 */
int64_t memtierd_find_pages(int pagemap_fd, const uint64_t *start, const uint32_t *pages, uint64_t regions,
			    uint64_t mask, uint64_t bits, struct position *next, uint64_t *run_start,
			    uint32_t *run_pages, uint64_t capacity, const int32_t *stop)
{
	struct walk walk;
	struct chunk chunk;
	struct regions all = {start, pages, regions, page_shift()};
	struct runs runs = {.start = run_start, .pages = run_pages, .capacity = capacity, .shift = all.shift};
	int more = walk_open(&walk, pagemap_fd, all, WINDOW_PAGES, stop);

	if (more < 0)
		return more;
	walk.next = *next;
	while ((more = walk_next(&walk, &chunk)) > 0) {
		uint32_t seen = add_matching(&runs, &chunk, mask, bits);
		if (seen < chunk.count) {
			walk.next = (struct position){chunk.region, chunk.offset + seen};
			break;
		}
	}
	*next = walk.next;
	walk_close(&walk);
	return more < 0 ? more : (int64_t)runs.count;
}
