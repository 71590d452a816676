/* Count the pages of regions by what /proc/PID/pagemap says of them. */

#include "native.h"

/* Return the entries read: fewer than `count` at the end of the address space or once it is gone. */
int64_t memtierd_read_pagemap(int pagemap_fd, uint64_t first_page, uint64_t *entries, uint64_t count)
{
	return read_words(pagemap_fd, entries, count, first_page);
}

void count_swapped(const struct chunk *chunk, uint32_t *swapped)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < chunk->count; i++)
		count += (chunk->entries[i] & PM_SWAPPED) != 0;
	swapped[chunk->region] += count;
}

/* Neighbours mostly are in the same memory block, so the column is only looked up when the block changes. */
void count_nodes(const struct chunk *chunk, const struct node_map *map, uint64_t regions, uint32_t *node_pages)
{
	uint32_t nowhere = 0, *column = &nowhere, count = 0;
	uint64_t block = UINT64_MAX; /* of no PFN */

	for (uint32_t i = 0; i < chunk->count; i++) {
		uint64_t entry = chunk->entries[i], pfn = entry & PM_PFN_MASK;

		if (!is_movable(entry))
			continue;
		if (pfn == 0 || pfn >> map->block_shift != block) {
			int node = node_of_pfn(map, pfn);

			*column += count;
			count = 0;
			block = pfn != 0 ? pfn >> map->block_shift : UINT64_MAX;
			column = node < 0 ? &nowhere : &node_pages[(uint64_t)node * regions + chunk->region];
		}
		count++;
	}
	*column += count;
}

/* A page that was written and then swapped out keeps its soft-dirty bit; an untouched one of a new mapping has it too. */
static void count_written(const struct chunk *chunk, uint32_t max_count, uint32_t *written)
{
	uint64_t count = written[chunk->region];

	for (uint32_t i = 0; i < chunk->count; i++) {
		uint64_t entry = chunk->entries[i];

		count += (entry & PM_SOFT_DIRTY) && (entry & (PM_PRESENT | PM_SWAPPED));
	}
	written[chunk->region] = capped(count, max_count);
}

/* Count soft-dirty (unless `written` is NULL), swapped and present pages; return the pagemap entries read. */
int64_t memtierd_scan_pagemap(int pagemap_fd, const uint64_t *start, const uint32_t *pages, uint64_t regions,
			      uint32_t max_count, const struct node_map *map, uint32_t *written, uint32_t *swapped,
			      uint32_t *node_pages, const int32_t *stop)
{
	struct walk walk;
	struct chunk chunk;
	struct regions all = {start, pages, regions, page_shift()};
	int more = walk_open(&walk, pagemap_fd, all, WINDOW_PAGES, stop);

	if (more < 0)
		return more;
	while ((more = walk_next(&walk, &chunk)) > 0) {
		if (written)
			count_written(&chunk, max_count, written);
		count_swapped(&chunk, swapped);
		count_nodes(&chunk, map, regions, node_pages);
	}
	walk_close(&walk);
	return more < 0 ? more : (int64_t)walk.read;
}
