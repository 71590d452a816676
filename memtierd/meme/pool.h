/* The arrays that exist and the exercisers that work on them. */
#ifndef MEME_POOL_H
#define MEME_POOL_H

#include "args.h"
#include "arrays.h"
#include "exerciser.h"

#include <stddef.h>
#include <stdint.h>

struct slot {
    struct array array;
    struct exerciser *reader; /* NULL: the array is not read */
    struct exerciser *writer; /* NULL: the array is not written */
};

struct pool {
    const struct options *options;
    struct slot *slots; /* oldest first */
    size_t count;
    size_t capacity;
    unsigned exercisers_started;
};

/* Add (> 0) `change` arrays and start their exercisers, or stop and free (< 0) the newest ones. Returns false,
 * with the reason on standard error, if the kernel refuses memory or a thread. */
bool pool_change(struct pool *pool, int64_t change);

/* Stop all exercisers and free everything. */
void pool_clear(struct pool *pool);

#endif
