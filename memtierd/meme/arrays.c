#include "arrays.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static size_t align_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static void touch_pages(unsigned char *start, size_t bytes, size_t page_bytes)
{
    for (size_t at = 0; at < bytes; at += page_bytes)
        *(volatile unsigned char *)(start + at) = 1;
}

/* Make [start, start + bytes) usable inside a PROT_NONE reservation. */
static int open_mapping(void *start, size_t bytes, bool huge)
{
    if (mprotect(start, bytes, PROT_READ | PROT_WRITE) != 0)
        return errno;
    if (huge && madvise(start, bytes, MADV_HUGEPAGE) != 0)
        return errno;
    return 0;
}

int array_create(size_t bytes, bool huge, struct array *array)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t alignment = huge ? HUGE_PAGE_BYTES : page_bytes;
    size_t mapped_bytes = align_up(bytes, page_bytes);
    /* Without the guard pages the kernel would merge neighbouring arrays into one mapping, and trackers
     * that judge whole mappings could not tell a busy array from an idle one. */
    size_t reservation_bytes = page_bytes + (alignment - page_bytes) + mapped_bytes + page_bytes;
    void *reservation = mmap(NULL, reservation_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (reservation == MAP_FAILED)
        return errno;

    unsigned char *start = (unsigned char *)align_up((uintptr_t)reservation + page_bytes, alignment);
    int error = open_mapping(start, mapped_bytes, huge);
    if (error != 0) {
        munmap(reservation, reservation_bytes);
        return error;
    }
    touch_pages(start, bytes, page_bytes);
    *array = (struct array){start, bytes, reservation, reservation_bytes};
    return 0;
}

void array_free(struct array *array)
{
    munmap(array->reservation, array->reservation_bytes);
    *array = (struct array){0};
}
