#!/bin/bash
# Prints the path of qemu-system-x86_64; installs Debian's package first if it isn't here and we are root.
set -eu
. "$(dirname "$0")/packages.sh"
need_packages qemu-system-x86
command -v qemu-system-x86_64
