"""`make install` and `make deb` into directories of the test: what is there, that it works, and what is left alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/install.sh"
UNIT = "lib/systemd/system/memtierd.service"

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv/bin/python").exists() or not (ROOT / "bin/meme").exists(),
    reason="the installation takes what make has built: .venv and bin/meme",
)


def install(root: Path, action: str = "install", **variables: str) -> str:
    """Install below `root` and return what was printed; without byte code, which takes seconds."""
    environment = {"DESTDIR": str(root), "PREFIX": "/usr", "SYSCONFDIR": "/etc", "COMPILE": "no", **variables}
    done = subprocess.run(
        [SCRIPT, action], check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with everything installed for an old systemd; not to be changed."""
    made = tmp_path_factory.mktemp("root")
    assert install(made, SYSTEMD_VERSION="252") == ""
    return made


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_what_is_installed(root: Path) -> None:
    own = {path for path in files(root) if not path.startswith("usr/lib/memtierd/")}
    assert {
        "etc/default/memtierd",
        "etc/memtierd/memtierd.yaml",
        "usr/bin/meme",
        "usr/bin/memtierd",
        f"usr/{UNIT}",
        "usr/lib/systemd/system/tiered.slice",
        "usr/share/memtierd/schemas/memtierd.schema.json",
    } <= own
    for page in (ROOT / "docs/man").glob("*.[158]"):
        assert f"usr/share/man/man{page.suffix[1:]}/{page.name}" in own
    samples = {f"usr/share/memtierd/samples/{path.name}" for path in (ROOT / "sample-configs").glob("*.yaml")}
    assert samples <= own


def test_nothing_is_for_root_alone_or_writable_by_others(root: Path) -> None:
    for path in root.rglob("*"):
        mode = path.stat().st_mode & 0o777
        assert mode in ({0o755} if path.is_dir() else {0o644, 0o755}), f"{path}: {mode:o}"


def interpreter_of(root: Path) -> str:
    first_line = (root / "usr/bin/memtierd").read_text().partition("\n")[0]
    assert first_line.startswith("#!/")
    assert first_line.endswith(" -IS")
    return first_line[2:].split()[0]


def test_the_installed_program_works(root: Path) -> None:
    program = root / "usr/bin/memtierd"
    for arguments, expected in ((["-version"], "memtierd [0-9]"), (["-standalone", "-c", "help"], "Commands:")):
        told = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
        assert re.match(expected, told.stdout)


def test_every_package_that_memtierd_needs_comes_along(root: Path) -> None:
    library = str(root / "usr/lib/memtierd")
    code = (
        f"import sys; sys.path.append({library!r})\n"
        "import attrs, cattrs, cffi, numpy, prometheus_client, ruamel.yaml, transitions, watchdog.observers\n"
        "import memtierd.cli, memtierd.config, memtierd.daemon\n"
        "names = 'attrs cattrs cffi numpy prometheus_client ruamel.yaml transitions watchdog memtierd'\n"
        "print(*(sys.modules[name].__file__ for name in names.split()))"
    )
    told = subprocess.run([interpreter_of(root), "-ISB", "-c", code], check=True, capture_output=True, text=True)
    assert all(file.startswith(library) for file in told.stdout.split())


def test_the_first_configuration_is_valid_and_moves_nothing(root: Path) -> None:
    from memtierd import policies
    from memtierd.config import read_file

    policy = read_file(str(root / "etc/memtierd/memtierd.yaml")).config.policy
    assert policy is not None
    assert all(not place.nodes for place in policies.build(policy.params).places)


def test_the_first_configuration_with_all_that_it_proposes_is_valid(root: Path, tmp_path: Path) -> None:
    from memtierd.config import read_file

    text = (root / "etc/memtierd/memtierd.yaml").read_text()
    edited = tmp_path / "memtierd.yaml"
    edited.write_text(re.sub(r"^    # (\w+: \S+)$", r"    \1", text, flags=re.MULTILINE))
    policy = read_file(str(edited)).config.policy
    assert policy is not None
    assert policy.params.idle_duration_ms == 120_000
    assert policy.params.swap_out_ms == 600_000
    assert policy.params.max_refault is not None


