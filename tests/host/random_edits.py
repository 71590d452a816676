"""Random edits of a configuration file, valid and invalid, made from the declarations of all parameters."""

import random
import shutil
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from memtierd.config import REGISTRIES
from memtierd.config.files import drop_in_directory
from memtierd.config.keys import key_of
from memtierd.config.mappings import fields_by_key
from memtierd.config.plain import yaml_text
from memtierd.parameters import KIND_KEY, Option, option_of

TRACKERS = ("referenced", "finder", "multi", "auto", "softdirty", "idlepage", "stub")
"""What works on some machines only is refused on the others, which is an edit that changes nothing, too."""
POLICIES = ("age", "age", "heat", "heat", "ratio", "avoid-oom", "demote-idle", "stub")
_LEFT_OUT = {
    "cgroups",  # short forms beside a pidwatcher
    "pids",
    "reportaccesses",  # accesses that nobody has seen
    "pagemapbitexclusive",  # other pages are no regions
    "pagemapbitpresent",
    "pagemapbitsoftdirty",
    "pagesofinterestdir",  # needs files, or programs
    "trackreferenced",
    "forecaster",
}
_DROP_INS = (
    "policy: {config: {intervalms: 77}}",
    "policy: {config: {mover: {bandwidth: 9}}}",
    "# nothing",
    "{",
    "policy: 1",
)
_INTERVALS_MS = (15, 40, 100, 1000, 60_000)

Plain = dict[str, Any]


