"""policy: choosing, configuring, and dumps of access times and heat."""

import pytest

from memtierd import policies
from memtierd.model import ProcessKey
from memtierd.policies.age import AgeParams
from memtierd.policies.heat import HeatmapParams, HeatParams
from tests.unit.prompt.prompt_fakes import FakeDaemon, Prompt, process_scan, scan

SEED = (
    "policy -create age -config "
    '{"Tracker":{"Name":"softdirty","Config":"{\\"PagesInRegion\\":256,\\"MaxCountPerRegion\\":1,'
    '\\"ScanIntervalMs\\":4000,\\"RegionsUpdateMs\\":0,\\"SkipPageProb\\":0,\\"PagemapReadahead\\":0}"},'
    '"Mover":{"IntervalMs":20,"Bandwidth":200},"Cgroups":["/sys/fs/cgroup/foobar"],"IntervalMs":5000,'
    '"IdleDurationMs":15000,"IdleNumas":[2,3],"ActiveDurationMs":10000,"ActiveNumas":[0,1]} -start'
)
NONE = "policy: no policy, create one with: policy -create NAME"


def age_params(daemon: FakeDaemon) -> AgeParams:
    assert isinstance(daemon.policy_params, AgeParams)
    return daemon.policy_params


def test_the_example_of_the_documentation_works_as_written(prompt: Prompt, daemon: FakeDaemon) -> None:
    assert prompt.good(SEED) == "policy created\n"
    params = age_params(daemon)
    assert daemon.policy_running
    assert params.tracker is not None
    assert params.tracker.params.pages_in_region == 256
    assert (params.idle_duration_ms, params.active_numas) == (15000, (0, 1))
    assert params.pidwatcher is not None
    assert params.pidwatcher.params.cgroups == ("/sys/fs/cgroup/foobar",)


def test_it_works_in_single_quotes_too(prompt: Prompt, daemon: FakeDaemon) -> None:
    line = SEED.replace("{", "'{", 1)
    assert prompt.good(line[: line.rindex("}") + 1] + "'" + line[line.rindex("}") + 1 :]) == "policy created\n"
    assert age_params(daemon).idle_numas == (2, 3)


@pytest.mark.parametrize("flags", ["-start", "-stop", "-config {}", "-config-dump", "-dump accessed 0,0"])
def test_nothing_works_without_a_policy(prompt: Prompt, flags: str) -> None:
    assert prompt.bad(f"policy {flags}") == NONE


def test_steering(prompt: Prompt, daemon: FakeDaemon) -> None:
    assert set(prompt.good("policy -ls").split()) >= {"age", "heat"}
    assert prompt.bad("policy", status=2) == "policy: nothing to do; policy -h lists the flags"
    prompt.good("policy -create age")
    assert prompt.bad("policy -config-dump").startswith("policy: the policy age is not configured")
    prompt.good("policy -config 'pids: [42]' -start")
    assert '"Pids":[42]' in prompt.good("policy -config-dump")
    assert prompt.good("policy -stop") == "policy stopped\n"
    assert not daemon.policy_running


def test_wrong_configurations_say_everything_and_start_nothing(prompt: Prompt, daemon: FakeDaemon) -> None:
    status, _, err = prompt.run('policy -create age -config {"Pids":[42],"foo":1,"IntervalMs":-5} -start')
    assert status == 1
    assert len(err.splitlines()) == 2
    assert not daemon.policy_running


def test_time_since_last_access(prompt: Prompt, daemon: FakeDaemon) -> None:
    observe_two_processes(daemon)
    assert prompt.good("policy -create age -dump accessed 0,5s,30s,0 42") == (
        "policy created\n"
        "table: time since last access\n"
        "     pid lastaccs>=[s] lastaccs<[s]    pages   mem[G] pidmem[%]\n"
        "      42         0.000        5.000      512    0.002     25.00\n"
        "      42         5.000       30.000     1536    0.006     75.00\n"
        "      42        30.000        0.000        0    0.000      0.00\n"
    )


def observe_two_processes(daemon: FakeDaemon) -> None:
    """Let the prompt's clock be 10 s; regions were used at 9 s, or not since 1 s."""
    other = ProcessKey(43, 1)
    daemon.reconciler.observe(scan(process_scan([0] * 4, 1), process_scan([0], 1, other)))
    daemon.reconciler.observe(scan(process_scan([7, 0, 0, 0], 9), process_scan([0], 9, other)))


@pytest.fixture(autouse=True)
def ten_seconds(prompt: Prompt) -> None:
    prompt.now_s = 10


def test_several_processes_have_a_sum(prompt: Prompt, daemon: FakeDaemon) -> None:
    observe_two_processes(daemon)
    prompt.good("policy -create age")
    rows = [line.split() for line in prompt.good("policy -dump accessed 0,0").splitlines()[2:]]
    assert [(row[0], row[3], row[5]) for row in rows] == [
        ("all", "2560", "100.00"),
        ("42", "2048", "100.00"),
        ("43", "512", "100.00"),
    ]


