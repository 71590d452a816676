/* What the C sources share: bits of the kernel's page tables files, and reading them in bulk. */

#ifndef MEMTIERD_NATIVE_H
#define MEMTIERD_NATIVE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "declarations.h"

/* /proc/PID/pagemap, Documentation/admin-guide/mm/pagemap.rst */
#define PM_PFN_MASK ((UINT64_C(1) << 55) - 1)
#define PM_SOFT_DIRTY (UINT64_C(1) << 55)
#define PM_EXCLUSIVE (UINT64_C(1) << 56) /* mapped by this process alone */
#define PM_FILE (UINT64_C(1) << 61)      /* of a file, or shared memory */
#define PM_SWAPPED (UINT64_C(1) << 62)
#define PM_PRESENT (UINT64_C(1) << 63)

/* /proc/kpageflags, include/uapi/linux/kernel-page-flags.h */
#define KPF_LRU (UINT64_C(1) << 5)
#define KPF_COMPOUND_HEAD (UINT64_C(1) << 15)
#define KPF_COMPOUND_TAIL (UINT64_C(1) << 16)

/* Entries of one read: 64 KiB.  Larger reads are not faster, and `stop` is polled between two reads. */
#define WINDOW_PAGES 8192

/* Reading this many unwanted entries costs less than one more system call. */
#define GAP_PAGES 64

/* Reads that are cut short end at a multiple of this many pages, so that they don't cut a huge page. */
#define HUGE_PAGES 512

/* With so many pages in a block of HUGE_PAGES it pays to ask first whether it is one huge page. */
#define PROBE_PAGES 64

static inline unsigned page_shift(void)
{
	return (unsigned)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

static inline bool stopped(const int32_t *stop)
{
	return __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

/* Private memory: neither the page cache behind a private file mapping, nor shared memory. */
static inline bool is_anonymous(uint64_t entry)
{
	return (entry & (PM_PRESENT | PM_FILE)) == PM_PRESENT;
}

/* What move_pages without MPOL_MF_MOVE_ALL can move: pages shared after a fork are not, nor is the zero page, which is
 * never exclusive (fs/proc/task_mmu.c: vm_normal_page() has no page for it).
 */
static inline bool is_movable(uint64_t entry)
{
	return is_anonymous(entry) && (entry & PM_EXCLUSIVE);
}

/* Return the row of `node_pages` of a PFN, which is 0 when it is hidden (no CAP_SYS_ADMIN); -1 for an unknown node. */
static inline int node_of_pfn(const struct node_map *map, uint64_t pfn)
{
	uint64_t block = pfn >> map->block_shift;

	if (pfn != 0 && block >= map->blocks)
		return -1;
	int node = pfn != 0 ? map->index_of_block[block] : map->index_of_hidden;
	return node >= 0 && (uint32_t)node < map->nodes ? node : -1;
}

static inline uint32_t capped(uint64_t count, uint32_t max_count)
{
	return (uint32_t)(max_count != 0 && count > max_count ? max_count : count);
}

/* files.c */
int64_t read_words(int fd, uint64_t *words, uint64_t count, uint64_t first);
int64_t write_words(int fd, const uint64_t *words, uint64_t count, uint64_t first);

/* flags.c: /proc/kpageflags */
int64_t read_flags(int kpageflags_fd, uint64_t *flags, uint64_t count, uint64_t first);
int find_huge_page(int kpageflags_fd, uint64_t pfn, uint64_t *flags);

/* walk.c: regions in the order given, read in few large pieces that span close neighbours */

struct regions {
	const uint64_t *start;
	const uint32_t *pages;
	uint64_t count;
	unsigned shift;
};

/* Pages [first, end) that hold the regions from one position up to `next`. */
struct span {
	uint64_t first;
	uint64_t end;
	struct position next;
};

struct span span_from(const struct regions *regions, struct position from, uint64_t max_pages);

struct walk {
	int fd;
	uint32_t window_pages; /* entries of one read, at most */
	struct regions regions;
	const int32_t *stop;
	struct position next;
	uint64_t *entries;
	uint64_t first_page; /* of entries */
	uint64_t count;      /* of entries */
	uint64_t read;       /* entries read since the start */
};

/* Entries of one region, or of a part of it. */
struct chunk {
	const uint64_t *entries;
	uint32_t count;
	uint64_t region;
	uint32_t offset;     /* of the first entry in the region, pages */
	uint64_t first_page; /* virtual page number of the first entry */
};

int walk_open(struct walk *walk, int fd, struct regions regions, uint32_t window_pages, const int32_t *stop);
int walk_next(struct walk *walk, struct chunk *chunk);
void walk_close(struct walk *walk);

/* scan.c */
void count_swapped(const struct chunk *chunk, uint32_t *swapped);
void count_nodes(const struct chunk *chunk, const struct node_map *map, uint64_t regions, uint32_t *node_pages);

#endif
