/* Exercisers: threads that read or write a part of an array, round after round. */
#ifndef MEME_EXERCISER_H
#define MEME_EXERCISER_H

#include "args.h"
#include "arrays.h"

#include <stdbool.h>
#include <stdint.h>

enum access { ACCESS_READ, ACCESS_WRITE };

struct exerciser;

/*
 * Print "start exerciser NUMBER: ..." and start the thread. The array must outlive the exerciser. Returns 0,
 * or the errno of what was refused; `*exerciser` is modified only on success.
 */
int exerciser_start(unsigned number, enum access access, const struct array *array,
                    const struct exercise_options *options, int64_t print_interval_ns,
                    struct exerciser **exerciser);

/* End the thread within one MiB of its work, and free it. */
void exerciser_stop(struct exerciser *exerciser);

#endif
