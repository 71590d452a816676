"""How setuptools builds the extension `_memtierd`: declarations.h is its cdef, the .c files are its body."""

from pathlib import Path

import cffi

HERE = Path("memtierd/native")  # relative to setup.py, as setuptools demands
SOURCES = ("files.c", "flags.c", "walk.c", "scan.c", "ranges.c", "filter.c", "idle.c", "collect.c", "move.c")
HEADERS = ("declarations.h", "native.h")

ffi = cffi.FFI()
ffi.cdef((HERE / "declarations.h").read_text(encoding="utf-8"))
ffi.set_source(
    "memtierd.native._memtierd",
    '#include "native.h"\n#pragma GCC diagnostic ignored "-Wunused-parameter"',  # of the wrappers cffi writes
    sources=[str(HERE / name) for name in SOURCES],
    depends=[str(HERE / name) for name in HEADERS],
    include_dirs=[str(HERE)],
    extra_compile_args=["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"],
)
