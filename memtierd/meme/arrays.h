/* Byte arrays, each in a memory mapping of its own. */
#ifndef MEME_ARRAYS_H
#define MEME_ARRAYS_H

#include <stdbool.h>
#include <stddef.h>

struct array {
    unsigned char *start;
    size_t bytes;
    void *reservation; /* the array with the guard pages around it */
    size_t reservation_bytes;
};

/*
 * Map `bytes` (> 0) of private anonymous memory with a PROT_NONE page on either side, and write one byte to
 * each page so that all of it is resident. With `huge` the start is aligned to 2 MiB and the kernel is asked
 * for huge pages (madvise(2), MADV_HUGEPAGE). Returns 0, or the errno of the refused system call; `*array`
 * is modified only on success.
 */
int array_create(size_t bytes, bool huge, struct array *array);

void array_free(struct array *array);

#endif
