/* Page flags: expensive to read (100 ns each with Linux 6.18), so huge pages are recognised by two of them. */

#include "native.h"

/* Read flags; PFNs behind the last page of the machine have none.  Returns a negative errno or how many there were. */
int64_t read_flags(int kpageflags_fd, uint64_t *flags, uint64_t count, uint64_t first)
{
	int64_t got = read_words(kpageflags_fd, flags, count, first);

	if (got >= 0)
		memset(flags + got, 0, (count - (uint64_t)got) * sizeof(*flags));
	return got;
}

/* Return 1 and the flags of the head when the aligned block of HUGE_PAGES around a PFN is one compound page, else 0.
 *
 * Compound pages are aligned to their size: a smaller one can't have the first page of the second half as a tail.
 */
int find_huge_page(int kpageflags_fd, uint64_t pfn, uint64_t *flags)
{
	uint64_t first = pfn - pfn % HUGE_PAGES, middle_flags;
	int64_t got = read_flags(kpageflags_fd, flags, 1, first);

	if (got < 0 || !(*flags & KPF_COMPOUND_HEAD))
		return got < 0 ? (int)got : 0;
	got = read_flags(kpageflags_fd, &middle_flags, 1, first + HUGE_PAGES / 2);
	return got < 0 ? (int)got : (middle_flags & KPF_COMPOUND_TAIL) != 0;
}
