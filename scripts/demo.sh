#!/bin/bash
# The main job in about a minute: a process with a busy and an idle part, and memtierd at work on it.
set -eu
cd "$(dirname "$0")/.."

memtierd=.venv/bin/memtierd
work=$(mktemp -d)
meme_pid=

cleanup() {
    [ -z "$meme_pid" ] || kill -KILL "$meme_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }

# Nodes with memory, and whether there is swap space: what memtierd can do here.
nodes=$(sed 's/-/ /; s/,/ /g' /sys/devices/system/node/has_memory 2>/dev/null || echo 0)
first=${nodes%% *} last=${nodes##* }
swap=$(awk 'NR > 1 { used = 1 } END { print used + 0 }' /proc/swaps)
dry_run=
if [ "$first" != "$last" ]; then
    goal="memory idle for 8 s to node $last, memory in steady use for 6 s to node $first"
    places="idledurationms: 8000, idlenumas: [$last], activedurationms: 6000, activenumas: [$first]"
else
    goal="memory idle for 8 s to swap"
    places="idledurationms: 8000, activedurationms: 6000, swapoutms: 8000"
    [ "$swap" = 1 ] || dry_run=-dry-run
fi
if [ "$(id -u)" != 0 ]; then
    echo "make demo: run it as root; memtierd reads and moves other processes' pages" >&2
    exit 1
fi

say "What this machine can do (memtierd -check)"
"$memtierd" -check

say "A process with 128 MB in constant use and 128 MB that nobody uses: meme -bs 128M -bc 2 -brc 1 -bwc 1"
bin/meme -bs 128M -bc 2 -brc 1 -bwc 1 -bri 100ms -bwi 100ms </dev/null >"$work/meme.log" &
meme_pid=$!
sleep 1
grep array: "$work/meme.log"

cat >"$work/demo.yaml" <<END
policy:
  name: age
  config: {
    intervalms: 2000, pids: [$meme_pid], $places,
    tracker: {name: auto, config: {scanintervalms: 2000, regionsupdatems: 2000}}
  }
END

say "memtierd -config demo.yaml $dry_run: $goal"
if [ -n "$dry_run" ]; then
    echo "This machine has one memory node and no swap space, so there is nowhere to move memory to:"
    echo "this is a DRY RUN. It shows the plan, and why it can't be carried out here."
fi
sed 's/^/    /' "$work/demo.yaml"

# Of each array the largest region, or three: on most kernels a region is a part of an array, with the referenced tracker all of it.
mapfile -t arrays < <(sed -n 's/.*array: \([0-9a-f-]*\) .*/\1/p' "$work/meme.log")
look() {
    echo "# the busy array, then the idle one"
    echo "regions -pid $meme_pid -ranges ${arrays[0]} -top 3"
    echo "regions -pid $meme_pid -ranges ${arrays[1]} -top 3"
}
commands() {
    sleep 5
    look
    sleep 6
    look
    echo "plan -pid $meme_pid"
    sleep 4
    echo "# the process is stopped now: all of its memory falls idle"
    kill -STOP "$meme_pid"
    sleep 12
    look
    echo "plan -pid $meme_pid"
    echo "# and it goes on"
    kill -CONT "$meme_pid"
    sleep 12
    look
    echo "regions -why ${arrays[0]%-*}"
    echo "policy -dump accessed 0,4s,8s,30s,0"
    echo stats
}
# shellcheck disable=SC2086  # an empty dry_run is no argument
commands | "$memtierd" -config "$work/demo.yaml" $dry_run -prompt -echo -l -

say "Where the pages of the process are now (/proc/$meme_pid/numa_maps and status)"
awk 'BEGIN { RS = " "; FS = "=" } /^N[0-9]+=/ { mb[$1] += $2 * 4 / 1024 } END { for (n in mb) printf "%s %.0f MB\n", n, mb[n] }' "/proc/$meme_pid/numa_maps"
grep -E 'VmRSS|VmSwap' "/proc/$meme_pid/status"
