"""Parameters of the heat forecasters."""

from collections.abc import Iterator

import attrs

from memtierd.parameters import FieldProblem, Part, option, part


def _check_some_words(words: tuple[str, ...]) -> str | None:
    return None if words and words[0] else "a list with a program and its arguments"


def _check_stderr(target: str) -> str | None:
    is_good = not target or (target.startswith("file:") and len(target) > len("file:"))
    return None if is_good else "file: and a path, such as file:/tmp/forecaster.log, or nothing"


@attrs.frozen(kw_only=True)
class StubForecasterParams:
    """No parameters: the forecaster has no opinion."""


@attrs.frozen(kw_only=True)
class TraceParams:
    """Parameters of the trace forecaster, which writes heats to a file and forecasts nothing."""

    file: str = option(
        doc="The file that heats are appended to.", check=lambda path: None if path else "the path of a file"
    )
    hide_heat_zero: bool = option(False, doc="Leave out regions without heat.")


@attrs.frozen(kw_only=True)
class StdioParams:
    """Parameters of the stdio forecaster, a program that reads a line of heats and writes a line of forecasts."""

    command: tuple[str, ...] = option(doc="The program and its arguments.", check=_check_some_words)
    stderr: str = option(
        "",
        doc="Where its standard error goes: file: and a path to append to; empty: memtierd's.",
        check=_check_stderr,
    )
    timeout_ms: int = option(
        1000,
        doc="It is killed when it takes longer for an answer; keep this below intervalms.",
        unit="ms",
        at_least=1,
        at_most=1_000_000_000,
    )
    retry: int = option(
        3, doc="How often it is started again after failures in a row; then it is off.", at_least=0, at_most=1_000_000
    )
    retry_ms: int = option(
        1000, doc="Wait before it is started again, doubled at each failure in a row.", unit="ms", at_least=1
    )


@attrs.frozen(kw_only=True)
class ChainParams:
    """Parameters of the chain forecaster, whose members forecast one after the other."""

    forecasters: tuple[Part, ...] = part("forecaster", doc="Each gets what the one before has forecast.", many=True)

    def problems(self) -> Iterator[FieldProblem]:
        """Yield that there is no member."""
        if not self.forecasters:
            yield FieldProblem("forecasters", "at least one forecaster")
