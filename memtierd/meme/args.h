/* The command line: flags, their defaults, and the usage text made from the same table. */
#ifndef MEME_ARGS_H
#define MEME_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

_Static_assert(sizeof(size_t) == sizeof(int64_t), "meme needs a 64-bit machine");

#define MAX_COUNT_CHANGES 16

/* What is read, or written, in each of the first `arrays` arrays. */
struct exercise_options {
    int64_t arrays;
    int64_t size_bytes;
    int64_t offset_bytes;
    int64_t size_change_bytes;   /* added to the size after each round */
    int64_t offset_change_bytes; /* added to the offset after each round, modulo the array length */
    int64_t interval_ns;         /* from the start of one round to the start of the next, 0: no pause */
    int64_t portions;
};

/* Add (> 0) or free (< 0) `arrays` arrays every `period_ns`. */
struct count_change {
    int64_t arrays;
    int64_t period_ns;
};

struct options {
    int64_t array_count;
    int64_t array_bytes;
    struct count_change changes[MAX_COUNT_CHANGES];
    size_t change_count;
    struct exercise_options read;
    struct exercise_options write;
    int64_t print_interval_ns; /* 0: never print speeds */
    int64_t ttl_ns;            /* 0: run until Enter */
    bool huge_pages;
    bool version;
};

enum parse_outcome {
    PARSED_HELP = -1, /* -h: `options` is incomplete */
    PARSED = 0,
    PARSE_BAD_VALUE = 1, /* this and the next are exit statuses; the message has been printed */
    PARSE_BAD_USAGE = 2,
};

enum parse_outcome parse_arguments(int argc, char *const argv[], struct options *options);

void print_usage(FILE *stream);

#endif