class RandomEdits:
    """Writes one edit after the other to a configuration file; the same seed makes the same edits."""

    def __init__(self, seed: int, path: Path, pids: Sequence[int]) -> None:
        self._random = random.Random(seed)
        self._path = path
        self._drop_ins = Path(drop_in_directory(str(path)))
        self._pids = list(pids)
        tracker = {"name": "referenced", "config": {"scanintervalms": 40}}
        config = {"pidwatcher": _pidlist(self._pids, 40), "tracker": tracker}
        self._plain: Plain = {"policy": {"name": "age", "config": config}}
        self.write(yaml_text(self._plain))

    def write(self, text: str) -> None:
        """Write the file itself."""
        self._path.write_text(text)

    def edit(self) -> None:
        """Make one edit: most are valid, some break the file, and the next one mends it."""
        self._path.unlink(missing_ok=True)
        self._change()
        text = yaml_text(self._plain)
        breaking = self._random.random()
        if breaking < 0.7:
            self.write(text)
        elif breaking < 0.75:
            self.write(text[: self._random.randrange(len(text))])
        elif breaking < 0.8:
            self.write(text.replace(": ", self._random.choice((" ", ": ]", ":\t")), self._random.randint(1, 3)))
        elif breaking < 0.9:
            self.write(self._with_wrong_value())
        elif breaking < 0.95:
            self._path.write_bytes(text.encode() + b"# \xff\n")
        # else it is missing
        self._edit_drop_ins()

    def _change(self) -> None:
        kind = self._random.random()
        if kind < 0.15:
            self._plain |= self._policy(self._random.choice(POLICIES))
        elif kind < 0.25:
            self._plain["routines"] = [self._routine() for _ in range(self._random.randint(0, 2))]
            if not self._plain["routines"]:
                del self._plain["routines"]
        elif kind < 0.28 and "routines" in self._plain:
            self._plain.pop("policy", None)
        elif "policy" not in self._plain:
            self._plain |= self._policy("age")
        else:
            self._change_policy(self._plain["policy"])

    def _change_policy(self, policy: Plain) -> None:
        fields = fields_by_key(_registry("policy")[policy["name"]])
        key = self._random.choice(sorted(set(fields) - _LEFT_OUT))
        config = policy.setdefault("config", {})
        if key == "pidwatcher":
            config[key] = self._pidwatcher()
        elif key == "tracker":
            config[key] = self._tracker(self._random.choice(TRACKERS))
        else:
            config[key] = self._value(fields[key])

    def _policy(self, name: str) -> Plain:
        if name == "stub":
            return {"policy": {"name": name}}
        config: Plain = {
            "intervalms": self._random.choice(_INTERVALS_MS),
            "pidwatcher": self._pidwatcher(),
            "tracker": self._tracker(self._random.choice(TRACKERS[:4])),
        }
        needed: dict[str, Plain] = {
            "ratio": {"ratio": 0.5, "ratiotargets": [0]},
            "demote-idle": {"idlenumas": [0]},
        }
        config |= needed.get(name, {})
        return {"policy": {"name": name, "config": config}}

    def _pidwatcher(self) -> Plain:
        pids = self._random.choice((self._pids, self._pids, self._pids[:1], self._pids[1:]))
        inner = _pidlist(pids, self._random.choice(_INTERVALS_MS))
        if self._random.random() < 0.7:
            return inner
        limit = self._random.choice((0, 1, 10_000_000))
        return {"name": "filter", "config": {"source": inner, "filters": [{"minvmrsskb": limit}]}}

    def _tracker(self, name: str) -> Plain:
        config = self._params(_registry("tracker")[name], 0.7)
        config.pop("trackers", None)
        if name == "multi":
            config["trackers"] = [self._tracker("referenced"), self._tracker("finder")]
        elif name != "stub":
            config["scanintervalms"] = self._random.choice(_INTERVALS_MS)
        return {"name": name, "config": config}

    def _routine(self) -> Plain:
        config = {"intervalms": self._random.choice((50, 1000)), "intervalcommand": [self._random.choice("ab")]}
        return {"name": "statactions", "config": config | {"intervalcommandrunner": "memtier"}}

    def _params(self, cls: type[Any], portion: float) -> Plain:
        """Return values for a portion of the fields of a class of parameters."""
        return {
            key: self._value(field)
            for key, field in fields_by_key(cls).items()
            if key not in _LEFT_OUT and self._random.random() < portion
        }

    def _value(self, field: Any) -> Any:
        if field.metadata.get(KIND_KEY) == "mover":
            return self._params(REGISTRIES["mover"], 0.7)  # type: ignore[arg-type]
        return self._of_type(field.type, option_of(field), key_of(field.name))

    def _of_type(self, wanted: Any, option: Option, key: str) -> Any:
        arguments = [one for one in typing.get_args(wanted) if one not in (types.NoneType, Ellipsis)]
        if typing.get_origin(wanted) is tuple:
            return self._random.sample(range(4), self._random.randint(0, 2)) if option.unit == "node" else []
        if typing.get_origin(wanted) is dict:
            return {}
        if arguments:
            return self._of_type(self._random.choice(arguments), option, key)
        if isinstance(wanted, type) and attrs.has(wanted):
            return self._params(wanted, 0.5)
        texts = option.choices or (("1%", "20%", "64M") if key.endswith("memory") else ("",))
        leaves: dict[Any, Callable[[], Any]] = {
            bool: lambda: self._random.random() < 0.5,
            str: lambda: self._random.choice(texts),
            int: lambda: int(self._number(option)),
            float: lambda: self._number(option),
        }
        return leaves.get(wanted, lambda: "auto")()

    def _number(self, option: Option) -> float:
        low, high = option.bounds
        least, most = 0 if low is None else low, 1_000_000 if high is None else high
        numbers = (*_INTERVALS_MS, least, most) if option.unit == "ms" else (1, 2, 3, 64, 500, least)
        return min(max(self._random.choice(numbers), least), most)

    def _with_wrong_value(self) -> str:
        text = yaml_text(self._plain)
        lines = text.splitlines()
        number = self._random.randrange(len(lines))
        key, colon, _ = lines[number].partition(":")
        if colon:
            wrong = self._random.choice(("bogus", "-7", "[[]]", "{a: 1}", "1.5", "true", "99999999999999999"))
            lines[number] = f"{key}: {wrong}"
        return "\n".join(lines) + "\n"

    def _edit_drop_ins(self) -> None:
        if self._random.random() < 0.15:
            shutil.rmtree(self._drop_ins, ignore_errors=True)
        if self._random.random() < 0.15:
            self._drop_ins.mkdir(exist_ok=True)
            name = self._random.choice(("10-a.yaml", "20-b.yaml", "no.txt"))
            (self._drop_ins / name).write_text(self._random.choice(_DROP_INS))


def _pidlist(pids: Sequence[int], interval_ms: int) -> Plain:
    return {"name": "pidlist", "config": {"pids": list(pids), "intervalms": interval_ms}}


def _registry(kind: str) -> Mapping[str, type[Any]]:
    registry = REGISTRIES[kind]
    assert isinstance(registry, Mapping)
    return registry
