#!/bin/sh
# Install the shells and formatters that tests of completions and manual pages use; without them these tests are skipped.
set -eu

missing=
for program in fish groff mandoc zsh; do
    command -v "$program" >/dev/null || missing="$missing $program"
done

[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, so the tests that need them are skipped:$missing"
    exit 0
fi
echo "installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # a list of packages
apt-get install -y -qq --no-install-recommends $missing >/dev/null
