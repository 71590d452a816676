#!/bin/bash
# Builds the Debian package of memtierd from this tree: dist/memtierd_VERSION_ARCHITECTURE.deb; what `make deb` runs.
#
# The packages of Python that Debian has are too old, so those of .venv come along; numpy among them is tied to this
# version of Python, and so to this release of Debian.
#
# Variables: OUTPUT, a directory (dist); COMPRESSION (xz).
set -eu
umask 022
cd "$(dirname "$0")/.."

python=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next_python=$(.venv/bin/python -c 'import sys; print("3.%d" % (sys.version_info[1] + 1))')
libc=$(ldd --version | sed -n '1s/.* //p')
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' memtierd/__init__.py)
architecture=$(dpkg --print-architecture)
maintainer="The authors of memtierd <memtierd@example.org>"
output=${OUTPUT:-dist}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# Byte code is made where the package is installed.
DESTDIR=$root PREFIX=/usr SYSCONFDIR=/etc INTERPRETER=/usr/bin/python3 COMPILE=no scripts/install.sh install
# Our own only: libraries that were put into Python's packages with patchelf don't load any more when they are stripped.
strip --strip-unneeded "$root"/usr/lib/memtierd/memtierd/native/*.so
strip "$root/usr/bin/meme"
if [ -d "$root/usr/share/man" ]; then find "$root/usr/share/man" -type f -exec gzip -9n {} +; fi

documents=$root/usr/share/doc/memtierd
install -D -m 644 scripts/deb/copyright "$documents/copyright"
install -D -m 644 scripts/deb/lintian-overrides "$root/usr/share/lintian/overrides/memtierd"
gzip -9n <CHANGELOG.md >"$documents/CHANGELOG.md.gz"
gzip -9n >"$documents/changelog.gz" <<END
memtierd ($version) unstable; urgency=medium

  * See CHANGELOG.md.gz.

 -- $maintainer  $(LC_ALL=C date -u -R -r CHANGELOG.md)
END

mkdir "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "scripts/deb/$script" "$root/DEBIAN/$script"; done
printf '%s\n' /etc/default/memtierd /etc/memtierd/memtierd.yaml >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
cat >"$root/DEBIAN/control" <<END
Package: memtierd
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: libc6 (>= $libc), python3 (>= $python), python3 (<< $next_python)
Recommends: systemd
Section: admin
Priority: optional
Description: memory tiering: hot memory to fast NUMA nodes, idle memory to slow ones
 memtierd watches processes, learns which of their memory is used, and puts each
 part where it belongs: memory in use on fast NUMA nodes, idle memory on slow
 ones or in swap, within a bandwidth that is set.
 .
 The service is installed and not started. Its first configuration moves
 nothing.
END

mkdir -p "$output"
package=$output/memtierd_${version}_$architecture.deb
dpkg-deb --root-owner-group "-Z${COMPRESSION:-xz}" --build "$root" "$package" >/dev/null
echo "$package"
