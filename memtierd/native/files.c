/* Bulk reads and writes of files made of 8-byte words: pagemap, kpageflags, page_idle/bitmap. */

#include "native.h"

/* Return how many of `count` words were there; fewer only at the end of the file. */
int64_t read_words(int fd, uint64_t *words, uint64_t count, uint64_t first)
{
	size_t done = 0, want = count * sizeof(*words);

	while (done < want) {
		ssize_t got = pread(fd, (char *)words + done, want - done, (off_t)(first * sizeof(*words) + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (int64_t)(done / sizeof(*words));
}

/* Return `count`: anything less is an error. */
int64_t write_words(int fd, const uint64_t *words, uint64_t count, uint64_t first)
{
	size_t done = 0, want = count * sizeof(*words);

	while (done < want) {
		ssize_t put = pwrite(fd, (const char *)words + done, want - done,
				     (off_t)(first * sizeof(*words) + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		done += (size_t)put;
	}
	return (int64_t)count;
}
