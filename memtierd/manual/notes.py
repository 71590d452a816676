"""What there is to say of parts of a configuration beyond one sentence and their parameters, for memtierd.yaml(5)."""

NOTES: dict[tuple[str, str], tuple[str, ...]] = {
    ("policy", "age"): (
        "Idle time is how long memory is known not to have been used: from its last use to the last scan. Active time"
        " is how long it was used in every scan. A duration of 0 or an empty list of nodes switches that movement off.",
        "The tracker `damon`, which looks at samples, can't prove that memory was idle, and is refused.",
    ),
    ("policy", "avoid-oom"): (
        "Available is what could be had without swapping. Of processes on a node that runs short, the one that the"
        " kernel would kill first goes first; memory goes to the nodes that its process may use. Only as much as is"
        " missing is moved.",
        "Both marks are a portion of the node, such as `8%`, or a size, such as `512M`.",
    ),
    ("policy", "demote-idle"): (
        "A region is idle when none of its pages was used in a whole interval. The tracker, when it is missing, scans"
        " once in an interval, and looks for regions before every scan.",
        "Files in `pagesofinterestdir` are named _PID_`.vab`. Each is a sequence of pairs of 64-bit little-endian"
        " numbers, the address of the first byte of a range and of the byte behind it, both multiples of the page size."
        " They are read in every interval, and never removed. Who writes holds an exclusive `flock`(2) on the file"
        " `lock` in the directory meanwhile. A file that is older than its process, or is not as described, counts for"
        " nothing.",
    ),
    ("policy", "heat"): (
        "Every scan adds the portion of a region's pages that was used to its heat. Heat from 0 to `heatmax` is cut"
        " into `heatclasses` classes of equal width, numbered from 0, the coldest.",
    ),
    ("policy", "ratio"): (
        "Memory on a target counts, whatever its use, and nothing is moved back. Of what is missing the regions with"
        " the fewest accesses come first, then those with the fewest writes. Regions are moved whole.",
    ),
    ("tracker", "auto"): ("`memtierd -check` tells which one that is, and what the others lack.",),
    ("tracker", "damon"): (
        "DAMON says how hot memory is and not for how long it was idle. Either `nrkdamonds` or `kdamondslist` has to be"
        " given. kdamonds that are running or set up by others are refused and left alone.",
    ),
    ("tracker", "multi"): (
        "Where regions differ they are cut at the bounds of both. Memory that one tracker saw used is used; memory is"
        " idle only when one of those that see the most saw no use of it. A multi tracker can't be a member.",
    ),
    ("pidwatcher", "filter"): (
        "The conditions of one filter must all hold, and it must have one at least. `and`, `or` and `not` combine other"
        " filters, written in the same way.",
    ),
    ("routine", "statactions"): (
        "`intervalcommandrunner` and `pageoutcommandrunner` are `exec`, a program without a shell:"
        ' `["sh", "-c", "echo x"]`; `memtier`, the words of a prompt command: `["stats", "-t", "events"]`; or'
        " `memtier-prompt`, a line as at the prompt, where a pipe leads to a shell:"
        ' `["stats -f csv | tail -n 1"]`.',
        "`timestamp` and `timestampafter` are `rfc3339`, `rfc3339nano`, `rfc822`, `rfc822z`, `rfc850`, `rfc1123`,"
        " `ansic` or `unixdate`; `unix` (seconds since 1970) or `duration` (since the start of the routine), these also"
        " with `.milli`, `.micro` or `.nano`; or a layout such as `2006-01-02 15:04:05.000`, which is how the time"
        " 3:04:05 PM on the 2nd of January 2006 would be written. No line break is added.",
    ),
    ("forecaster", "stdio"): (
        'The program reads `{"PID":[{"addr":BYTES,"length":PAGES,"heat":H,"created":NS,"updated":NS}, ...], ...}` on'
        " one line and answers with a line of the same form; times are nanoseconds since 1970 and may be missing in the"
        " answer. Regions that it leaves out keep their own heat. An answer that is not there when the next decision is"
        " due is dropped.",
    ),
}
"""Paragraphs by kind and name, `typed words` and _values_ marked."""
