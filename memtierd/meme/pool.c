#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *errno_name(int error)
{
    switch (error) {
    case ENOMEM:
        return "ENOMEM";
    case EAGAIN:
        return "EAGAIN";
    case EINVAL:
        return "EINVAL";
    case EPERM:
        return "EPERM";
    default:
        return "unexpected errno";
    }
}

static void print_array_refusal(int64_t bytes, bool huge, int error)
{
    const char *advice = huge && error == EINVAL ? "this kernel has no transparent huge pages: leave out -bth"
                                                 : "use fewer (-bc) or smaller (-bs) arrays";
    fprintf(stderr, "allocate a byte array of %lld bytes: %s (%s); %s\n", (long long)bytes, strerror(error),
            errno_name(error), advice);
}

static void print_exerciser_refusal(unsigned number, int error)
{
    fprintf(stderr, "start exerciser %u: %s (%s); use fewer readers (-brc), writers (-bwc) or portions\n", number,
            strerror(error), errno_name(error));
}

static int reserve_slot(struct pool *pool)
{
    if (pool->count < pool->capacity)
        return 0;
    size_t capacity = pool->capacity == 0 ? 16 : 2 * pool->capacity;
    struct slot *slots = realloc(pool->slots, capacity * sizeof *slots);
    if (slots == NULL)
        return ENOMEM;
    pool->slots = slots;
    pool->capacity = capacity;
    return 0;
}

static bool add_array(struct pool *pool)
{
    const struct options *options = pool->options;
    struct slot slot = {0};
    int error = reserve_slot(pool);
    if (error == 0)
        error = array_create((size_t)options->array_bytes, options->huge_pages, &slot.array);
    if (error != 0) {
        print_array_refusal(options->array_bytes, options->huge_pages, error);
        return false;
    }
    printf("    array: %lx-%lx (%zu bytes)\n", (unsigned long)slot.array.start,
           (unsigned long)(slot.array.start + slot.array.bytes - 1), slot.array.bytes);
    pool->slots[pool->count++] = slot;
    return true;
}

static bool start_exerciser(struct pool *pool, size_t index, enum access access, struct exerciser **exerciser)
{
    const struct exercise_options *options =
        access == ACCESS_READ ? &pool->options->read : &pool->options->write;
    bool wanted = (int64_t)index < options->arrays;
    bool ever_touches = options->size_bytes > 0 || options->size_change_bytes > 0;
    if (!wanted || !ever_touches)
        return true;
    unsigned number = ++pool->exercisers_started;
    int error = exerciser_start(number, access, &pool->slots[index].array, options,
                                pool->options->print_interval_ns, exerciser);
    if (error != 0)
        print_exerciser_refusal(number, error);
    return error == 0;
}

static bool add_arrays(struct pool *pool, int64_t count)
{
    size_t first = pool->count;
    printf("creating %lld byte arrays\n", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        if (!add_array(pool))
            return false;
    }
    for (size_t i = first; i < pool->count; i++) {
        if (!start_exerciser(pool, i, ACCESS_READ, &pool->slots[i].reader) ||
            !start_exerciser(pool, i, ACCESS_WRITE, &pool->slots[i].writer))
            return false;
    }
    return true;
}

static void free_newest_array(struct pool *pool)
{
    struct slot *slot = &pool->slots[--pool->count];
    if (slot->reader != NULL)
        exerciser_stop(slot->reader);
    if (slot->writer != NULL)
        exerciser_stop(slot->writer);
    array_free(&slot->array);
}

static void free_arrays(struct pool *pool, int64_t count)
{
    if (count > (int64_t)pool->count)
        count = (int64_t)pool->count;
    printf("freeing %lld byte arrays\n", (long long)count);
    while (count-- > 0)
        free_newest_array(pool);
}

bool pool_change(struct pool *pool, int64_t change)
{
    if (change >= 0)
        return add_arrays(pool, change);
    free_arrays(pool, -change);
    return true;
}

void pool_clear(struct pool *pool)
{
    while (pool->count > 0)
        free_newest_array(pool);
    free(pool->slots);
    *pool = (struct pool){0};
}
