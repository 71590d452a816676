/* meme, the memory exerciser: allocates byte arrays, keeps parts of them busy and leaves the rest idle. */
#include "args.h"
#include "clock.h"
#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef MEME_VERSION
#define MEME_VERSION "unknown"
#endif

/* When the main thread has to do something next; INT64_MAX is never. */
struct schedule {
    int64_t end_ns;
    int64_t change_ns[MAX_COUNT_CHANGES];
    bool watch_input;
};

static struct schedule schedule_first(const struct options *options)
{
    int64_t now_ns = monotonic_ns();
    struct schedule schedule = {
        .end_ns = options->ttl_ns > 0 ? now_ns + options->ttl_ns : INT64_MAX,
        .watch_input = options->ttl_ns == 0,
    };
    for (size_t i = 0; i < options->change_count; i++)
        schedule.change_ns[i] = now_ns + options->changes[i].period_ns;
    return schedule;
}

static int64_t next_deadline(const struct schedule *schedule, size_t change_count)
{
    int64_t next_ns = schedule->end_ns;
    for (size_t i = 0; i < change_count; i++) {
        if (schedule->change_ns[i] < next_ns)
            next_ns = schedule->change_ns[i];
    }
    return next_ns;
}

static bool apply_due_changes(struct pool *pool, struct schedule *schedule)
{
    const struct options *options = pool->options;
    int64_t now_ns = monotonic_ns();
    for (size_t i = 0; i < options->change_count; i++) {
        if (schedule->change_ns[i] > now_ns)
            continue;
        if (!pool_change(pool, options->changes[i].arrays))
            return false;
        schedule->change_ns[i] += options->changes[i].period_ns;
        if (schedule->change_ns[i] <= now_ns) /* too slow for this period: don't try to catch up */
            schedule->change_ns[i] = now_ns + options->changes[i].period_ns;
    }
    return true;
}

/* Has Enter been pressed? Without a usable standard input (its end, or a terminal that belongs to another
 * job) nobody can press it: stop watching. */
static bool read_enter(bool *watch_input)
{
    char input[256];
    ssize_t length = read(STDIN_FILENO, input, sizeof input);
    if (length > 0)
        return memchr(input, '\n', (size_t)length) != NULL;
    if (length == 0 || (errno != EINTR && errno != EAGAIN))
        *watch_input = false;
    return false;
}

/* Sleep until `deadline_ns`; returns true if Enter was pressed before. */
static bool wait_for_enter(int64_t deadline_ns, bool *watch_input)
{
    struct pollfd input = {.fd = *watch_input ? STDIN_FILENO : -1, .events = POLLIN};
    int64_t left_ns = deadline_ns - monotonic_ns();
    struct timespec timeout = timespec_of_ns(left_ns > 0 ? left_ns : 0);
    int ready = ppoll(&input, 1, deadline_ns == INT64_MAX ? NULL : &timeout, NULL);
    return ready > 0 && read_enter(watch_input);
}

/* Change the arrays as scheduled until Enter or the end of -ttl; returns false if a change failed. */
static bool run_until_end(struct pool *pool)
{
    struct schedule schedule = schedule_first(pool->options);
    if (schedule.watch_input)
        puts("press enter to exit...");
    while (monotonic_ns() < schedule.end_ns) {
        if (wait_for_enter(next_deadline(&schedule, pool->options->change_count), &schedule.watch_input))
            return true;
        if (!apply_due_changes(pool, &schedule))
            return false;
    }
    return true;
}

static int run(const struct options *options)
{
    struct pool pool = {.options = options};
    bool good = pool_change(&pool, options->array_count) && run_until_end(&pool);
    pool_clear(&pool);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[])
{
    struct options options;
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Reading the terminal from the background then fails with EIO instead of suspending all threads.
     * Other signals keep their default action, which is the promptest way to end. */
    signal(SIGTTIN, SIG_IGN);
    printf("memory exerciser\npid: %ld\n", (long)getpid());

    enum parse_outcome outcome = parse_arguments(argc, argv, &options);
    if (outcome == PARSED_HELP) {
        print_usage(stdout);
        return EXIT_SUCCESS;
    }
    if (outcome != PARSED)
        return (int)outcome;
    if (options.version) {
        puts("meme version " MEME_VERSION);
        return EXIT_SUCCESS;
    }
    return run(&options);
}
