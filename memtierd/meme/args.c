#include "args.h"

#include <string.h>

#define MAX_COUNT INT64_C(1000000)
#define MAX_TIME_NS (INT64_MAX / 4) /* so that a deadline, clock + time, can't overflow */

/* A stretch of a command line argument, not necessarily ended by a null byte. */
struct span {
    const char *text;
    size_t length;
};

struct unit {
    const char *suffix;
    int64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {{"", 1}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
static const struct unit time_units[] = {
    {"", 1},
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000 * 1000},
    {"s", 1000 * 1000 * 1000},
    {"m", INT64_C(60) * 1000 * 1000 * 1000},
    {"h", INT64_C(3600) * 1000 * 1000 * 1000},
    {NULL, 0},
};

enum kind { COUNT, PORTIONS, ARRAY_SIZE, SIZE, SIZE_CHANGE, TIME, COUNT_CHANGES, SWITCH };

/* What a value of each kind looks like. A value that breaks `expected` ends meme with `refusal`. */
struct grammar {
    const char *placeholder;
    const struct unit *units;
    int64_t minimum;
    int64_t maximum;
    const char *expected;
    enum parse_outcome refusal;
};

static const struct grammar grammars[] = {
    [COUNT] = {" N", no_units, 0, MAX_COUNT, "a whole number from 0 to 1000000", PARSE_BAD_USAGE},
    [PORTIONS] = {" N", no_units, 1, MAX_COUNT, "a whole number from 1 to 1000000", PARSE_BAD_USAGE},
    [ARRAY_SIZE] = {" SIZE", size_units, 1, INT64_MAX, "[1-9][0-9]*[kMG]?", PARSE_BAD_VALUE},
    [SIZE] = {" SIZE", size_units, 0, INT64_MAX, "[1-9][0-9]*[kMG]?", PARSE_BAD_VALUE},
    [SIZE_CHANGE] = {" SIZE", size_units, -INT64_MAX, INT64_MAX, "-?[1-9][0-9]*[kMG]?", PARSE_BAD_VALUE},
    [TIME] = {" TIME", time_units, 0, MAX_TIME_NS, "[1-9][0-9]*(ns|us|ms|s|m|h)?", PARSE_BAD_VALUE},
    [COUNT_CHANGES] = {" LIST", NULL, 0, 0, "DELTA/TIME[,DELTA/TIME...], at most 16 of them", PARSE_BAD_VALUE},
    [SWITCH] = {"", NULL, 0, 1, "true or false", PARSE_BAD_USAGE},
};

struct flag {
    const char *name;
    enum kind kind;
    size_t at; /* offset of the value in struct options */
    const char *initial;
    const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct flag flags[] = {
    {"bc", COUNT, AT(array_count), "1", "number of byte arrays"},
    {"bcd", COUNT_CHANGES, AT(changes), "",
     "add or free arrays over time, newest freed first: \"1/20s,-6/2m\"\n"
     "adds one every 20 seconds and frees six every 2 minutes"},
    {"bs", ARRAY_SIZE, AT(array_bytes), "1G", "size of each array"},
    {"bth", SWITCH, AT(huge_pages), "false",
     "align arrays to 2M and ask for transparent huge pages (MADV_HUGEPAGE);\n"
     "without it the system's own setting decides"},
    {"brc", COUNT, AT(read.arrays), "1", "number of arrays that are read"},
    {"brs", SIZE, AT(read.size_bytes), "1G", "bytes read in each of them, at most to the end of the array"},
    {"bro", SIZE, AT(read.offset_bytes), "0M", "offset of the bytes that are read"},
    {"brsd", SIZE_CHANGE, AT(read.size_change_bytes), "0k", "change of the size that is read, after each round"},
    {"brod", SIZE_CHANGE, AT(read.offset_change_bytes), "0k",
     "change of the read offset after each round, modulo the array size"},
    {"bri", TIME, AT(read.interval_ns), "0", "interval between the starts of two rounds of reading"},
    {"brp", PORTIONS, AT(read.portions), "1", "read in this many portions, in a new random order each round"},
    {"bwc", COUNT, AT(write.arrays), "1", "number of arrays that are written"},
    {"bws", SIZE, AT(write.size_bytes), "1G", "bytes written in each of them, at most to the end of the array"},
    {"bwo", SIZE, AT(write.offset_bytes), "0M", "offset of the bytes that are written"},
    {"bwsd", SIZE_CHANGE, AT(write.size_change_bytes), "0k",
     "change of the size that is written, after each round"},
    {"bwod", SIZE_CHANGE, AT(write.offset_change_bytes), "0k",
     "change of the write offset after each round, modulo the array size"},
    {"bwi", TIME, AT(write.interval_ns), "0", "interval between the starts of two rounds of writing"},
    {"bwp", PORTIONS, AT(write.portions), "1", "write in this many portions, in a new random order each round"},
    {"p", TIME, AT(print_interval_ns), "0", "print the average seconds per round at this interval"},
    {"ttl", TIME, AT(ttl_ns), "0", "end after this time instead of waiting for Enter"},
    {"version", SWITCH, AT(version), "false", "print the version and exit"},
};

#define FLAG_COUNT (sizeof flags / sizeof flags[0])

void print_usage(FILE *stream)
{
    fputs("usage: meme [FLAG VALUE]...\n"
          "Allocate byte arrays, make all of their pages resident, and keep chosen parts of them busy.\n\n"
          "SIZE is a number of bytes with suffix k, M or G or none, TIME a number with ns, us, ms, s, m or h\n"
          "(none: ns). -x VALUE, --x VALUE, -x=VALUE and --x=VALUE are the same.\n\n",
          stream);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        const struct flag *flag = &flags[i];
        fprintf(stream, "  -%s%s", flag->name, grammars[flag->kind].placeholder);
        if (flag->kind != SWITCH && flag->initial[0] != '\0')
            fprintf(stream, " (default %s)", flag->initial);
        fputs("\n        ", stream);
        for (const char *c = flag->help; *c != '\0'; c++)
            fputs(*c == '\n' ? "\n        " : (const char[]){*c, '\0'}, stream);
        fputc('\n', stream);
    }
    fputs("  -h\n        print this help and exit\n\n"
          "The first arrays are the ones that are read and written: an array has at most one reader and one\n"
          "writer, each a thread of its own. Without -ttl, Enter ends meme. At the end of standard input\n"
          "(\"meme </dev/null &\") it runs on until a signal ends it.\n\n"
          "Example: 128M only read, 128M read and written, 128M only written, 640M idle:\n"
          "  meme -bs 1G -brs 256M -bws 256M -bwo 128M\n",
          stream);
}

/* Digits without a leading zero; returns how many there were, 0 if there is no number or it is too large. */
static size_t parse_digits(struct span span, int64_t *value)
{
    int64_t sum = 0;
    size_t i = 0;
    for (; i < span.length && span.text[i] >= '0' && span.text[i] <= '9'; i++) {
        if (i == 1 && span.text[0] == '0')
            return 0;
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, span.text[i] - '0', &sum))
            return 0;
    }
    *value = sum;
    return i;
}

