"""Run the tests of the C code once more under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"
TESTS = ("test_scan.py", "test_filter.py", "test_idle.py", "test_move.py")
PATIENCE_S = 600

OVERFLOW = """
#include <stdlib.h>
int overflow(int index)
{
    int *volatile cell = calloc(1, sizeof(int)); // volatile: one sanitizer sees the size, the other one is meant
    cell[index] = 1;
    int kept = cell[0];
    free(cell);
    return kept;
}
int shift(int bits) { return 1 << bits; }
"""


def libasan() -> Path:
    name = subprocess.run(["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True).stdout
    return Path(name.strip())


pytestmark = [
    pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="runs under the sanitizers already"),
    pytest.mark.skipif(shutil.which("gcc") is None or not libasan().is_absolute(), reason="no gcc with libasan"),
]


def run_sanitized(command: list[str], directory: Path) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run Python with the sanitizers loaded; return what it printed and the reports."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(libasan()),
        "ASAN_OPTIONS": f"detect_leaks=0:log_path={directory}/report",
        "UBSAN_OPTIONS": "print_stacktrace=1",  # its runtime, loaded second, doesn't heed log_path
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(directory),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    reports = "".join(path.read_text(encoding="utf-8") for path in directory.glob("report*"))
    return done, reports + (done.stderr if "runtime error:" in done.stderr else "")


def build_sanitized(directory: Path) -> None:
    """Put the package, with the extension built anew, and its tests into the directory."""
    ignore = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "memtierd", directory / "memtierd", ignore=ignore)
    shutil.copytree(ROOT / "tests" / "native", directory / "tests" / "native", ignore=ignore)
    places = ["--build-lib", str(directory), "--build-temp", str(directory / "objects")]
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--force", *places],
        cwd=ROOT,
        env={**os.environ, "CFLAGS": FLAGS, "LDFLAGS": "-fsanitize=address,undefined"},
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize(("call", "report"), [("overflow(1)", "heap-buffer-overflow"), ("shift(40)", "shift exponent")])
def test_harness_sees_a_deliberate_fault(call: str, report: str, tmp_path: Path) -> None:
    (tmp_path / "fault.c").write_text(OVERFLOW, encoding="utf-8")
    subprocess.run(
        ["gcc", *FLAGS.split(), "-shared", "-fPIC", "-o", "fault.so", "fault.c"], cwd=tmp_path, check=True, timeout=60
    )
    done, reports = run_sanitized(["-c", f"import ctypes; ctypes.CDLL('./fault.so').{call}"], tmp_path)
    assert done.returncode != 0
    assert report in reports


def test_harness_is_silent_about_sound_code(tmp_path: Path) -> None:
    done, reports = run_sanitized(["-c", "import ctypes"], tmp_path)
    assert (done.returncode, reports) == (0, "")


def test_native_code_is_sound(tmp_path: Path) -> None:
    build_sanitized(tmp_path)
    where = "import memtierd.native._memtierd as built; print(built.__file__)"
    done, _ = run_sanitized(["-c", where], tmp_path)
    assert Path(done.stdout.strip()).is_relative_to(tmp_path), done.stderr
    tests = [f"tests/native/{name}" for name in TESTS]
    command = ["-m", "pytest", "-q", "--capture=sys", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", *tests]
    done, reports = run_sanitized(command, tmp_path)
    assert reports == ""
    assert done.returncode == 0, done.stdout
