/* What Python calls: this text is included by the C sources and is also the cdef of the extension.
 *
 * Every function returns a count, or -errno.  Columns have one entry a region; regions are `start` (address of
 * the first byte, a multiple of the page size) and `pages`.  `stop` is polled; non-zero ends with -ECANCELED.
 * Columns hold an undefined partial result after an error, unless the function says otherwise.
 */

struct node_map {
	const int8_t *index_of_block; /* PFN >> block_shift -> row of node_pages, -1 unknown */
	uint64_t blocks;
	uint32_t block_shift;
	uint32_t nodes; /* rows of node_pages */
	int32_t index_of_hidden; /* for pages whose PFN is hidden, -1 unknown */
};

/* A position in a list of ranges: the next page to look at.  `range` == ranges at the end. */
struct position {
	uint64_t range;
	uint32_t page;
};

/* scan.c */
int64_t memtierd_read_pagemap(int pagemap_fd, uint64_t first_page, uint64_t *entries, uint64_t count);
int64_t memtierd_scan_pagemap(int pagemap_fd, const uint64_t *start, const uint32_t *pages, uint64_t regions,
			      uint32_t max_count, const struct node_map *map, uint32_t *written, uint32_t *swapped,
			      uint32_t *node_pages, const int32_t *stop);

/* ranges.c: the PAGEMAP_SCAN ioctl, -ENOTTY when the kernel lacks it */
int64_t memtierd_try_pagemap_scan(int pagemap_fd);
int64_t memtierd_scan_ranges(int pagemap_fd, uint64_t *position, uint64_t end, bool huge, uint64_t *range_start,
			     uint64_t *range_end, uint64_t capacity, const int32_t *stop);

/* filter.c */
int64_t memtierd_find_pages(int pagemap_fd, const uint64_t *start, const uint32_t *pages, uint64_t regions,
			    uint64_t mask, uint64_t bits, struct position *next, uint64_t *run_start,
			    uint32_t *run_pages, uint64_t capacity, const int32_t *stop);

/* idle.c */
int64_t memtierd_scan_idle(int pagemap_fd, int kpageflags_fd, int bitmap_fd, const uint64_t *start,
			   const uint32_t *pages, uint64_t regions, uint32_t max_count, const struct node_map *map,
			   uint32_t *accessed, uint32_t *swapped, uint32_t *node_pages, const int32_t *stop);

/* collect.c */
int64_t memtierd_collect_pages(int pagemap_fd, int kpageflags_fd, const uint64_t *start, const uint32_t *pages,
			       uint64_t ranges, const struct node_map *map, int32_t target_index, uint64_t max_pages,
			       struct position *next, uint64_t *addresses, uint32_t *owner, uint32_t *weight,
			       uint64_t *already_there, uint64_t *not_present, uint64_t *present,
			       const int32_t *stop);

/* move.c */
int64_t memtierd_move_pages(int pid, const uint64_t *addresses, uint64_t count, const int32_t *nodes,
			    int32_t *status);
int64_t memtierd_page_out(int pidfd, const uint64_t *start, const uint64_t *length_bytes, uint64_t ranges);

/* inotify.c */
int64_t memtierd_inotify_open(void);
int64_t memtierd_inotify_add(int inotify_fd, const char *path, uint32_t mask);
int64_t memtierd_inotify_remove(int inotify_fd, int watch);
