"""How setuptools builds the extension `_memtierd`: declarations.h is its cdef, the .c files are its body."""

from pathlib import Path

import cffi

HERE = Path("memtierd/native")  # relative to setup.py, as setuptools demands
NAMES = ("files", "flags", "walk", "scan", "ranges", "filter", "idle", "collect", "move", "inotify")
SOURCES = tuple(f"{name}.c" for name in NAMES)
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
