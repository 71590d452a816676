/* The two system calls that move memory of another process. */

#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/uio.h>

#include "native.h"

/* include/uapi/linux/mempolicy.h and asm-generic/mman-common.h */
#define MOVE_OWN_PAGES 2 /* MPOL_MF_MOVE: not those that other processes share */
#define PAGE_OUT 21      /* MADV_PAGEOUT */
#define MAX_RANGES 1024  /* UIO_MAXIOV */

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

/* Move each page to its entry of `nodes`, or, when `nodes` is NULL, only store in `status` where it is. */
int64_t memtierd_move_pages(int pid, const uint64_t *addresses, uint64_t count, const int32_t *nodes, int32_t *status)
{
	_Static_assert(sizeof(void *) == sizeof(uint64_t), "addresses are passed as they are");
	long result = syscall(SYS_move_pages, pid, count, addresses, nodes, status, nodes ? MOVE_OWN_PAGES : 0);

	return result < 0 ? -errno : result;
}

/* Return the bytes that the kernel walked, which says nothing of how many were swapped out. */
int64_t memtierd_page_out(int pidfd, const uint64_t *start, const uint64_t *length_bytes, uint64_t ranges)
{
	struct iovec vector[MAX_RANGES];

	if (ranges > MAX_RANGES)
		return -EINVAL;
	for (uint64_t i = 0; i < ranges; i++)
		vector[i] = (struct iovec){(void *)(uintptr_t)start[i], length_bytes[i]};
	long result = syscall(SYS_process_madvise, pidfd, vector, ranges, PAGE_OUT, 0);

	return result < 0 ? -errno : result;
}
