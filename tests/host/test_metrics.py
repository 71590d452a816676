"""Metrics of a daemon that works: over HTTP and in a file, while clients misbehave."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from memtierd.daemon import Daemon
from memtierd.errors import MemtierdError
from memtierd.metrics import Exporter, TextfileWriter
from memtierd.metrics.collector import Collector
from memtierd.metrics.http_server import MAX_CLIENTS
from memtierd.model import ProcessKey
from tests.unit.regions.region_samples import facts_of, round_of, scan_of

PATIENCE_S = 60
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """A daemon that manages nothing."""
    running = Daemon()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def served(daemon: Daemon) -> Iterator[Exporter]:
    """Its metrics at a free port."""
    serving = Exporter(daemon, ":0")
    serving.start()
    yield serving
    serving.stop()


def get(serving: Exporter, path: str = "/metrics", **headers: str) -> str:
    """Return what it answers."""
    request = urllib.request.Request(f"http://{serving.address}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def samples(text: str) -> Samples:
    """Return every number by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def wait_for(what: Callable[[], Any]) -> Any:
    """Return the first true answer."""
    end = time.monotonic() + PATIENCE_S
    while not (answer := what()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return answer


def conditions(daemon: Daemon) -> list[str]:
    """Return what the metrics file is held for."""
    return [held.text for held in daemon.conditions() if held.source == "metrics file"]


def test_both_formats_are_served_and_nothing_else(served: Exporter) -> None:
    plain = samples(get(served))
    assert plain["memtierd_answering", ()] == 1
    assert plain["memtierd_node_bytes", (("node", "0"),)] > 0
    assert plain["memtierd_resident_memory_bytes", ()] > 1 << 20
    strict = get(served, Accept="application/openmetrics-text; version=1.0.0")
    families = parse_openmetrics(strict)  # type: ignore[no-untyped-call]  # typed in part
    assert "memtierd_regions" in {family.name for family in families}
    assert "/metrics" in get(served, "/")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(served, "/other")


def test_what_is_tracked_is_told_by_group(daemon: Daemon) -> None:
    facts = facts_of(pid=1 << 21)  # no process of this machine has it
    scan = round_of(scan_of(facts, 1_000, [(0, 8), (8, 8)], node_pages=[[8, 5], *[[0, 0]] * 3], swapped=[0, 3]))
    daemon.call(lambda reconciler: _observe_on(reconciler, scan))
    text = "\n".join(
        f"{sample.labels} {sample.value}"
        for measured in Collector(daemon).collect()
        if measured.family.name == "memtierd_tracked_bytes"
        for sample in measured.samples
        if sample.value
    )
    assert text.splitlines() == [
        f"('{facts.name}', 'unknown', '0') {13 * 4096}",
        f"('{facts.name}', 'unknown', 'swap') {3 * 4096}",
    ]


def _observe_on(reconciler: Any, scan: Any) -> None:
    """Take in a scan, whose columns of nodes are cut to those of this machine."""
    import attrs

    nodes = len(reconciler.node_ids)
    cut = [attrs.evolve(process, node_pages=process.node_pages[:nodes]) for process in scan.processes]
    reconciler.observe(attrs.evolve(scan, processes=tuple(cut)))


def test_a_storm_of_scrapes_asks_the_control_thread_once(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    now = [5_000_000_000]
    collector = Collector(daemon, lambda: now[0])
    ask = daemon.call

    def counted(*arguments: Any) -> Any:
        asked.append(arguments)
        return ask(*arguments)

    monkeypatch.setattr(daemon, "call", counted)
    first = collector.collect()
    for _ in range(100):
        assert collector.collect() is first
    once = len(asked)
    now[0] += 1_000_000_000
    assert collector.collect() is not first
    assert len(asked) == 2 * once


def test_a_control_thread_that_does_not_answer_is_told(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memtierd.metrics.collector._ANSWER_S", 0.05)
    go_on = threading.Event()
    daemon.control.tell(lambda _: go_on.wait(PATIENCE_S))
    try:
        families = {measured.family.name: measured for measured in Collector(daemon).collect()}
    finally:
        go_on.set()
    assert families["memtierd_answering"].samples[0].value == 0
    assert "memtierd_regions" not in families
    assert families["memtierd_node_bytes"].samples


def test_slow_clients_hold_up_neither_others_nor_the_end(served: Exporter) -> None:
    place = (served.address.host, served.address.port)
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        for _ in range(3 * MAX_CLIENTS):
            client = stack.enter_context(socket.create_connection(place, timeout=PATIENCE_S))
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")  # and no more
        assert samples(get(served))["memtierd_answering", ()] == 1
        wait_for(lambda: threading.active_count() - before <= MAX_CLIENTS)
        served.stop()
        wait_for(lambda: threading.active_count() < before)
    served.stop()


def test_a_client_that_goes_away_or_talks_nonsense_is_no_matter(
    served: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    place = (served.address.host, served.address.port)
    for said in (
        b"",
        b"\0\xff\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\n\r\n",
        b"x" * 99999,
    ):
        with contextlib.suppress(ConnectionError), socket.create_connection(place, timeout=PATIENCE_S) as client:
            client.sendall(said)
    assert samples(get(served))["memtierd_answering", ()] == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_nothing_is_left_of_a_hundred_scrapes(served: Exporter, daemon: Daemon) -> None:
    get(served)
    wait_for(lambda: threading.active_count() <= 4)
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        get(served)
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= files)


def test_a_port_that_is_taken(served: Exporter, daemon: Daemon) -> None:
    other = Exporter(daemon, f":{served.address.port}")
    with pytest.raises(MemtierdError, match=r"serve metrics at 127\.0\.0\.1:[0-9]+: .*\(EADDRINUSE\); another program"):
        other.start()
    other.stop()


def test_an_address_that_is_not_ours(daemon: Daemon) -> None:
    with pytest.raises(MemtierdError, match=r"\(EADDRNOTAVAIL\); this machine has no such address"):
        Exporter(daemon, "192.0.2.1:0").start()


def test_the_port_is_free_again_at_once(daemon: Daemon) -> None:
    first = Exporter(daemon, ":0")
    first.start()
    first.start()
    port = first.address.port
    get(first)
    first.stop()
    second = Exporter(daemon, f"localhost:{port}")
    second.start()
    assert "memtierd_build_info" in get(second)
    second.stop()


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_addresses_of_six(daemon: Daemon) -> None:
    serving = Exporter(daemon, "[::1]:0")
    try:
        serving.start()
    except MemtierdError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    assert "memtierd_build_info" in get(serving)
    serving.stop()


def test_without_prometheus_client_it_is_said_how_to_get_it(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "memtierd.metrics.client_registry", raising=False)
    with pytest.raises(MemtierdError, match=r"pip install 'memtierd\[metrics\]', or .* -metrics-file FILE\.prom"):
        Exporter(daemon, ":0").start()


def test_the_file_is_written_again_and_again_and_removed_in_the_end(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "memtierd.prom"
    writer = TextfileWriter(daemon, str(path), interval_s=0.02)
    writer.start()
    writer.start()
    first = samples(path.read_text())["memtierd_collected_timestamp_seconds", ()]
    wait_for(lambda: samples(path.read_text())["memtierd_collected_timestamp_seconds", ()] > first)
    daemon.control.count("configuration reload")
    wait_for(lambda: samples(path.read_text())["memtierd_config_reloads_total", (("result", "good"),)] == 1)
    writer.stop()
    writer.stop()
    assert os.listdir(tmp_path) == []


def test_a_file_that_can_t_be_written_is_a_condition(daemon: Daemon, tmp_path: Path) -> None:
    directory = tmp_path / "textfiles"
    writer = TextfileWriter(daemon, str(directory / "memtierd.prom"), interval_s=0.02)
    writer.start()
    assert "give -metrics-file a path in a directory that exists" in wait_for(lambda: conditions(daemon))[0]
    directory.mkdir()
    wait_for(lambda: not conditions(daemon))
    (directory / "memtierd.prom").unlink()
    directory.rename(tmp_path / "elsewhere")
    assert "ENOENT" in wait_for(lambda: conditions(daemon))[0]
    (tmp_path / "elsewhere").rename(directory)
    wait_for(lambda: not conditions(daemon))
    assert (directory / "memtierd.prom").exists()
    writer.stop()


CONFIG = "policy: {name: stub}\n"


def test_a_service_has_both_and_logs_as_it_was_told(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    path, log = tmp_path / "memtierd.prom", tmp_path / "log"
    flags = ["-metrics", "127.0.0.1:0", "-metrics-file", str(path), "-log", "json", "-l", str(log)]
    environment = os.environ | {"MEMTIERD_CONTROL": str(tmp_path / "control.sock")}
    command = [sys.executable, "-m", "memtierd", "-config", str(tmp_path / "c.yaml"), *flags]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: path.exists() or process.poll() is not None)
            address = wait_for(lambda: re.search(r"metrics at (http://127\.0\.0\.1:[0-9]+/metrics)", log.read_text()))[
                1
            ]
            with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
                served = samples(answer.read().decode())
            assert {name for name, _ in served} >= {name for name, _ in samples(path.read_text())} - {
                "memtierd_threads"
            }
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    assert not path.exists()
    assert all(line.startswith('{"time": "') for line in log.read_text().splitlines())


def test_keys_of_processes_are_no_labels(daemon: Daemon) -> None:
    key = ProcessKey(1 << 21, 1)
    daemon.call(lambda reconciler: _observe_on(reconciler, round_of(scan_of(facts_of(key.pid), 1, [(0, 8)]))))
    labels = {
        label for measured in Collector(daemon).collect() for sample in measured.samples for label in sample.labels
    }
    assert str(key.pid) not in labels
