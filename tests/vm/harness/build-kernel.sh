#!/bin/bash
# Prints the path of the test guest's kernel; builds it first if it isn't in the cache.
#
#   build-kernel.sh           build when needed (minutes), print the path of bzImage
#   build-kernel.sh --check   print on one line what a build would do; exit 1 if it can't be done
#
# The source is Debian's linux-source package, so the kernel needs no other download. The cache's key is the version
# of that package and a hash of kernel.fragment. MEMTIERD_VM_KERNEL=PATH skips all of it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packages.sh"

wanted=linux-source-6.12
cache=${MEMTIERD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memtierd}
log=$cache/kernel-build.log
build_packages="gcc libc6-dev make flex bison bc libelf-dev xz-utils"

candidate() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

newest_source() { apt-cache pkgnames linux-source-6. 2>/dev/null | grep -x 'linux-source-[0-9.]*' | sort -V | tail -n 1; }

# Sets `package` and `version`; fails when apt knows no source.
find_source() {
    package=$wanted
    version=$(candidate "$package")
    [ -z "$version" ] || return 0
    package=$(newest_source)
    [ -n "$package" ] && version=$(candidate "$package") && [ -n "$version" ]
}

# Sets `kernel`, the directory in the cache that holds, or is to hold, the kernel of `version`.
name_kernel() { kernel=$cache/kernel-$version-$(sha256sum "$here/kernel.fragment" | cut -c 1-12); }

fetch_source() {
    say "fetching $package $version"
    (cd "$work" && apt_quietly download "$package=$version")
    dpkg-deb -x "$work"/*.deb "$work/package"
    mkdir "$work/source"
    find "$work/package/usr/src" -type f -name 'linux-source-*.tar.*' -exec tar -C "$work/source" --strip-components=1 -xf {} \;
    rm -r "$work/package" "$work"/*.deb
}

configure() {
    make -s -C "$work/source" O="$work/out" tinyconfig &&
        (cd "$work/out" && ../source/scripts/kconfig/merge_config.sh -m -O . .config "$here/kernel.fragment") &&
        make -s -C "$work/out" olddefconfig
}

warn_of_refused_options() {
    grep -E '^(CONFIG_|# CONFIG_)' "$here/kernel.fragment" | while read -r option; do
        case $option in
        *"is not set") name=${option#\# }; name=${name%% *}
            ! grep -q "^$name=" "$1" || say "warning: option did not take: $option" ;;
        *) grep -qxF "$option" "$1" || say "warning: option did not take: $option" ;;
        esac
    done
}

# The finished kernel appears under its name in one step, so that nobody ever sees half of it.
publish() {
    mkdir "$work/kernel"
    cp "$work/out/arch/x86/boot/bzImage" "$work/kernel/bzImage"
    cp "$work/out/.config" "$work/kernel/config"
    mv -T "$work/kernel" "$kernel"
}

build() {
    export KBUILD_BUILD_USER=memtierd KBUILD_BUILD_HOST=memtierd KBUILD_BUILD_TIMESTAMP=2026-01-01
    # shellcheck disable=SC2086  # one word per package
    need_packages $build_packages
    rm -rf "$cache"/build.??????  # left behind by a build that was killed: we hold the lock
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    fetch_source
    [ "$package" = "$wanted" ] || say "$wanted is not available here: using $package"
    say "building the guest's kernel, once, about 5 minutes on 2 CPUs (log: $log)"
    configure >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "kernel configuration failed, see $log"; }
    warn_of_refused_options "$work/out/.config"
    make -s -C "$work/out" -j"$(nproc)" bzImage >>"$log" 2>&1 || { tail -n 20 "$log" >&2; die "kernel build failed, see $log"; }
    publish
}

check() {
    if [ -n "${MEMTIERD_VM_KERNEL:-}" ]; then
        [ -r "$MEMTIERD_VM_KERNEL" ] && echo "kernel $MEMTIERD_VM_KERNEL" && return
        echo "kernel $MEMTIERD_VM_KERNEL (MEMTIERD_VM_KERNEL) can't be read"
        return 1
    fi
    if ! find_source; then echo "no kernel: apt knows no linux-source-6 package (apt-get update?)"; return 1; fi
    name_kernel
    # shellcheck disable=SC2086  # one word per package
    missing=$(missing_packages $build_packages)
    if [ -f "$kernel/bzImage" ]; then echo "kernel $version cached"
    elif [ -n "$missing" ] && ! can_install; then echo "no kernel: building it needs $missing"; return 1
    else echo "kernel $version can be built from $package (minutes)"; fi
}

main() {
    if [ -n "${MEMTIERD_VM_KERNEL:-}" ]; then
        [ -r "$MEMTIERD_VM_KERNEL" ] || die "MEMTIERD_VM_KERNEL: can't read $MEMTIERD_VM_KERNEL"
        echo "$MEMTIERD_VM_KERNEL"
        return
    fi
    if ! find_source && can_install; then apt_quietly update; fi
    find_source || die "apt knows no linux-source-6 package; add Debian's sources and run apt-get update, or set MEMTIERD_VM_KERNEL to a bzImage"
    name_kernel
    if ! [ -f "$kernel/bzImage" ]; then
        mkdir -p "$cache"
        exec 9>"$cache/kernel.lock"
        flock 9
        [ -f "$kernel/bzImage" ] || build
    fi
    echo "$kernel/bzImage"
}

case ${1:-} in
--check) check ;;
"") main ;;
*) die "build-kernel.sh: unknown argument: $1" ;;
esac
