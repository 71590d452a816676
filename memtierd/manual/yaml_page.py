"""memtierd.yaml(5): every parameter of a configuration file."""

import textwrap
from collections.abc import Iterable
from typing import Any

from memtierd import __version__
from memtierd.config import REGISTRIES
from memtierd.config.descriptions import DESCRIPTIONS
from memtierd.config.files import DROP_IN_SUFFIX
from memtierd.config.keys import Field, key_of
from memtierd.config.loader import Config
from memtierd.config.mappings import fields_by_key
from memtierd.config.places import MAX_BYTES
from memtierd.manual.notes import NOTES
from memtierd.manual.roff import Page, bold, escaped, marked
from memtierd.manual.values import inner_class, value_words
from memtierd.parameters import option_of
from memtierd.policies.common import PolicyParams

EXAMPLES = (
    (
        "Works on any kernel: the memory of all processes in a cgroup that was not used for a minute is swapped out,"
        " 50 MB a second at most, unless tasks have to wait for memory.",
        """\
        policy:
          name: age
          config:
            cgroups: [/sys/fs/cgroup/track-me]
            swapoutms: 60000
            maxpressure: {}
            mover: {bandwidth: 50}
        """,
    ),
    (
        "By heat, in four classes: the hottest memory of one program to nodes 0 and 1, the coldest to nodes 2 and 3.",
        """\
        policy:
          name: heat
          config:
            pidwatcher:
              name: filter
              config:
                source: {name: proc}
                filters:
                  - procexeregexp: /postgres$
                    minvmrsskb: 65536
            heatmap: {heatmax: 0.01, heatretention: 0.8, heatclasses: 4}
            heatnumas:
              0: [2, 3]
              3: [0, 1]
            tracker:
              name: idlepage
              config: {pagesinregion: 256, maxcountperregion: 0}
        """,
    ),
    (
        "No policy, only a routine: a line with the memory moved so far to a file every minute.",
        """\
        routines:
          - name: statactions
            config:
              intervalms: 60000
              intervalcommandrunner: memtier-prompt
              intervalcommand: ["stats -t events -f csv >> /var/log/memtierd-events.csv"]
        """,
    ),
)
"""What each shows, and the file."""

_SECTIONS = {
    "tracker": ("TRACKERS", "How it is found out which memory is used, and where it is."),
    "pidwatcher": ("PIDWATCHERS", "Which processes are managed. memtierd never manages itself."),
    "mover": ("MOVER", "How fast memory is moved, and how."),
    "routine": ("ROUTINES", "Commands that run beside the policy, or without one. A dry run starts none."),
    "forecaster": ("FORECASTERS", "How hot memory is going to be, for the heat policy."),
}


def page() -> str:
    """Return the page."""
    out = Page("memtierd.yaml", 5, f"memtierd {__version__}", "File Formats")
    out.section("NAME")
    out.paragraph(escaped("memtierd.yaml - configuration of memtierd"))
    _describe(out)
    out.section("FILE")
    _parameters(out, Config)
    _policies(out)
    for kind, (title, text) in _SECTIONS.items():
        out.section(title)
        out.paragraph(marked(text))
        registry = REGISTRIES[kind]
        if isinstance(registry, type):
            _parameters(out, registry)
        else:
            _parts(out, kind, registry)
    _close(out)
    return out.text


def _describe(out: Page) -> None:
    out.section("DESCRIPTION")
    for text in (
        "The file that `memtierd -config` _FILE_ reads is YAML 1.2, or JSON, in UTF-8,"
        f" at most {MAX_BYTES >> 10} KiB long. It says what is managed and how (`policy`), and which commands run"
        " beside that (`routines`).",
        "A policy, tracker, pidwatcher, routine or forecaster is written as a mapping with its `name` and, in `config`,"
        " its parameters. `config` is a mapping, or a text that holds one in YAML or JSON. Parameters that are missing"
        " have their defaults.",
        "Keys are read without regard to case, and `_` and `-` in them mean nothing: `idledurationms`,"
        " `IdleDurationMs` and `idle-duration-ms` are one. Unknown keys, keys given twice, values of a wrong type or"
        " out of bounds are errors. `yes`, `on`, `0x10` and `010` are texts.",
        "A file with any error is refused as a whole, and every error is told with file, line and column."
        " `memtierd -config` _FILE_ `-check` checks a file and runs nothing; `-plan` shows what it would move.",
    ):
        out.paragraph(marked(text))
    _describe_changes(out)
    out.subsection("Editors")
    out.paragraph(
        marked(
            "`memtierd -schema` prints the JSON Schema of this format, with every description and bound. Editors with"
            " a YAML language server take it from a comment in the file, which all samples have:"
        )
    )
    out.example(["# yaml-language-server: $schema=/usr/share/memtierd/schemas/memtierd.schema.json"])