static bool parse_unit(struct span span, const struct unit *units, int64_t *factor)
{
    for (; units->suffix != NULL; units++) {
        if (strlen(units->suffix) == span.length && memcmp(units->suffix, span.text, span.length) == 0) {
            *factor = units->factor;
            return true;
        }
    }
    return false;
}

/* A whole number with one of `units`, within [minimum, maximum]; a sign only if minimum is negative. */
static bool parse_quantity(struct span span, const struct grammar *grammar, int64_t *value)
{
    bool negative = grammar->minimum < 0 && span.length > 0 && span.text[0] == '-';
    if (negative)
        span = (struct span){span.text + 1, span.length - 1};

    int64_t number;
    int64_t factor;
    size_t digits = parse_digits(span, &number);
    if (digits == 0)
        return false;
    if (!parse_unit((struct span){span.text + digits, span.length - digits}, grammar->units, &factor))
        return false;
    if (__builtin_mul_overflow(number, factor, &number))
        return false;
    if (negative)
        number = -number;
    if (number < grammar->minimum || number > grammar->maximum)
        return false;
    *value = number;
    return true;
}

/* One "DELTA/TIME": both must be other than 0. */
static bool parse_count_change(struct span span, struct count_change *change)
{
    static const struct grammar delta = {.units = no_units, .minimum = -MAX_COUNT, .maximum = MAX_COUNT};
    static const struct grammar period = {.units = time_units, .minimum = 1, .maximum = MAX_TIME_NS};
    const char *slash = memchr(span.text, '/', span.length);
    if (slash == NULL)
        return false;
    size_t before = (size_t)(slash - span.text);
    struct span after = {slash + 1, span.length - before - 1};
    struct count_change parsed;
    if (!parse_quantity((struct span){span.text, before}, &delta, &parsed.arrays) || parsed.arrays == 0)
        return false;
    if (!parse_quantity(after, &period, &parsed.period_ns))
        return false;
    *change = parsed;
    return true;
}

