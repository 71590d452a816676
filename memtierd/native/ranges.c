/* Find populated memory and huge pages with the PAGEMAP_SCAN ioctl (Linux 6.7), which passes over holes at once; it
 * gives no PFNs.
 */

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
#define IS_HUGE (UINT64_C(1) << 6) /* mapped by one entry of a higher page table */

/* Pages of one ioctl: about the time of one window of pagemap, so `stop` is seen as soon. */
#define SCAN_PAGES 32768

/* With 1024 and more ranges a call, walk_end can lag behind the ranges (seen with Linux 6.18). */
#define SCAN_RANGES 512

/* Return how many ranges of [*address, end) with any of `wanted` were stored; move *address behind what was seen. */
static int64_t scan_piece(int fd, uint64_t *address, uint64_t end, uint64_t wanted, struct page_region *found,
			  uint64_t capacity)
{
	struct scan_argument argument = {
		.size = sizeof(argument), .start = *address, .end = end, .vec = (uintptr_t)found,
		.vec_len = capacity, .category_anyof_mask = wanted, .return_mask = wanted,
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

/* Of an address space that is gone PAGEMAP_SCAN finds nothing, which is no error; of a file that was opened when the
 * process had none any more, kernels before 6.16 make it a NULL pointer (fs/proc/task_mmu.c, do_pagemap_scan).  A read
 * gives 0 bytes in both cases.
 */
static int64_t check_address_space(int fd, uint64_t page)
{
	uint64_t entry;
	int64_t got = read_words(fd, &entry, 1, page);

	if (got <= 0)
		return got < 0 ? got : -ESRCH;
	return 0;
}

/* Return 0 when the ioctl works, -ENOTTY when the kernel lacks it. */
int64_t memtierd_try_pagemap_scan(int pagemap_fd)
{
	struct page_region found;
	uint64_t address = 0;
	int64_t count = scan_piece(pagemap_fd, &address, UINT64_C(1) << page_shift(), IS_PRESENT, &found, 1);

	return count < 0 ? count : 0;
}

/* Store up to `capacity` ranges (bytes) of [*position, end) with present or swapped pages, or, if `huge`, with pages
 * that are mapped as huge ones, and return how many.
 *
 * *position moves behind what was seen; call again until it is `end`.  Ranges that touch are not merged.
 */
int64_t memtierd_scan_ranges(int pagemap_fd, uint64_t *position, uint64_t end, bool huge, uint64_t *range_start,
			     uint64_t *range_end, uint64_t capacity, const int32_t *stop)
{
	struct page_region found[SCAN_RANGES];
	uint64_t wanted = huge ? IS_HUGE : IS_PRESENT | IS_SWAPPED;
	uint64_t piece_bytes = (uint64_t)SCAN_PAGES << page_shift(), stored = 0;
	uint64_t first_page = *position >> page_shift();
	int64_t error = check_address_space(pagemap_fd, first_page);

	if (error)
		return error;
	while (*position < end && capacity - stored >= SCAN_RANGES) {
		if (stopped(stop))
			return -ECANCELED;
		uint64_t piece_end = end - *position > piece_bytes ? *position + piece_bytes : end;
		int64_t count = scan_piece(pagemap_fd, position, piece_end, wanted, found, SCAN_RANGES);
		if (count < 0)
			return count;
		for (int64_t i = 0; i < count; i++, stored++) {
			range_start[stored] = found[i].start;
			range_end[stored] = found[i].end;
		}
	}
	error = check_address_space(pagemap_fd, first_page);
	return error ? error : (int64_t)stored;
}
