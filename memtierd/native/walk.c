/* Walk the pagemap entries of many regions with few large reads. */

#include "native.h"

/* Return where a piece of at most `max_pages` from `first` ends: not inside a huge page if that can be avoided. */
static uint64_t cut(uint64_t first, uint64_t max_pages)
{
	uint64_t end = first + max_pages, aligned = end - end % HUGE_PAGES;

	return aligned > first ? aligned : end;
}

/* Return the pages to read at once from a position: the rest of its region and the neighbours close behind it. */
struct span span_from(const struct regions *regions, struct position from, uint64_t max_pages)
{
	uint64_t first = (regions->start[from.range] >> regions->shift) + from.page;
	struct span span = {first, first, from};
	uint64_t limit = cut(first, max_pages);

	for (uint64_t i = from.range; i < regions->count; i++) {
		uint64_t base = regions->start[i] >> regions->shift, end = base + regions->pages[i];
		uint64_t begin = i == from.range ? first : base;

		if (begin < span.end || begin - span.end > GAP_PAGES || begin >= limit)
			break;
		if (end > limit) {
			span.end = limit;
			span.next = (struct position){i, (uint32_t)(limit - base)};
			return span;
		}
		span.end = end;
		span.next = (struct position){i + 1, 0};
	}
	return span;
}

int walk_open(struct walk *walk, int fd, struct regions regions, uint32_t window_pages, const int32_t *stop)
{
	*walk = (struct walk){.fd = fd, .window_pages = window_pages, .regions = regions, .stop = stop};
	walk->entries = malloc(window_pages * sizeof(*walk->entries));
	return walk->entries ? 0 : -ENOMEM;
}

void walk_close(struct walk *walk)
{
	free(walk->entries);
}

/* Fill the window from the next position.
 *
 * pagemap gives 0 bytes once the address space is gone (fs/proc/task_mmu.c, pagemap_read), and in the middle of an
 * address space it never does, so a short read is ESRCH.
 */
static int refill(struct walk *walk)
{
	struct span span = span_from(&walk->regions, walk->next, walk->window_pages);

	if (stopped(walk->stop))
		return -ECANCELED;
	walk->count = 0;
	int64_t got = read_words(walk->fd, walk->entries, span.end - span.first, span.first);
	if (got < 0)
		return (int)got;
	if ((uint64_t)got < span.end - span.first)
		return -ESRCH;
	walk->first_page = span.first;
	walk->count = (uint64_t)got;
	walk->read += (uint64_t)got;
	return 0;
}

/* Return 1 and the next piece of a region, 0 at the end, or -errno. */
int walk_next(struct walk *walk, struct chunk *chunk)
{
	const struct regions *regions = &walk->regions;
	struct position *next = &walk->next;

	while (next->range < regions->count && next->page >= regions->pages[next->range])
		*next = (struct position){next->range + 1, 0};
	if (next->range >= regions->count)
		return 0;

	uint64_t page = (regions->start[next->range] >> regions->shift) + next->page;
	if (page < walk->first_page || page >= walk->first_page + walk->count) {
		int error = refill(walk);
		if (error)
			return error;
	}
	uint64_t inside = page - walk->first_page;
	uint64_t left = regions->pages[next->range] - next->page;
	uint64_t count = walk->count - inside < left ? walk->count - inside : left;
	*chunk = (struct chunk){walk->entries + inside, (uint32_t)count, next->range, next->page, page};
	next->page += (uint32_t)count;
	return 1;
}
