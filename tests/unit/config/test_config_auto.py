"""The word auto where a list of nodes can stand."""

import pytest

from memtierd import config
from memtierd.errors import ConfigError
from memtierd.model import Auto

AGE = "{{pids: [1], idlenumas: {idle}}}"


@pytest.mark.parametrize(("text", "value"), [("auto", Auto.AUTO), ("[2, 3]", (2, 3)), ("[]", ())])
def test_nodes_may_be_named_or_found(text: str, value: object) -> None:
    params = config.structure("policy", "age", AGE.format(idle=text), "x")
    assert params.idle_numas == value


def test_auto_is_dumped_as_it_is_written() -> None:
    assert '"IdleNumas":"auto"' in config.dump_json(config.structure("policy", "age", AGE.format(idle="auto"), "x"))


@pytest.mark.parametrize("text", ["fast", "2", "{}", "[auto]", "[1, 1]", "[2000]", "true"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config.structure("policy", "age", AGE.format(idle=text), "x")
    assert "idlenumas" in str(raised.value)


def test_the_message_names_auto() -> None:
    with pytest.raises(ConfigError, match="or auto"):
        config.structure("policy", "age", AGE.format(idle="fast"), "x")
