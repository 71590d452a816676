"""Which forecast a decision waits for, and which ones are dropped."""

from collections import Counter

import pytest

from memtierd.forecasters import Answer, Forecast, Heats
from memtierd.forecasters.desk import LATE, ForecastDesk
from memtierd.regions.history import HeatDecay
from memtierd.regions.processes import ProcessTable
from memtierd.regions.table import RegionTable
from tests.unit.forecasters.forecast_samples import heats_of_pages
from tests.unit.forecasters.test_forecaster_heats import FACTS, two_processes
from tests.unit.regions.region_samples import BASE

HOT = heats_of_pages((BASE, 4, 0.9), key=FACTS[0].key)


class FakePort:
    def __init__(self) -> None:
        self.asked: list[tuple[int, Heats]] = []
        self.is_busy = False

    def ask(self, number: int, heats: Heats) -> bool:
        if not self.is_busy:
            self.asked.append((number, heats))
        return not self.is_busy


class Stage:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.desk = ForecastDesk(lambda event: self.counts.update([event]))
        self.port = FakePort()
        self.desk.use(self.port)
        self.table, self.processes = two_processes()

    def asks(self) -> bool:
        return self.desk.asks(self.table, self.processes, 100, 1_000_000_000)

    def heat(self) -> float | None:
        """Return the forecast for the first region, None without one."""
        column = self.desk.column(self.table, self.processes, HeatDecay(1.0, 0.5))
        return None if column is None else float(column[0])


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_decision_waits_for_the_answer_and_uses_it(stage: Stage) -> None:
    assert stage.asks()
    assert stage.heat() is None
    ((number, heats),) = stage.port.asked
    assert [len(one.start) for one in heats.values()] == [2, 1]
    assert stage.desk.takes(Forecast(number, Answer(HOT)))
    assert stage.heat() == pytest.approx(0.9)
    assert stage.counts == {"forecast.used": 1}
    assert stage.asks()
    assert stage.heat() is None  # the old one says nothing of now


def test_no_opinion_lets_it_decide_by_its_own_heat(stage: Stage) -> None:
    assert stage.asks()
    assert stage.desk.takes(Forecast(1, Answer(None, ("it has ended",), 2)))
    assert stage.heat() is None
    assert stage.desk.problems == ("it has ended",)
    assert stage.counts == {"forecast.none": 1, "forecast.failed": 2}


def test_after_an_interval_it_decides_without_and_drops_the_late_answer(stage: Stage) -> None:
    assert stage.asks()
    assert not stage.asks()
    assert stage.desk.problems == (LATE,)
    assert not stage.desk.takes(Forecast(1, Answer(HOT)))
    assert stage.heat() is None
    assert stage.counts == {"forecast.late": 1, "forecast.dropped": 1}
    assert stage.asks()
    assert [number for number, _ in stage.port.asked] == [1, 2]
    assert stage.desk.takes(Forecast(2, Answer(HOT)))
    assert not stage.desk.problems


def test_a_busy_forecaster_is_not_waited_for(stage: Stage) -> None:
    stage.port.is_busy = True
    assert not stage.asks()
    assert stage.counts == {"forecast.busy": 1}


def test_another_forecaster_gets_no_answers_of_the_one_before(stage: Stage) -> None:
    assert stage.asks()
    stage.desk.use(FakePort())
    assert not stage.desk.takes(Forecast(1, Answer(HOT)))
    assert stage.asks()
    assert not stage.desk.takes(Forecast(1, Answer(HOT)))
    stage.desk.use(None)
    assert not stage.asks()
    assert stage.heat() is None


def test_nothing_to_forecast_is_not_asked_for() -> None:
    desk, port = ForecastDesk(lambda _event: None), FakePort()
    desk.use(port)
    assert not desk.asks(RegionTable(4), ProcessTable(), 0, 0)
    assert port.asked == []