def test_paths_in_the_first_configuration_lead_to_what_is_installed(root: Path) -> None:
    text = (root / "etc/memtierd/memtierd.yaml").read_text()
    schema = re.search(r"\$schema=(\S+)", text)
    assert schema is not None
    assert (root / "etc/memtierd" / schema[1]).resolve() == root / "usr/share/memtierd/schemas/memtierd.schema.json"
    samples = re.search(r"/usr/share/memtierd/\w+", text)
    assert samples is not None
    assert (root / samples[0][1:]).is_dir()


def directives(unit: Path) -> dict[str, list[str]]:
    """Return the values of every directive."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_a_unit_for_every_systemd(root: Path, tmp_path: Path) -> None:
    old = directives(root / "usr" / UNIT)
    assert old["Type"] == ["notify"]
    assert old["ExecReload"] == ["/bin/sh -c 'kill -HUP $MAINPID'"]
    install(tmp_path, SYSTEMD_VERSION="253", PREFIX="/opt/memtierd", SYSCONFDIR="/opt/memtierd/etc")
    new = directives(tmp_path / "opt/memtierd" / UNIT)
    assert new["Type"] == ["notify-reload"]
    assert "ExecReload" not in new
    assert new["ExecStart"] == [
        "/opt/memtierd/bin/memtierd -config /opt/memtierd/etc/memtierd/memtierd.yaml $MEMTIERD_OPTIONS"
    ]
    differing = {name for name in old | new if old.get(name) != new.get(name)}
    assert differing == {"Type", "ExecReload", "ExecStart", "EnvironmentFile"}


def test_an_edited_configuration_is_never_replaced_and_never_removed(tmp_path: Path) -> None:
    install(tmp_path)
    edited = tmp_path / "etc/memtierd/memtierd.yaml"
    edited.write_text("policy: {name: stub}\n")
    said = install(tmp_path)
    assert said.startswith(f"{edited}: kept as it is; ")
    assert edited.read_text() == "policy: {name: stub}\n"
    install(tmp_path, "uninstall")
    assert files(tmp_path) == {"etc/memtierd/memtierd.yaml"}


def test_uninstall_leaves_nothing(tmp_path: Path) -> None:
    install(tmp_path)
    install(tmp_path, "uninstall")
    assert files(tmp_path) == set()


def has(program: str) -> bool:
    return any(os.access(f"{directory}/{program}", os.X_OK) for directory in os.environ["PATH"].split(":"))


@pytest.mark.skipif(not (has("dpkg-deb") and has("strip")), reason="dpkg-deb and strip make the package")
def test_the_debian_package(tmp_path: Path) -> None:
    built = subprocess.run(
        [ROOT / "scripts/build-deb.sh"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OUTPUT": str(tmp_path), "COMPRESSION": "none"},
    )
    package = Path(built.stdout.strip())

    def told(*arguments: str) -> str:
        return subprocess.run(["dpkg-deb", *arguments], check=True, capture_output=True, text=True).stdout

    assert told("--field", str(package), "Package").strip() == "memtierd"
    python, following = sys.version_info[1], sys.version_info[1] + 1
    assert f"python3 (>= 3.{python}), python3 (<< 3.{following})" in told("--field", str(package), "Depends")
    control = tmp_path / "control"
    told("--control", str(package), str(control))
    assert (control / "conffiles").read_text().split() == ["/etc/default/memtierd", "/etc/memtierd/memtierd.yaml"]
    for script in ("postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", control / script], check=True)
        assert not re.search(r"\b(start|enable)\b", (control / script).read_text().replace("try-restart", ""))
    root = tmp_path / "root"
    told("--extract", str(package), str(root))
    assert root.stat().st_mode & 0o777 == 0o755
    assert (root / "usr/share/doc/memtierd/copyright").exists()
    assert interpreter_of(root) == "/usr/bin/python3"
    program = [sys.executable, "-ISB", str(root / "usr/bin/memtierd"), "-standalone", "-c", "help"]
    subprocess.run(program, check=True, capture_output=True)
