"""What every wrapper does: check arrays, take their addresses, turn a negative result into OSError."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from memtierd.model import U32, U64
from memtierd.native._memtierd import ffi
from memtierd.units import PAGE_BYTES

Stop = npt.NDArray[np.int32]
"""Shape (1,): the C code polls it and ends with ECANCELED once it isn't zero."""

_C_TYPES = {
    np.dtype(np.int8): "int8_t[]",
    np.dtype(np.int32): "int32_t[]",
    np.dtype(np.uint32): "uint32_t[]",
    np.dtype(np.uint64): "uint64_t[]",
}


def pointer(
    name: str, array: npt.NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...], *, writable: bool = False
) -> Any:
    """Return the C array behind `array`, which it keeps alive; ValueError unless dtype, shape and layout fit."""
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype}{array.shape}, expected {np.dtype(dtype)}{shape}")
    if not array.flags.c_contiguous or (writable and not array.flags.writeable):
        raise ValueError(f"{name} is not a contiguous" + (" writable" if writable else "") + " array")
    return ffi.from_buffer(_C_TYPES[array.dtype], array, require_writable=writable)


def cleared(name: str, array: npt.NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> Any:
    """Return the C array behind a column of results, after setting it to 0."""
    result = pointer(name, array, dtype, shape, writable=True)
    array.fill(0)
    return result


def stop_pointer(stop: Stop) -> Any:
    """Return the address of the stop flag."""
    return pointer("stop", stop, np.int32, (1,))


def ranges_pointers(start: U64, pages: U32) -> tuple[Any, Any]:
    """Return the addresses of both columns of ranges in any order; ValueError unless all start on a page."""
    shape = (len(start),)
    result = pointer("start", start, np.uint64, shape), pointer("pages", pages, np.uint32, shape)
    if np.any(start & np.uint64(PAGE_BYTES - 1)):
        raise ValueError(f"start has addresses that are no multiple of {PAGE_BYTES}")
    return result


def regions_pointers(start: U64, pages: U32) -> tuple[Any, Any]:
    """Return the addresses of both columns of regions; ValueError unless they ascend without overlap."""
    result = ranges_pointers(start, pages)
    if np.any(start[1:] < start[:-1] + pages[:-1] * np.uint64(PAGE_BYTES)):
        raise ValueError("regions overlap or are not ascending by start")
    return result


def checked_count(max_count: int) -> int:
    """Return `max_count`; ValueError unless it fits into a column of counts."""
    if not 0 <= max_count <= np.iinfo(np.uint32).max:
        raise ValueError(f"max_count {max_count} is not in 0 … 2^32-1")
    return max_count


def succeeded(result: int) -> int:
    """Return a count that C returned; raise the OSError that a negative one stands for."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
