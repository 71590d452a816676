# Debian packages that the guest needs on the host; to be sourced by the other scripts.
# shellcheck shell=bash

say() { echo "tests/vm: $*" >&2; }
die() { say "$*"; exit 1; }

# is_missing PACKAGE: its command or header is not on this machine.
is_missing() {
    case $1 in
    qemu-system-x86) ! command -v qemu-system-x86_64 >/dev/null ;;
    linux-perf) ! command -v perf >/dev/null ;;
    systemd) ! [ -x /lib/systemd/systemd ] ;;
    xz-utils) ! command -v xz >/dev/null ;;
    libelf-dev) ! find /usr/include /usr/local/include -name gelf.h 2>/dev/null | grep -q . ;;
    libc6-dev) ! [ -e /usr/include/stdio.h ] ;;
    *) ! command -v "$1" >/dev/null ;;
    esac
}

# missing_packages PACKAGE…: prints those of them that are missing, on one line.
missing_packages() {
    local package missing=""
    for package in "$@"; do
        if is_missing "$package"; then missing="$missing $package"; fi
    done
    echo "${missing# }"
}

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root "$@" </dev/null
}

# need_packages PACKAGE…: installs those that are missing, or dies saying which.
need_packages() {
    local missing
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    can_install || die "missing: $missing; install them as root: apt-get install $missing"
    say "installing $missing"
    # shellcheck disable=SC2086  # one word per package
    apt_quietly install --no-install-recommends $missing >/dev/null 2>&1 ||
        { apt_quietly update && apt_quietly install --no-install-recommends $missing >/dev/null; } ||
        die "could not install: $missing"
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || die "still missing after their installation: $missing"
}
