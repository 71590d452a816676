/* The least that a scanner can do: read every pagemap entry, or every PAGEMAP_SCAN range, and add up.
 *
 * bare_scan PID START PAGES pagemap|ranges → CPU nanoseconds on standard output.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_PAGES 8192
#define SCAN_PAGES 32768
#define RANGES 512
#define PAGE_BYTES 4096

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t sum_pagemap(int fd, uint64_t first, uint64_t pages)
{
	static uint64_t entries[WINDOW_PAGES];
	uint64_t sum = 0;

	for (uint64_t done = 0; done < pages;) {
		uint64_t want = pages - done < WINDOW_PAGES ? pages - done : WINDOW_PAGES;
		ssize_t got = pread(fd, entries, want * 8, (off_t)((first + done) * 8));

		if (got <= 0)
			exit(1);
		for (ssize_t i = 0; i < got / 8; i++)
			sum += entries[i];
		done += (uint64_t)got / 8;
	}
	return sum;
}

/* `returned` as in struct pm_scan_arg: PRESENT and SWAPPED, and SOFT_DIRTY where the scanner asks for it. */
static uint64_t sum_ranges(int fd, uint64_t first, uint64_t pages, uint64_t returned)
{
	static uint64_t found[RANGES * 3];
	uint64_t address = first * PAGE_BYTES, end = address + pages * PAGE_BYTES, sum = 0;

	while (address < end) {
		uint64_t stop = end - address < (uint64_t)SCAN_PAGES * PAGE_BYTES ? end : address + (uint64_t)SCAN_PAGES * PAGE_BYTES;
		uint64_t argument[12] = {96, 0, address, stop, 0, (uintptr_t)found, RANGES, 0, 0, 0, 24, returned};
		int count = ioctl(fd, _IOC(_IOC_READ | _IOC_WRITE, 'f', 16, sizeof(argument)), argument);

		if (count < 0)
			exit(1);
		for (int i = 0; i < count; i++)
			sum += found[i * 3 + 1] - found[i * 3];
		address = argument[4];
	}
	return sum;
}

int main(int argc, char **argv)
{
	char path[64];
	volatile uint64_t sum;

	if (argc != 5)
		return 2;
	snprintf(path, sizeof(path), "/proc/%s/pagemap", argv[1]);
	int fd = open(path, O_RDONLY);
	uint64_t first = strtoull(argv[2], NULL, 0) / PAGE_BYTES, pages = strtoull(argv[3], NULL, 0);
	uint64_t before = cpu_ns();

	if (strcmp(argv[4], "pagemap") == 0)
		sum = sum_pagemap(fd, first, pages);
	else
		sum = sum_ranges(fd, first, pages, strcmp(argv[4], "ranges") == 0 ? 24 : 24 | 128);
	(void)sum;
	printf("%" PRIu64 "\n", cpu_ns() - before);
	return 0;
}
