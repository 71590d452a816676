#!/bin/bash
# Guest tests: a small Linux with NUMA nodes on an emulated machine. See help below, and README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/harness/packages.sh"

help() {
    cat <<'END'
usage: tests/vm/run.sh COMMAND

  help                          this text
  check                         say whether guests can run here (exit status 0 or 1)
  kernel                        build the guest's kernel unless it is in the cache, print its path
  run [OPTIONS] -- CMD [ARG…]   run a command in a guest; its output and exit status are passed on
  pytest [OPTIONS] [ARG…]       run pytest in a guest, on tests/vm unless the arguments name something else
  interactive [OPTIONS]         a shell in a guest; `exit` powers it off

Options, or else environment variables:
  -t, --topology JSON    topology                the NUMA nodes: "cores" and "mem" (M or G) are of each node, "nodes" is
                                                 how many of them there are; default
                                                 [{"cores": 1, "mem": "1G", "nodes": 2}, {"cores": 0, "mem": "1G", "nodes": 2}]
  -T, --time-limit S     MEMTIERD_VM_TIME_LIMIT  seconds from start to end; default 300 for run, 1800 for pytest
      --slow N[,N…]      MEMTIERD_VM_SLOW        these nodes are in a lower memory tier
      --tick MS          MEMTIERD_VM_TICK_MS     see "accessed bits" in README.md; default 10, 0 for none
      --share DIR        MEMTIERD_VM_SHARE       a directory of the host that the guest may write, there $MEMTIERD_VM_SHARE
      --accel ACCEL      MEMTIERD_VM_ACCEL       QEMU's accelerator; default tcg,thread=multi
      --kernel-arg ARG                           one more kernel argument (may be repeated)
      --qemu-arg=ARG                             one more QEMU argument (may be repeated)
                         MEMTIERD_VM_KERNEL      a bzImage to use instead of building one
                         MEMTIERD_CACHE          where kernels are kept; default ~/.cache/memtierd

Exit status of run, pytest and interactive: that of the command; 2 for a wrong option, 124 when the time limit has passed, 125 when
the guest died or could not be made.

  tests/vm/run.sh run -- cat /sys/devices/system/node/online
  tests/vm/run.sh pytest -T 600 -k idle -x
  topology='[{"cores": 2, "mem": "4G", "nodes": 2}, {"cores": 0, "mem": "2G", "nodes": 2}]' tests/vm/run.sh interactive
END
}

# The project's own Python when there is one. sys.executable looks through shims, which are slow in the guest.
python() {
    local candidate=$here/../../.venv/bin/python
    [ -x "$candidate" ] || candidate=python3
    "$candidate" -c 'import sys; print(sys.executable)'
}

check() {
    local qemu kernel
    [ "$(uname -m)" = x86_64 ] || { echo "guest tests cannot run here: they need x86_64, this is $(uname -m)"; return 1; }
    if ! is_missing qemu-system-x86; then qemu="QEMU installed"
    elif can_install; then qemu="QEMU can be installed (qemu-system-x86)"
    else echo "guest tests cannot run here: no qemu-system-x86_64, and only root can install it"; return 1; fi
    kernel=$("$here/harness/build-kernel.sh" --check) || { echo "guest tests cannot run here: $kernel"; return 1; }
    echo "guest tests can run here: $qemu, $kernel"
}

case ${1:-} in
help | -h | --help) help ;;
check) check ;;
kernel) exec "$here/harness/build-kernel.sh" ;;
run | pytest | interactive)
    interpreter=$(python)
    # -P: the current directory may hold another package of the same name.
    PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} exec "$interpreter" -P -m harness "$@" ;;
*)
    echo "tests/vm/run.sh: expected help, check, kernel, run, pytest or interactive, got '${1:-}'" >&2
    exit 2 ;;
esac