def _describe_changes(out: Page) -> None:
    out.subsection("Several files")
    out.paragraph(
        marked(
            f"The files `*{DROP_IN_SUFFIX}` in the directory that is named as the file, with `.d` for its suffix"
            " (`memtierd.d` beside `memtierd.yaml`), are merged into it, in the order of their names. Mappings are"
            " merged key by key; lists and values of later files replace those before them; a part that gets another"
            " name loses the parameters it had."
        )
    )
    out.subsection("Changes while memtierd runs")
    out.paragraph(
        marked(
            "The files are watched. A change is taken in at once, or on `SIGHUP`, or with `config -reload` at the"
            " prompt, in one step between two decisions, and what was learned of memory is kept. A file with an error"
            " changes nothing: what ran before runs on, and the log and `health` tell every error."
        )
    )


def _policies(out: Page) -> None:
    registry = REGISTRIES["policy"]
    assert not isinstance(registry, type)
    common = fields_by_key(PolicyParams)
    out.section("POLICIES")
    out.paragraph(
        marked(
            "A policy says where memory belongs. A list of nodes means that any of them is right; when memory has to"
            " move, the one that its process may use, that is nearest to it and has room is chosen. `auto` in place of"
            " a list stands for the nodes of the fastest memory tier (for active memory), or of all others (for idle"
            " memory)."
        )
    )
    out.subsection("Parameters of all policies")
    out.paragraph(
        marked(
            "One of `pidwatcher`, `cgroups` and `pids` must be given, and only one; the policy `stub` has none of"
            " them, and no tracker."
        )
    )
    _parameters(out, PolicyParams)
    for name, cls in sorted(registry.items()):
        out.subsection(f"Policy {name}")
        _explain(out, "policy", name)
        if issubclass(cls, PolicyParams) and cls.watches:
            out.paragraph(marked(f"The tracker, when none is given, is `{cls.default_tracker}`."))
        _fields(out, [field for key, field in fields_by_key(cls).items() if key not in common])


def _explain(out: Page, kind: str, name: str) -> None:
    out.paragraph(escaped(DESCRIPTIONS[kind][name]))
    for text in NOTES.get((kind, name), ()):
        out.paragraph(marked(text))


def _parts(out: Page, kind: str, registry: Any) -> None:
    for name, cls in sorted(registry.items()):
        out.subsection(f"{kind.capitalize()} {name}")
        _explain(out, kind, name)
        _parameters(out, cls)


def _parameters(out: Page, cls: type[Any]) -> None:
    _fields(out, fields_by_key(cls).values())


def _fields(out: Page, fields: Iterable[Field], around: tuple[type[Any], ...] = ()) -> None:
    """Add an entry for every parameter, with those inside of it below; a class within itself is not told again."""
    for field in fields:
        out.entry(bold(key_of(field.name)), escaped(option_of(field).doc), escaped(value_words(field)))
        inner = inner_class(field)
        if inner is not None and inner not in around:
            out.indented()
            _fields(out, fields_by_key(inner).values(), (*around, inner))
            out.back()


def _close(out: Page) -> None:
    out.section("EXAMPLES")
    for text, file in EXAMPLES:
        out.paragraph(marked(text))
        out.example(textwrap.dedent(file).splitlines())
    out.section("FILES")
    for path, text in (
        ("/etc/memtierd/memtierd.yaml", "What the service runs by; as it is installed it moves nothing."),
        ("/etc/memtierd/memtierd.d/*.yaml", "What is merged into that."),
        ("/usr/share/memtierd/samples", "Samples of every policy; make install has /usr/local for /usr."),
    ):
        out.entry(bold(path), escaped(text))
    out.section("SEE ALSO")
    out.paragraph(f"{bold('memtierd')}(8), {bold('meme')}(1)")