def test_limits_from_the_configuration_ascend(prompt: Prompt, daemon: FakeDaemon) -> None:
    observe_two_processes(daemon)
    prompt.good("policy -create age -config {Pids: [42], IdleDurationMs: 15000, ActiveDurationMs: 10000}")
    lines = prompt.good("policy -dump accessed").splitlines()
    assert lines[0] == "using limits from configuration: active 10000 ms, idle 15000 ms, swapout 0 ms"
    limits = [line.split()[1:3] for line in lines[3:] if line.split()[0] == "42"]
    assert limits == [["0.000", "10.000"], ["10.000", "15.000"], ["15.000", "0.000"]]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("accessed 5s", 1, "-dump accessed: at least two times are needed, such as 0,10s or 10s,0"),
        ("accessed 0,x", 1, "-dump accessed: invalid duration 'x', expected a number and a unit"),
        ("accessed 0,5,1,0", 1, "-dump accessed: the times 0,5,1,0 don't ascend"),
        ("accessed 0,0,5", 1, "-dump accessed: the times 0,0,5 don't ascend"),
        ("accessed 0,0 abc", 1, "-dump accessed: invalid pid 'abc'"),
        ("accessed 0,0 42,999", 1, "-dump accessed: not tracked: pid 999"),
        ("heatmap", 1, "-dump heatmap: the policy keeps no heat"),
        ("bogus", 2, "unknown -dump 'bogus', expected accessed, heatmap"),
    ],
)
def test_wrong_dumps(prompt: Prompt, daemon: FakeDaemon, words: str, status: int, said: str) -> None:
    observe_two_processes(daemon)
    prompt.good("policy -create age -config {Pids: [42]}")
    assert prompt.bad(f"policy -dump {words}", status).startswith(f"policy: {said}")


def test_dump_alone_explains_itself(prompt: Prompt) -> None:
    prompt.good("policy -create age")
    assert prompt.good("policy -dump").startswith("policy -dump accessed ")


def test_heat(prompt: Prompt, daemon: FakeDaemon) -> None:
    params = HeatParams(heatmap=HeatmapParams(heat_classes=4, heat_max=0.01), heat_numas={0: (1,)})
    daemon.reconciler.set_policy(policies.build(params))
    daemon.policy_name, daemon.policy_params = "heat", params
    daemon.reconciler.observe(scan(process_scan([0, 0], 1)))
    daemon.reconciler.observe(scan(process_scan([512, 2], 2)))
    assert prompt.good("policy -dump heatmap") == (
        "heatmap:\n"
        "pid: 42: 0 {7f0000000000-7f0000200000(512),0.010000} (class 3)\n"
        "pid: 42: 1 {7f0000200000-7f0000400000(512),0.003906} (class 1)\n"
    )
    assert prompt.good("policy -dump heatgram 2") == (
        "table: maximum heat in heatmaps\n"
        "     pid  maxHeat\n"
        "      42   0.0100\n"
        "\n"
        "table: memory in heat classes\n"
        "     pid class pidmem[%] totmem[%]    mem[G]\n"
        "      42     0     50.00     50.00     0.002\n"
        "      42     1     50.00     50.00     0.002\n"
    )
    assert len(prompt.good("policy -dump heatgram").splitlines()) == 10
    assert prompt.bad("policy -dump heatgram 0").endswith("expected a number of classes from 1 to 240")
    assert prompt.bad("policy -dump accessed").startswith("policy: -dump accessed: only the age policy has durations")


def test_the_forecaster_of_the_heat_policy(prompt: Prompt, daemon: FakeDaemon) -> None:
    prompt.good("policy -create heat -config {Pids: [42]}")
    assert prompt.good("policy -dump forecast") == "no forecaster\n"
    prompt.good("policy -config {Pids: [42], Forecaster: {Name: trace, Config: {File: /x}}}")
    assert prompt.good("policy -dump forecast") == '{"Name":"trace","Config":{"File":"/x","HideHeatZero":false}}\n'


def test_the_dry_run_is_switched_and_told_without_a_policy_too(prompt: Prompt, daemon: FakeDaemon) -> None:
    assert prompt.good("policy -dry-run") == "dry run: off\n"
    assert prompt.good("policy -dry-run on") == ""
    assert daemon.dry_run
    assert prompt.good("policy -dry-run") == "dry run: on\n"
    assert prompt.good("policy -dry-run -ls").startswith("age\n")
    assert "as a dry run" in prompt.good("health")
    assert prompt.good("policy -dry-run=off") == ""
    assert not daemon.dry_run
    for wrong in ("policy -dry-run=maybe", "policy -dry-run maybe"):
        assert prompt.bad(wrong, status=2).startswith("policy: flag -dry-run: unknown dry run 'maybe'")
