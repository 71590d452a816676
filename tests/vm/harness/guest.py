"""What a guest is made of: QEMU's command line and the files that its init reads. Nothing here runs anything."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .topology import Node, format_topology, qemu_arguments

HARNESS = Path(__file__).resolve().parent
SHARE_IN_GUEST = "/run/share"
TMPDIR_IN_GUEST = "/run/tmp"

# Variables that go into the guest as they are here; all that begin with MEMTIERD_ do too.
PASSED_VARIABLES = frozenset(
    ("CI", "HOME", "LANG", "LC_ALL", "PATH", "PYTEST_ADDOPTS", "PYTHONPATH", "SHELL", "TERM", "VIRTUAL_ENV")
)


@dataclass(frozen=True)
class Guest:
    """A machine and how it is run; `share` is a directory of the host that the guest may write."""

    nodes: tuple[Node, ...]
    slow: frozenset[int] = frozenset()
    tick_ms: int = 10
    share: Path | None = None
    interactive: bool = False
    accel: str = "tcg,thread=multi"
    kernel_arguments: str = ""
    qemu_arguments: tuple[str, ...] = ()


def guest_environment(guest: Guest, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of the command in the guest, made from those on the host."""
    passed = {
        name: value
        for name, value in environment.items()
        if name in PASSED_VARIABLES or (name.startswith("MEMTIERD_") and not name.startswith("MEMTIERD_VM"))
    }
    passed |= {
        "MEMTIERD_IN_GUEST": "1",
        "MEMTIERD_VM_TOPOLOGY": format_topology(guest.nodes),
        "MEMTIERD_VM_SLOW": ",".join(map(str, sorted(guest.slow))),
        "PYTHONUNBUFFERED": "1",  # the output ports are no terminals, and progress should be seen
        "TMPDIR": TMPDIR_IN_GUEST,
    }
    if guest.share is not None:
        passed["MEMTIERD_VM_SHARE"] = SHARE_IN_GUEST
    return passed


def command_script(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    """The shell script that the guest runs."""
    lines = ["unset VM_DIR VM_ROWS VM_COLUMNS OLDPWD"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines += [f"cd {shlex.quote(str(directory))} || exit 125", f"exec {shlex.join(command)}"]
    return "\n".join(lines) + "\n"


def settings_script(guest: Guest, python: str, rows: int, columns: int) -> str:
    """The shell variables that init.sh reads."""
    settings = {
        "VM_PYTHON": python,
        "VM_HARNESS": str(HARNESS),
        "VM_TICK_MS": str(guest.tick_ms),
        "VM_SHARED": str(int(guest.share is not None)),
        "VM_CONSOLE": str(int(guest.interactive)),
        "VM_ROWS": str(rows),
        "VM_COLUMNS": str(columns),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def qemu_command(guest: Guest, qemu: str, kernel: str, directory: Path, ports: Mapping[str, int]) -> list[str]:
    """The whole command line.

    `directory` holds `init`, `settings` and `command`, and gets the kernel's log in `console`; `ports` maps the
    names of output ports in the guest to open file descriptors here.
    """
    command = [qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-machine", "q35,usb=off,vmport=off" + (",hmat=on" if guest.slow else "")]
    command += ["-accel", guest.accel, "-cpu", "max"]
    command += qemu_arguments(guest.nodes, guest.slow)
    command += ["-kernel", kernel, "-append", _kernel_arguments(guest, directory)]
    command += _shared_directory("root", Path("/"), "readonly=on")
    if guest.share is not None:
        command += _shared_directory("share", guest.share)
    command += ["-serial", f"file:{directory}/console", "-device", "virtio-serial-pci"]
    if guest.interactive:
        # signal=off: Ctrl-C belongs to the guest.
        command += ["-chardev", "stdio,id=terminal,signal=off", "-device", "virtconsole,chardev=terminal"]
    for number, (name, descriptor) in enumerate(ports.items(), 1):
        command += ["-add-fd", f"fd={descriptor},set={number}"]
        command += ["-chardev", f"file,id={name},path=/dev/fdset/{number},append=on"]
        command += ["-device", f"virtserialport,chardev={name},name={name}"]
    return command + list(guest.qemu_arguments)


def _shared_directory(tag: str, path: Path, *options: str) -> list[str]:
    """A directory of the host over 9p; remap keeps inode numbers apart where it spans several file systems."""
    source = ",".join((f"local,id={tag},path={path}", "security_model=none", "multidevs=remap", *options))
    return ["-fsdev", source, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]


def _kernel_arguments(guest: Guest, directory: Path) -> str:
    return " ".join(
        (
            "root=root rootfstype=9p ro",
            "rootflags=trans=virtio,version=9p2000.L,msize=512000,cache=loose",
            # A name=value that the kernel doesn't know is an environment variable of init.
            f"init={directory}/init VM_DIR={directory}",
            "console=ttyS0 quiet loglevel=4",
            "panic=-1",  # at once: with -no-reboot a panic ends QEMU
            # Boots faster: no waiting for entropy, no calibrating of emulated clocks.
            "random.trust_cpu=on nokaslr tsc=reliable lpj=1000000",
            guest.kernel_arguments,
        )
    )
