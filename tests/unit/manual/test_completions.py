"""Completion in real shells: every flag, files, words."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from memtierd.flags import COMMAND_LINE
from memtierd.manual import meme_usage, programs
from memtierd.manual.programs import Program, Value
from memtierd.prompt.commands import COMMANDS

ROOT = Path(__file__).parents[3]
COMPLETIONS = ROOT / "docs" / "completions"
MEME = programs.meme(meme_usage.parse(meme_usage.ask(ROOT / "bin" / "meme")))
PROGRAMS = [programs.memtierd(), MEME]


def run(shell: str, script: str, directory: Path = ROOT) -> str:
    """Return what a shell prints; without the shell, or a message on its standard error, the test ends."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    options = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    with tempfile.TemporaryDirectory() as home:
        ran = subprocess.run(
            [shell, *options, "-c", script],
            cwd=directory,
            env={"PATH": os.environ["PATH"], "HOME": home, "TERM": "dumb", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert ran.stderr == ""
    return ran.stdout


def in_bash(words: list[str], directory: Path = ROOT) -> list[str]:
    """Return the candidates for the last of the words, cut as bash cuts a line."""
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    script = f"""
        source '{COMPLETIONS}/{words[0]}.bash'
        COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
        _{words[0]}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return [line for line in run("bash", script, directory).splitlines() if line]


def in_fish(line: str, directory: Path = ROOT) -> list[str]:
    """Return the candidates for the end of the line."""
    name = line.split(maxsplit=1)[0]
    printed = run("fish", f"source '{COMPLETIONS}/{name}.fish'; complete -C '{line}'", directory)
    return [one.partition("\t")[0] for one in printed.splitlines()]


def in_zsh(lines: list[str], directory: Path) -> list[str]:
    """Return what each line is after a tab at its end, in one interactive shell."""
    # The widget prints the line between marks, so that nothing has to be waited for but that.
    script = f"""
        zmodload zsh/zpty
        zpty shell zsh -f -i
        show() {{ zpty -w shell "$1"; zpty -r shell answer "*<<done>>*" }}
        zpty -w shell "PROMPT=; unsetopt zle_bracketed_paste beep; fpath=('{COMPLETIONS}' \\$fpath); autoload -U compinit; compinit -u -D"
        zpty -w shell "told() {{ print -r -- \\"<<\\$BUFFER>>\\" > '{directory}/told'; BUFFER=; }}; zle -N told; bindkey '^X' told"
        zpty -w shell "stty -echo; print '<''<done>>'"
        zpty -r shell answer '*<<done>>*'
        for line in {" ".join(f"'{line}'" for line in lines)}; do
            rm -f '{directory}/told'
            zpty -n -w shell "$line"$'\\t'$'\\x18'
            for try in {{1..600}}; do
                [[ -s '{directory}/told' ]] && break
                zpty -r -t shell answer
                sleep 0.1
            done
            cat '{directory}/told'
        done
        zpty -d shell
    """  # noqa: E501  lines of the shell
    return [line.removeprefix("<<").removesuffix(">>") for line in run("zsh", script, directory).splitlines()]


def flags_of(program: Program, dashes: str) -> list[str]:
    return [f"{dashes}{flag.name}" for flag in program.flags]


def test_every_flag_has_a_value_that_suits_it() -> None:
    values = {flag.name: flag.value for flag in programs.memtierd().flags}
    assert set(values) == {flag.name for flag in COMMAND_LINE.flags} | {"h"}
    assert {name for name, value in values.items() if value is Value.NONE} == {
        flag.name for flag in COMMAND_LINE.flags if flag.kind.is_switch
    } | {"h"}
    assert {name for name, value in values.items() if value is Value.FILE} >= {"config", "f", "l", "attach", "control"}
    assert values["state"] is Value.DIRECTORY
    assert values["control-group"] is Value.GROUP
    assert {name for name, value in values.items() if value is Value.WORD} >= {"c", "format", "log"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("dashes", ["-", "--"])
def test_bash_offers_every_flag(program: Program, dashes: str) -> None:
    assert in_bash([program.name, dashes]) == flags_of(program, dashes)
    first = program.flags[0].name
    assert f"{dashes}{first}" in in_bash([program.name, f"{dashes}{first[:2]}"])


def test_bash_offers_flags_where_nothing_is_begun_and_only_flags() -> None:
    assert in_bash(["memtierd", ""]) == flags_of(PROGRAMS[0], "-")
    assert in_bash(["memtierd", "-debug", ""]) == flags_of(PROGRAMS[0], "-")
    assert in_bash(["memtierd", "conf"]) == []
    assert in_bash(["memtierd", "-nosuch"]) == []
    assert in_bash(["meme", "-bs", "1"]) == []


@pytest.mark.parametrize("flag", ["-config", "--config", "-f", "-l"])
def test_bash_completes_files(flag: str, tmp_path: Path) -> None:
    for name in ("a file.yaml", "a.yaml", "b.yaml"):
        (tmp_path / name).touch()
    assert sorted(in_bash(["memtierd", flag, "a"], tmp_path)) == ["a file.yaml", "a.yaml"]
    assert sorted(in_bash(["memtierd", flag, "=", "b"], tmp_path)) == ["b.yaml"]
    assert len(in_bash(["memtierd", flag, "="], tmp_path)) == 3


def test_bash_completes_directories_and_groups(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "story").touch()
    assert in_bash(["memtierd", "-state", "st"], tmp_path) == ["state"]
    assert "root" in in_bash(["memtierd", "-control-group", "ro"])


@pytest.mark.parametrize("words", [["-log", ""], ["--log", ""], ["-log", "="], ["-debug", "-log", ""]])
def test_bash_completes_words(words: list[str]) -> None:
    assert in_bash(["memtierd", *words]) == ["plain", "json", "journal"]


def test_bash_completes_commands_of_the_prompt() -> None:
    assert in_bash(["memtierd", "-c", ""]) == list(COMMANDS)
    assert in_bash(["memtierd", "-c", "st"]) == ["stats"]
    assert in_bash(["memtierd", "-c", '"st']) == ["stats"]
    assert in_bash(["memtierd", "-for", ""]) == []


def test_bash_registers_them() -> None:
    for program in PROGRAMS:
        printed = run("bash", f"source '{COMPLETIONS}/{program.name}.bash'; complete -p {program.name}")
        assert printed == f"complete -F _{program.name} {program.name}\n"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@pytest.mark.parametrize("dashes", ["-", "--"])
def test_fish_offers_every_flag(program: Program, dashes: str) -> None:
    assert set(in_fish(f"{program.name} {dashes}")) >= set(flags_of(program, dashes))


def test_fish_completes_values(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    (tmp_path / "astate").mkdir()
    assert set(in_fish("memtierd -log ")) == {"plain", "json", "journal"}
    assert in_fish("memtierd -c st") == ["stats"]
    assert set(in_fish("memtierd -config a", tmp_path)) == {"a.yaml", "astate/"}
    assert in_fish("memtierd -state a", tmp_path) == ["astate/"]
    assert "root" in in_fish("memtierd -control-group ro")
    assert in_fish("memtierd -for ", tmp_path) == []


def test_zsh_completes_flags_and_values(tmp_path: Path) -> None:
    (tmp_path / "only.yaml").touch()
    (tmp_path / "odd").mkdir()
    typed = {
        "memtierd -debu": "memtierd -debug ",
        "memtierd --sch": "memtierd --schema ",
        "memtierd -log jo": "memtierd -log journal ",
        "memtierd -log=js": "memtierd -log=json ",
        "memtierd -c stat": "memtierd -c stats ",
        "memtierd -config on": "memtierd -config only.yaml ",
        "memtierd -dry-run -config=on": "memtierd -dry-run -config=only.yaml ",
        "memtierd -state od": "memtierd -state odd/",
        "memtierd -for 1": "memtierd -for 1",
        "memtierd on": "memtierd on",
        "meme -vers": "meme -version ",
        "meme -bth --tt": "meme -bth --ttl=",
    }
    told = dict(zip(typed, in_zsh(list(typed), tmp_path), strict=True))
    assert told == typed
