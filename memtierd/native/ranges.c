/* Count and list pages with the PAGEMAP_SCAN ioctl (Linux 6.7): merged ranges, no PFNs, several times faster. */

#include <sys/ioctl.h>

#include "native.h"

/* include/uapi/linux/fs.h; declared here because the headers of Debian 12 are older. */
struct page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct scan_argument {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
_Static_assert(sizeof(struct scan_argument) == 96, "the kernel refuses any other size");

#define SCAN_IOCTL _IOWR('f', 16, struct scan_argument)
#define IS_PRESENT (UINT64_C(1) << 3)
#define IS_SWAPPED (UINT64_C(1) << 4)
#define IS_SOFT_DIRTY (UINT64_C(1) << 7)

/* Pages of one ioctl: about the time of one window of pagemap, so `stop` is seen as soon. */
#define SCAN_PAGES 32768

/* With 1024 and more ranges a call, walk_end can lag behind the ranges (seen with Linux 6.18). */
#define SCAN_RANGES 512

/* Return how many ranges of [*address, end) with any of `wanted` were stored; move *address behind what was seen. */
static int64_t scan_piece(int fd, uint64_t *address, uint64_t end, uint64_t wanted, uint64_t returned,
			  struct page_region *found, uint64_t capacity)
{
	struct scan_argument argument = {
		.size = sizeof(argument), .start = *address, .end = end, .vec = (uintptr_t)found,
		.vec_len = capacity, .category_anyof_mask = wanted, .return_mask = returned,
	};
	int count;

	do
		count = ioctl(fd, SCAN_IOCTL, &argument);
	while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	uint64_t seen = argument.walk_end;
	if (count > 0 && found[count - 1].end > seen)
		seen = found[count - 1].end;
	if (seen <= *address)
		return -EIO;
	*address = seen;
	return count;
}

/* An address space that is gone has no mappings for PAGEMAP_SCAN, which is no error: ask pagemap itself. */
static int64_t check_address_space(int fd, uint64_t page)
{
	uint64_t entry;
	int64_t got = read_words(fd, &entry, 1, page);

	return got == 0 ? -ESRCH : got;
}

/* Return 0 when the ioctl works, -ENOTTY when the kernel lacks it. */
int64_t memtierd_try_pagemap_scan(int pagemap_fd)
{
	struct page_region found;
	uint64_t address = 0;
	int64_t count = scan_piece(pagemap_fd, &address, UINT64_C(1) << page_shift(), IS_PRESENT, IS_PRESENT, &found, 1);

	return count < 0 ? count : 0;
}

struct columns {
	uint32_t max_count;
	uint32_t *written;
	uint32_t *swapped;
	uint32_t *present;
};

static void add(const struct columns *columns, uint64_t region, uint32_t pages, uint64_t categories)
{
	if (columns->written && (categories & IS_SOFT_DIRTY))
		columns->written[region] = capped((uint64_t)columns->written[region] + pages, columns->max_count);
	if (columns->swapped && (categories & IS_SWAPPED))
		columns->swapped[region] += pages;
	if (columns->present && (categories & IS_PRESENT))
		columns->present[region] += pages;
}

/* Give a range found to the regions it overlaps, from *region on; ranges and regions ascend together. */
static void share_out(const struct regions *regions, const struct page_region *found, uint64_t *region,
		      uint64_t last_region, const struct columns *columns)
{
	for (uint64_t i = *region; i < last_region; i++) {
		uint64_t start = regions->start[i], end = start + ((uint64_t)regions->pages[i] << regions->shift);

		if (start >= found->end)
			return;
		uint64_t low = start > found->start ? start : found->start;
		uint64_t high = end < found->end ? end : found->end;
		if (low < high)
			add(columns, i, (uint32_t)((high - low) >> regions->shift), found->categories);
		if (end <= found->end)
			*region = i + 1;
	}
}

static int64_t count_span(int fd, const struct regions *regions, struct position from, const struct span *span,
			  const struct columns *columns)
{
	struct page_region found[SCAN_RANGES];
	uint64_t address = span->first << regions->shift, end = span->end << regions->shift;
	uint64_t wanted = IS_SWAPPED | (columns->present ? IS_PRESENT : 0);
	uint64_t returned = wanted | (columns->written ? IS_SOFT_DIRTY : 0);
	uint64_t region = from.range;
	uint64_t last_region = span->next.range + (span->next.page != 0);

	while (address < end) {
		int64_t count = scan_piece(fd, &address, end, wanted, returned, found, SCAN_RANGES);

		if (count < 0)
			return count;
		for (int64_t i = 0; i < count; i++)
			share_out(regions, &found[i], &region, last_region, columns);
	}
	return 0;
}

/* Add up the columns that aren't NULL; return the pages looked at.  -ENOTTY when the kernel lacks PAGEMAP_SCAN. */
int64_t memtierd_count_ranges(int pagemap_fd, const uint64_t *start, const uint32_t *pages, uint64_t regions,
			      uint32_t max_count, uint32_t *written, uint32_t *swapped, uint32_t *present,
			      const int32_t *stop)
{
	struct regions all = {start, pages, regions, page_shift()};
	struct columns columns = {max_count, written, swapped, present};
	struct position next = {0, 0};
	uint64_t looked_at = 0, last_page = 0;

	while (next.range < regions) {
		if (stopped(stop))
			return -ECANCELED;
		struct span span = span_from(&all, next, SCAN_PAGES);
		int64_t error = count_span(pagemap_fd, &all, next, &span, &columns);
		if (error)
			return error;
		looked_at += span.end - span.first;
		last_page = span.first;
		next = span.next;
	}
	int64_t error = looked_at ? check_address_space(pagemap_fd, last_page) : 0;
	return error < 0 ? error : (int64_t)looked_at;
}

/* Store up to `capacity` ranges (bytes) of [*position, end) with present or swapped pages and return how many.
 *
 * *position moves behind what was seen; call again until it is `end`.  Ranges that touch are not merged.
 */
int64_t memtierd_populated(int pagemap_fd, uint64_t *position, uint64_t end, uint64_t *range_start,
			   uint64_t *range_end, uint64_t capacity, const int32_t *stop)
{
	struct page_region found[SCAN_RANGES];
	uint64_t wanted = IS_PRESENT | IS_SWAPPED, piece_bytes = (uint64_t)SCAN_PAGES << page_shift(), stored = 0;

	while (*position < end && capacity - stored >= SCAN_RANGES) {
		if (stopped(stop))
			return -ECANCELED;
		uint64_t piece_end = end - *position > piece_bytes ? *position + piece_bytes : end;
		int64_t count = scan_piece(pagemap_fd, position, piece_end, wanted, wanted, found, SCAN_RANGES);
		if (count < 0)
			return count;
		for (int64_t i = 0; i < count; i++, stored++) {
			range_start[stored] = found[i].start;
			range_end[stored] = found[i].end;
		}
	}
	return (int64_t)stored;
}
