"""memtierd.linux and the watchers against the kernel that runs the tests."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtierd import watchers
from memtierd.errors import KernelError, ProcessGoneError
from memtierd.linux import cgroup, numa, pidfd, proc
from memtierd.linux.probe import probe
from memtierd.linux.roots import ROOTS
from memtierd.model import ProcessKey
from memtierd.watchers import CgroupsParams, PidlistParams, ProcParams
from tests.unit.linux.fake_kernel import KTHREAD

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that sleeps until the test ends."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def group() -> Iterator[Path]:
    """A new control group of version 2 with one below it."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    mounted = [fields[1] for fields in mounts if fields[2] == "cgroup2"]
    if not mounted:
        pytest.skip("no cgroup v2 is mounted")
    directory = Path(mounted[0]) / f"memtierd-test-{os.getpid()}"
    try:
        (directory / "below").mkdir(parents=True)
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    yield directory
    # A killed process leaves its group only when it has been waited for, a moment after which rmdir succeeds.
    for path in (directory / "below", directory):
        for _ in range(100):
            try:
                path.rmdir()
                break
            except OSError:
                time.sleep(0.01)


def _ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_own_process() -> None:
    pid = os.getpid()
    key = proc.process_key(pid)
    facts = proc.process_facts(key)
    assert facts.key == key
    assert facts.allowed_nodes
    assert facts.running_node in (*numa.machine_facts().node_ids, -1)
    assert proc.exe(pid) == os.readlink("/proc/self/exe")
    status = proc.status(pid)
    assert status.vm_size_kb > status.vm_rss_kb > 0
    assert status.tgid == pid
    assert pid in proc.pids()


def test_own_mappings() -> None:
    mappings = proc.maps(os.getpid())
    assert [mapping.start for mapping in mappings] == sorted(mapping.start for mapping in mappings)
    assert all(mapping.start < mapping.end for mapping in mappings)
    tracked = {mapping.path for mapping in mappings if mapping.is_tracked}
    assert {"[stack]", ""} <= tracked
    assert not tracked & {"[vdso]", "[vvar]", "[vsyscall]"}
    uses = proc.smaps(os.getpid())
    assert sum(use.rss_kb for use in uses) > 0
    assert proc.private_dirty_kb(os.getpid()) > 0


def test_a_process_that_has_ended_is_gone() -> None:
    pid = _ended_pid()
    for read in (proc.process_key, proc.status, proc.maps, proc.smaps, proc.private_dirty_kb, proc.exe):
        with pytest.raises(ProcessGoneError):
            read(pid)
    with pytest.raises(ProcessGoneError):
        proc.clear_refs(pid, proc.CLEAR_REFERENCED)
    with pytest.raises(ProcessGoneError):
        pidfd.open_pidfd(ProcessKey(pid, 1))


def test_a_zombie_has_no_mappings_and_is_not_watched(sleeper: "subprocess.Popen[bytes]") -> None:
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not proc.stat(sleeper.pid).has_memory
    assert proc.maps(sleeper.pid) == []
    assert proc.exe(sleeper.pid) is None
    with pytest.raises(ProcessGoneError):
        proc.private_dirty_kb(sleeper.pid)
    watcher = watchers.build("pidlist", PidlistParams(pids=(sleeper.pid,)), own_pid=os.getpid())
    assert watcher.poll() == frozenset()


def test_kernel_threads_are_known() -> None:
    threads = [
        pid for pid in proc.pids() if int(Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[6]) & KTHREAD
    ]
    if not threads:
        pytest.skip("this pid namespace has no kernel threads")
    assert proc.status(threads[0]).kernel_thread
    assert proc.exe(threads[0]) is None
    assert proc.maps(threads[0]) == []


def test_pidfd(sleeper: "subprocess.Popen[bytes]") -> None:
    key = proc.process_key(sleeper.pid)
    descriptor = pidfd.open_pidfd(key)
    try:
        assert pidfd.is_alive(descriptor)
        assert pidfd.ended([descriptor]) == frozenset()
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert pidfd.ended([descriptor]) == {descriptor}
        assert not pidfd.is_alive(descriptor)
    finally:
        os.close(descriptor)


def test_pidfd_of_an_earlier_process_with_the_same_pid(sleeper: "subprocess.Popen[bytes]") -> None:
    key = proc.process_key(sleeper.pid)
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ProcessGoneError):
        pidfd.open_pidfd(ProcessKey(key.pid, key.start_ticks - 1))
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.root
@needs_root
def test_a_cgroup_with_one_below(group: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    watcher = watchers.build("cgroups", CgroupsParams(cgroups=(str(group),)), own_pid=os.getpid())
    assert watcher.poll() == frozenset()
    assert watcher.conditions() == ()
    (group / "below" / "cgroup.procs").write_text(str(sleeper.pid))
    assert watcher.poll() == {proc.process_key(sleeper.pid)}
    sleeper.kill()
    sleeper.wait()
    assert watcher.poll() == frozenset()


@pytest.mark.root
@needs_root
def test_a_threaded_cgroup(group: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    below = group / "below"
    (group / "cgroup.procs").write_text(str(sleeper.pid))
    (below / "cgroup.type").write_text("threaded")
    (below / "cgroup.threads").write_text(str(sleeper.pid))
    assert cgroup.pids_below(str(below)).pids == {sleeper.pid}
    assert cgroup.pids_below(str(group)) == cgroup.Listing(frozenset({sleeper.pid}), groups=2, missing=False)


@pytest.mark.root
@needs_root
def test_a_cgroup_that_is_removed(group: Path) -> None:
    directory = group / "below"
    watcher = watchers.build("cgroups", CgroupsParams(cgroups=(str(directory),)), own_pid=os.getpid())
    directory.rmdir()
    assert watcher.poll() == frozenset()
    assert len(watcher.conditions()) == 1


def test_the_proc_watcher_finds_children_and_not_itself(sleeper: "subprocess.Popen[bytes]") -> None:
    watcher = watchers.build("proc", ProcParams(), own_pid=os.getpid())
    keys = watcher.poll()
    assert proc.process_key(sleeper.pid) in keys
    assert os.getpid() not in {key.pid for key in keys}


def test_machine() -> None:
    facts = numa.machine_facts()
    assert facts.nodes
    for node in facts.nodes:
        assert node.total_pages >= node.free_pages > 0
        assert min(node.distances.values()) == node.distances[node.node]
    blocks = numa.node_map(ROOTS, facts.node_ids)
    assert set(blocks.index_of_block.tolist()) - {-1} == set(range(len(facts.nodes)))


def test_probe_agrees_with_the_files() -> None:
    features = probe()
    assert features.works("numa") == (len(numa.machine_facts().nodes) > 1)
    assert features.works("idlepage") == os.access("/sys/kernel/mm/page_idle/bitmap", os.R_OK | os.W_OK)
    assert features.works("kpageflags") == os.access("/proc/kpageflags", os.R_OK)
    assert all("\n" not in feature.detail and feature.detail for feature in features.features)


@pytest.mark.root
@needs_root
def test_root_sees_page_frames() -> None:
    assert probe().works("pagemap_pfn")


@pytest.mark.root
@needs_root
def test_without_permission_the_message_says_what_to_do(sleeper: "subprocess.Popen[bytes]") -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            proc.maps(sleeper.pid)
        except KernelError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        assert pipe.read().endswith("(EACCES); run as root")