static bool parse_count_changes(const char *text, struct options *options)
{
    size_t count = 0;
    while (text != NULL && *text != '\0') {
        const char *comma = strchr(text, ',');
        struct span item = {text, comma != NULL ? (size_t)(comma - text) : strlen(text)};
        if (count == MAX_COUNT_CHANGES || !parse_count_change(item, &options->changes[count]))
            return false;
        if (comma != NULL && comma[1] == '\0')
            return false;
        count++;
        text = comma != NULL ? comma + 1 : NULL;
    }
    options->change_count = count;
    return true;
}

static bool parse_switch(const char *text, bool *value)
{
    bool on = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    bool off = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
    if (on || off)
        *value = on;
    return on || off;
}

static bool parse_value(const struct flag *flag, const char *text, struct options *options)
{
    void *value = (char *)options + flag->at;
    switch (flag->kind) {
    case SWITCH:
        return parse_switch(text, value);
    case COUNT_CHANGES:
        return parse_count_changes(text, options);
    default:
        return parse_quantity((struct span){text, strlen(text)}, &grammars[flag->kind], value);
    }
}

static enum parse_outcome refuse_value(const struct flag *flag, const char *text)
{
    const struct grammar *grammar = &grammars[flag->kind];
    if (grammar->refusal == PARSE_BAD_VALUE) {
        printf("syntax error in -%s \"%s\": expected %s\n", flag->name, text, grammar->expected);
    } else {
        fprintf(stderr, "invalid value \"%s\" for flag -%s: expected %s\n", text, flag->name, grammar->expected);
        print_usage(stderr);
    }
    return grammar->refusal;
}

static enum parse_outcome refuse_usage(const char *problem, const char *argument)
{
    fprintf(stderr, "%s: %s\n", problem, argument);
    print_usage(stderr);
    return PARSE_BAD_USAGE;
}

static const struct flag *find_flag(const char *name, size_t length)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, name, length) == 0)
            return &flags[i];
    }
    return NULL;
}

/* Parse the flag at argv[*at], and its value; leave *at at the last argument that was used. */
static enum parse_outcome parse_flag(int argc, char *const argv[], int *at, struct options *options)
{
    const char *argument = argv[*at];
    if (argument[0] != '-' || argument[1] == '\0')
        return refuse_usage("unexpected argument", argument);
    const char *name = argument + (argument[1] == '-' ? 2 : 1);
    size_t length = strcspn(name, "=");
    if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0)
        return PARSED_HELP;
    const struct flag *flag = find_flag(name, length);
    if (flag == NULL)
        return refuse_usage("unknown flag", argument);

    const char *value;
    if (name[length] == '=')
        value = name + length + 1;
    else if (flag->kind == SWITCH)
        value = "true";
    else if (*at + 1 < argc)
        value = argv[++*at];
    else
        return refuse_usage("missing value for flag", argument);
    return parse_value(flag, value, options) ? PARSED : refuse_value(flag, value);
}

enum parse_outcome parse_arguments(int argc, char *const argv[], struct options *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < FLAG_COUNT; i++)
        parse_value(&flags[i], flags[i].initial, options);
    for (int at = 1; at < argc; at++) {
        enum parse_outcome outcome = parse_flag(argc, argv, &at, options);
        if (outcome != PARSED)
            return outcome;
    }
    return PARSED;
}
