/* The part of an array that one round touches: pure arithmetic. */
#ifndef MEME_WINDOW_H
#define MEME_WINDOW_H

#include "args.h"

#include <stddef.h>
#include <stdint.h>

/* A half-open range of bytes. */
struct range {
    unsigned char *start;
    size_t bytes;
};

struct window {
    size_t array_bytes;
    size_t offset_bytes; /* < array_bytes */
    size_t size_bytes;   /* <= array_bytes; what lies beyond the end of the array is not touched */
};

struct window window_first(size_t array_bytes, const struct exercise_options *options);

void window_advance(struct window *window, const struct exercise_options *options);

struct range window_range(const struct window *window, unsigned char *array_start);

/* The `index`th of `count` portions of nearly equal size. */
struct range range_portion(struct range range, uint32_t index, uint32_t count);

/* Put `order[0..count)` into a random order; `*random` is the state of the generator. */
void shuffle(uint32_t *order, uint32_t count, uint64_t *random);

#endif
