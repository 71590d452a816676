#include "window.h"

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct window window_first(size_t array_bytes, const struct exercise_options *options)
{
    return (struct window){
        .array_bytes = array_bytes,
        .offset_bytes = (size_t)options->offset_bytes % array_bytes,
        .size_bytes = smaller((size_t)options->size_bytes, array_bytes),
    };
}

static size_t changed_size(size_t size, int64_t change, size_t maximum)
{
    if (change < 0)
        return size - smaller(size, (size_t)-change);
    return size + smaller(maximum - size, (size_t)change);
}

static size_t changed_offset(size_t offset, int64_t change, size_t modulus)
{
    size_t step = (size_t)(change < 0 ? -change : change) % modulus;
    if (change < 0 && step != 0)
        step = modulus - step;
    return offset < modulus - step ? offset + step : offset - (modulus - step);
}

void window_advance(struct window *window, const struct exercise_options *options)
{
    window->size_bytes =
        changed_size(window->size_bytes, options->size_change_bytes, window->array_bytes);
    window->offset_bytes =
        changed_offset(window->offset_bytes, options->offset_change_bytes, window->array_bytes);
}

struct range window_range(const struct window *window, unsigned char *array_start)
{
    return (struct range){
        .start = array_start + window->offset_bytes,
        .bytes = smaller(window->size_bytes, window->array_bytes - window->offset_bytes),
    };
}

struct range range_portion(struct range range, uint32_t index, uint32_t count)
{
    size_t quotient = range.bytes / count;
    size_t remainder = range.bytes % count; /* the first `remainder` portions are a byte longer */
    size_t offset = index * quotient + smaller(index, remainder);
    return (struct range){range.start + offset, quotient + (index < remainder)};
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

void shuffle(uint32_t *order, uint32_t count, uint64_t *random)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)(next_random(random) % i);
        uint32_t moved = order[i - 1];
        order[i - 1] = order[other];
        order[other] = moved;
    }
}
