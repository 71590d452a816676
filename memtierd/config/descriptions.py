"""One sentence on every part that a configuration can name, for the JSON Schema and the manual."""

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "policy": {
        "age": "By time: memory idle for long goes to slow nodes or to swap, memory in steady use to fast nodes.",
        "avoid-oom": "Moves memory off nodes that run short of it, before the kernel has to kill a process.",
        "demote-idle": "Memory that was not used from one scan to the next goes to slow nodes; nothing is moved back.",
        "heat": "By heat, which grows with use and fades: memory is divided into classes, each with its nodes.",
        "ratio": "Keeps a portion of all memory, that which was accessed least, on certain nodes or in swap.",
        "stub": "Watches no processes and moves nothing, for configurations of routines alone.",
    },
    "tracker": {
        "auto": "The first that works here of idlepage, softdirty and referenced.",
        "damon": "Sees reads and writes, sampled by the kernel's DAMON in regions that it finds by itself.",
        "finder": "Sees no use, only where memory is; it disturbs nothing and costs least.",
        "idlepage": "Sees reads and writes in small regions; needs the kernel option IDLE_PAGE_TRACKING.",
        "multi": "Several trackers together, each at its own interval.",
        "referenced": "Sees reads and writes of whole mappings, on any kernel.",
        "softdirty": "Sees writes only, in small regions, and is fast; needs the kernel option MEM_SOFT_DIRTY.",
        "stub": "Tracks nothing.",
    },
    "pidwatcher": {
        "cgroups": "The processes of control groups, and of all groups below them.",
        "filter": "Those processes of another pidwatcher that match one of its filters.",
        "pidlist": "A fixed list of processes.",
        "proc": "All processes of the machine.",
        "stub": "No processes.",
    },
    "routine": {
        "statactions": "Commands that are run every interval, or after so much swapping out.",
    },
    "forecaster": {
        "chain": "Several forecasters, each of which gets what the one before has forecast.",
        "stdio": "Asks a program, which reads a line of heats and writes a line of forecasts.",
        "stub": "Forecasts nothing.",
        "trace": "Appends the heats to a file and forecasts nothing.",
    },
}
"""By kind and name; a test demands an entry for everything in the registries."""
