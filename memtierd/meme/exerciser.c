#include "exerciser.h"

#include "clock.h"
#include "touch.h"
#include "window.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BYTES ((size_t)1 << 20) /* between two looks at the stop flag */

struct exerciser {
    unsigned number;
    enum access access;
    unsigned char *array_start;
    struct window window;
    const struct exercise_options *options;
    int64_t print_interval_ns;
    uint32_t *portion_order; /* options->portions of them */
    uint64_t random;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t stop_requested;
    atomic_bool stop; /* set with the mutex held */
};

/* Rounds since the last "avgspeed" line. */
struct speed {
    int64_t printed_ns;
    int64_t busy_ns;
    int64_t rounds;
};

static bool must_stop(struct exerciser *exerciser)
{
    return atomic_load_explicit(&exerciser->stop, memory_order_relaxed);
}

/* Announcing each of many thousand rounds a second would only measure the terminal. */
static bool is_paced(const struct exerciser *exerciser)
{
    return exerciser->options->interval_ns >= NS_PER_MS;
}

static void print_range(struct range range)
{
    printf("%lx-%lx", (unsigned long)range.start, (unsigned long)(range.start + range.bytes - 1));
}

static void print_start(const struct exerciser *exerciser)
{
    struct range range = window_range(&exerciser->window, exerciser->array_start);
    flockfile(stdout);
    printf("start exerciser %u: %s ", exerciser->number, exerciser->access == ACCESS_READ ? "read" : "write");
    print_range(range);
    printf(" (%zu bytes)\n", range.bytes);
    funlockfile(stdout);
}

static void print_round(const struct exerciser *exerciser, uint64_t round, struct range range)
{
    flockfile(stdout);
    printf("wake exerciser %u: round %llu range ", exerciser->number, (unsigned long long)round);
    print_range(range);
    putchar('\n');
    funlockfile(stdout);
}

static void print_portion_order(const struct exerciser *exerciser)
{
    flockfile(stdout);
    fputs("portion order: [", stdout);
    for (int64_t i = 0; i < exerciser->options->portions; i++)
        printf(i == 0 ? "%u" : " %u", exerciser->portion_order[i]);
    fputs("]\n", stdout);
    funlockfile(stdout);
}

static void touch_range(struct exerciser *exerciser, struct range range, unsigned char value)
{
    while (range.bytes > 0 && !must_stop(exerciser)) {
        size_t bytes = range.bytes < CHUNK_BYTES ? range.bytes : CHUNK_BYTES;
        if (exerciser->access == ACCESS_READ)
            read_bytes(range.start, bytes);
        else
            write_bytes(range.start, bytes, value);
        range = (struct range){range.start + bytes, range.bytes - bytes};
    }
}

static void run_round(struct exerciser *exerciser, uint64_t round)
{
    uint32_t portions = (uint32_t)exerciser->options->portions;
    struct range range = window_range(&exerciser->window, exerciser->array_start);
    if (is_paced(exerciser) && range.bytes > 0)
        print_round(exerciser, round, range);
    if (portions > 1) {
        shuffle(exerciser->portion_order, portions, &exerciser->random);
        if (is_paced(exerciser) || round == 1)
            print_portion_order(exerciser);
    }
    for (uint32_t i = 0; i < portions && !must_stop(exerciser); i++) {
        struct range portion = range_portion(range, exerciser->portion_order[i], portions);
        touch_range(exerciser, portion, (unsigned char)round); /* new contents in every round */
    }
}

static void note_speed(const struct exerciser *exerciser, int64_t started_ns, struct speed *speed)
{
    int64_t now_ns = monotonic_ns();
    speed->busy_ns += now_ns - started_ns;
    speed->rounds++;
    if (exerciser->print_interval_ns == 0 || now_ns - speed->printed_ns < exerciser->print_interval_ns)
        return;
    printf("avgspeed exerciser %u: %.6f s/round\n", exerciser->number,
           (double)speed->busy_ns / (double)speed->rounds / (double)NS_PER_S);
    *speed = (struct speed){.printed_ns = now_ns};
}

static void sleep_until(struct exerciser *exerciser, int64_t deadline_ns)
{
    struct timespec deadline = timespec_of_ns(deadline_ns);
    pthread_mutex_lock(&exerciser->mutex);
    while (!must_stop(exerciser)) {
        if (pthread_cond_timedwait(&exerciser->stop_requested, &exerciser->mutex, &deadline) == ETIMEDOUT)
            break;
    }
    pthread_mutex_unlock(&exerciser->mutex);
}

static void *run_exerciser(void *argument)
{
    struct exerciser *exerciser = argument;
    struct speed speed = {.printed_ns = monotonic_ns()};
    for (uint64_t round = 1; !must_stop(exerciser); round++) {
        int64_t interval_ns = exerciser->options->interval_ns;
        int64_t started_ns = monotonic_ns();
        run_round(exerciser, round);
        if (!must_stop(exerciser))
            note_speed(exerciser, started_ns, &speed);
        if (exerciser->window.size_bytes == 0 && interval_ns < NS_PER_MS)
            interval_ns = NS_PER_MS; /* a window that shrank to nothing is no reason to spin */
        window_advance(&exerciser->window, exerciser->options);
        if (interval_ns > 0)
            sleep_until(exerciser, started_ns + interval_ns);
    }
    return NULL;
}

static uint32_t *ascending_order(size_t count)
{
    uint32_t *order = malloc(count * sizeof *order);
    for (size_t i = 0; order != NULL && i < count; i++)
        order[i] = (uint32_t)i;
    return order;
}

static void init_stop_request(struct exerciser *exerciser)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&exerciser->mutex, NULL);
    pthread_cond_init(&exerciser->stop_requested, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void exerciser_free(struct exerciser *exerciser)
{
    pthread_cond_destroy(&exerciser->stop_requested);
    pthread_mutex_destroy(&exerciser->mutex);
    free(exerciser->portion_order);
    free(exerciser);
}

int exerciser_start(unsigned number, enum access access, const struct array *array,
                    const struct exercise_options *options, int64_t print_interval_ns,
                    struct exerciser **exerciser)
{
    struct exerciser *new = malloc(sizeof *new);
    if (new == NULL)
        return ENOMEM;
    *new = (struct exerciser){
        .number = number,
        .access = access,
        .array_start = array->start,
        .window = window_first(array->bytes, options),
        .options = options,
        .print_interval_ns = print_interval_ns,
        .portion_order = ascending_order((size_t)options->portions),
        .random = number, /* the same command line gives the same load */
    };
    init_stop_request(new);
    print_start(new);
    int error = new->portion_order == NULL ? ENOMEM : pthread_create(&new->thread, NULL, run_exerciser, new);
    if (error != 0) {
        exerciser_free(new);
        return error;
    }
    *exerciser = new;
    return 0;
}

void exerciser_stop(struct exerciser *exerciser)
{
    pthread_mutex_lock(&exerciser->mutex);
    atomic_store_explicit(&exerciser->stop, true, memory_order_relaxed);
    pthread_cond_signal(&exerciser->stop_requested);
    pthread_mutex_unlock(&exerciser->mutex);
    pthread_join(exerciser->thread, NULL);
    printf("stop exerciser %u\n", exerciser->number);
    exerciser_free(exerciser);
}
