#!/bin/bash
# Installs memtierd and its service, or removes them: scripts/install.sh install|uninstall; what `make install` runs.
#
# Variables: DESTDIR (empty), PREFIX (/usr/local), SYSCONFDIR (/etc), INTERPRETER (a Python of the same version as that
# of .venv) and SYSTEMD_VERSION (that of this machine).
set -eu
umask 022
cd "$(dirname "$0")/.."

PREFIX=${PREFIX:-/usr/local}
SYSCONFDIR=${SYSCONFDIR:-/etc}
root=${DESTDIR:-}
venv_python=.venv/bin/python

library=$root$PREFIX/lib/memtierd
units=$root$PREFIX/lib/systemd/system
share=$root$PREFIX/share/memtierd
manual=$root$PREFIX/share/man
bash_completions=$root$PREFIX/share/bash-completion/completions
zsh_completions=$root$PREFIX/share/zsh/site-functions
fish_completions=$root$PREFIX/share/fish/vendor_completions.d

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# The system's own Python where it will do: one in a home directory is out of a service's sight.
interpreter() {
    if [ -n "${INTERPRETER:-}" ]; then echo "$INTERPRETER"
    elif [ "$(version_of /usr/bin/python3)" = "$(version_of $venv_python)" ]; then echo /usr/bin/python3
    else "$venv_python" -c 'import os, sys; print(os.path.realpath(sys.executable))'; fi
}

# Without systemd here: as for an old one, which works everywhere.
systemd_version() {
    local found=${SYSTEMD_VERSION:-$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')}
    echo "${found:-252}"
}

unit() {
    sed -e "s|/usr/bin/memtierd|$PREFIX/bin/memtierd|; s|/etc/|$SYSCONFDIR/|g" systemd/memtierd.service |
        if [ "$(systemd_version)" -ge 253 ]; then
            sed -e '/^# systemd before 253/d; /^#Type=notify$/d; /^#ExecReload=/d'
        else
            sed -e '/^# systemd before 253/d; /^Type=notify-reload$/d; s/^#Type=notify$/Type=notify/; s/^#ExecReload=/ExecReload=/'
        fi
}

# Puts the library in place of an older one in one step.
install_library() {
    rm -rf "$library.new"
    "$venv_python" -IB scripts/copy-packages.py "$library.new"
    if [ "${COMPILE:-yes}" = yes ]; then
        "$(interpreter)" -m compileall -q -s "$root" "$library.new" >/dev/null
    fi
    rm -rf "$library"
    mv -T "$library.new" "$library"
}

install_program() {
    mkdir -p "$root$PREFIX/bin"
    sed "1s|.*|#!$(interpreter) -IS|" scripts/memtierd.py >"$root$PREFIX/bin/memtierd"
    chmod 755 "$root$PREFIX/bin/memtierd"
    install -m 755 bin/meme "$root$PREFIX/bin/meme"
}

# A file of the administrator: never replaced.
install_configuration() { # install_configuration NAME TARGET
    if ! [ -e "$2" ]; then
        install -D -m 644 "$share/$1" "$2"
    elif ! cmp -s "$share/$1" "$2"; then
        echo "$2: kept as it is; as it comes with this version it is in $share/$1"
    fi
}

install_documents() {
    install -D -m 644 -t "$share/schemas" schemas/memtierd.schema.json
    install -D -m 644 -t "$share/samples" sample-configs/*.yaml
    sed "s|/etc/|$SYSCONFDIR/|g; s|/usr/share/|$PREFIX/share/|g" systemd/memtierd.yaml >"$share/memtierd.yaml"
    sed "s|/etc/|$SYSCONFDIR/|g" systemd/memtierd.default >"$share/memtierd.default"
    local page
    for page in docs/man/*.[158]; do
        [ ! -e "$page" ] || install -D -m 644 -t "$manual/man${page##*.}" "$page"
    done
    for page in memtierd meme; do
        [ ! -e "docs/completions/$page.bash" ] ||
            install -D -m 644 "docs/completions/$page.bash" "$bash_completions/$page"
        [ ! -e "docs/completions/_$page" ] || install -D -m 644 -t "$zsh_completions" "docs/completions/_$page"
        [ ! -e "docs/completions/$page.fish" ] ||
            install -D -m 644 -t "$fish_completions" "docs/completions/$page.fish"
    done
}

tell_systemd() {
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
}

install_all() {
    install_library
    install_program
    install_documents
    mkdir -p "$units"
    unit >"$units/memtierd.service"
    install -m 644 -t "$units" systemd/tiered.slice
    install_configuration memtierd.yaml "$root$SYSCONFDIR/memtierd/memtierd.yaml"
    install_configuration memtierd.default "$root$SYSCONFDIR/default/memtierd"
    tell_systemd
    [ -n "$root" ] || echo "memtierd is installed; it tracks and moves nothing until $SYSCONFDIR/memtierd/memtierd.yaml is" \
        "edited. Start it with: systemctl enable --now memtierd"
}

# The configuration goes only if nobody has edited it; what was learned stays in /var/lib/memtierd.
uninstall_all() {
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then systemctl disable --now memtierd.service || true; fi
    local file
    for file in memtierd.yaml:memtierd/memtierd.yaml memtierd.default:default/memtierd; do
        if cmp -s "$share/${file%%:*}" "$root$SYSCONFDIR/${file#*:}"; then rm "$root$SYSCONFDIR/${file#*:}"; fi
    done
    rmdir "$root$SYSCONFDIR/memtierd" 2>/dev/null || true
    rm -rf "$library" "$share"
    rm -f "$root$PREFIX/bin/memtierd" "$root$PREFIX/bin/meme" "$units/memtierd.service" "$units/tiered.slice" \
        "$manual"/man8/memtierd.8 "$manual"/man5/memtierd.yaml.5 "$manual"/man1/meme.1 \
        "$bash_completions"/{memtierd,meme} "$zsh_completions"/_{memtierd,meme} "$fish_completions"/{memtierd,meme}.fish
    tell_systemd
}

case ${1:-} in
install) install_all ;;
uninstall) uninstall_all ;;
*)
    echo "scripts/install.sh: expected install or uninstall, got '${1:-}'" >&2
    exit 2 ;;
esac
