#!/bin/bash
# Makes sure that the programs that the damon tracker's connections run, bpftrace and perf, are on the host, and so in
# the guest. Where they are missing and we can't install them, that is said, and their tests are skipped.
set -eu
. "$(dirname "$0")/packages.sh"
tracers="bpftrace linux-perf"
# shellcheck disable=SC2086  # one word per package
missing=$(missing_packages $tracers)
if [ -z "$missing" ]; then exit 0
elif can_install; then need_packages $missing
else say "missing: $missing; tests with them are skipped. To install them as root: apt-get install $missing"; fi
