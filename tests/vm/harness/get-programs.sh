#!/bin/bash
# Makes sure that programs that single tests run are on the host, and so in the guest: bpftrace and perf, which the damon
# tracker's connections run, and systemd. Where they are missing and we can't install them, that is said, and their tests
# are skipped.
set -eu
. "$(dirname "$0")/packages.sh"
programs="bpftrace linux-perf systemd"
# shellcheck disable=SC2086  # one word per package
missing=$(missing_packages $programs)
if [ -z "$missing" ]; then exit 0
elif can_install; then need_packages $missing
else say "missing: $missing; tests with them are skipped. To install them as root: apt-get install $missing"; fi
