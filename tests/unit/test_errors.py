"""Errors are one line that says what was tried, what the kernel said and what to do."""

import errno
import inspect

import pytest

from memtierd import errors
from memtierd.errors import ConfigError, KernelError, MemtierdError, ProcessGoneError, errno_name, from_oserror


def test_a_kernel_error_has_what_was_tried_what_was_said_and_what_to_do() -> None:
    error = KernelError("move 512 pages of pid 4242 to node 2", errno.EPERM, "run as root")
    tried, said = str(error).split(": ", 1)
    assert tried == error.tried == "move 512 pages of pid 4242 to node 2"
    assert said.startswith("operation not permitted (EPERM)")
    assert said.endswith("; run as root")
    assert error.errno == errno.EPERM


def test_without_advice_there_is_none() -> None:
    assert str(KernelError("open x", errno.ENOENT)) == "open x: no such file or directory (ENOENT)"


def test_a_process_that_is_gone_has_its_own_error() -> None:
    error = ProcessGoneError("read /proc/7/stat")
    assert error.errno == errno.ESRCH
    assert "(ESRCH)" in str(error)


@pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT, errno.EBUSY, errno.ENOSYS])
def test_an_oserror_is_translated(code: int) -> None:
    error = from_oserror("scan pid 7", OSError(code, "as the C library says it"), "look there")
    assert type(error) is KernelError
    assert (error.tried, error.errno) == ("scan pid 7", code)
    assert str(error).endswith(f"({errno.errorcode[code]}); look there")


def test_an_oserror_of_a_vanished_process_is_that_it_is_gone() -> None:
    assert type(from_oserror("scan pid 7", OSError(errno.ESRCH, "x"), "advice is of no use")) is ProcessGoneError


def test_an_oserror_without_a_number() -> None:
    assert from_oserror("scan pid 7", OSError("no number")).errno == 0


@pytest.mark.parametrize(("code", "name"), [(errno.EINVAL, "EINVAL"), (errno.ESRCH, "ESRCH"), (99999, "99999")])
def test_names_of_errnos(code: int, name: str) -> None:
    assert errno_name(code) == name


def test_a_config_error_keeps_every_problem() -> None:
    error = ConfigError(["a.yaml:1:2: x", "a.yaml:3:4: y"])
    assert error.problems == ["a.yaml:1:2: x", "a.yaml:3:4: y"]
    assert str(error).splitlines() == error.problems


def test_all_errors_are_caught_as_one() -> None:
    found = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(found) >= 7
    assert all(issubclass(c, MemtierdError) for c in found)
    assert all(c.__doc__ for c in found)
