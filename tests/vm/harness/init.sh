#!/bin/sh
# The guest's first process: makes the file systems, runs one command, reports its exit status, powers off.
#
# The kernel command line sets VM_DIR, a directory of the host's /tmp with two files: `settings` (shell variables
# for this script) and `command` (what to run). Everything up to "cd" happens on the host's /, which is read-only.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t tmpfs -o size=50% tmpfs /run
# settings: VM_PYTHON, VM_HARNESS, VM_TICK_MS, VM_SHARED (0/1), VM_CONSOLE (0/1), VM_ROWS, VM_COLUMNS
. "$VM_DIR/settings"

# A root file system that can be written: what is written goes to memory and is gone afterwards.
mkdir /run/upper /run/work /run/root
mount -t overlay -o lowerdir=/,upperdir=/run/upper,workdir=/run/work,xino=off,index=off,metacopy=off overlay /run/root
cd /run/root || exit
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t debugfs debugfs sys/kernel/debug
mount -t tracefs tracefs sys/kernel/tracing
mkdir -m 1777 run/tmp
echo guest >proc/sys/kernel/hostname
if [ "$VM_SHARED" = 1 ]; then
    mkdir run/share
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none share run/share
fi
ln -sf /proc/self/fd dev/fd
ln -sf /proc/self/fd/0 dev/stdin
ln -sf /proc/self/fd/1 dev/stdout
ln -sf /proc/self/fd/2 dev/stderr

# The host's ends of these ports are its standard output, its standard error, and the reader of the exit status.
for port in sys/class/virtio-ports/vport*; do
    read -r name <"$port/name" && ln -sf "${port##*/}" "dev/vm-$name"
done

# Child cgroups get every controller there is.
for controller in $(cat sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >sys/fs/cgroup/cgroup.subtree_control
done

# 0x8914 is SIOCSIFFLAGS, 0x49 is UP, LOOPBACK and RUNNING: for hosts without iproute2.
chroot . ip link set lo up 2>/dev/null || chroot . "$VM_PYTHON" -SE -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))'

[ "$VM_TICK_MS" = 0 ] || chroot . "$VM_PYTHON" -SE "$VM_HARNESS/tick.py" "$VM_TICK_MS" &

if [ "$VM_CONSOLE" = 1 ]; then
    # A session of its own with the console as its terminal gives job control. The console forgets its size
    # when its last user closes it, so the size is set inside.
    export VM_ROWS VM_COLUMNS
    chroot . setsid --ctty --wait /bin/sh -c 'stty rows "$VM_ROWS" cols "$VM_COLUMNS"; exec /bin/sh "$VM_DIR/command"' \
        <dev/hvc0 >dev/hvc0 2>&1
else
    chroot . /bin/sh "$VM_DIR/command" </dev/null >dev/vm-out 2>dev/vm-err
fi
echo $? >dev/vm-status
# With QEMU's -no-reboot, a reboot ends the machine.
echo b >proc/sysrq-trigger
sleep 60
