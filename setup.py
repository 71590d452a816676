"""What pyproject.toml can't say: the C extension, and the binary `meme` among the scripts."""

import runpy
from distutils.command.build_scripts import build_scripts  # provided by setuptools
from pathlib import Path

from setuptools import setup  # type: ignore[import-untyped]

MEME_BUILD = "memtierd/meme/build.py"


class BuildMeme(build_scripts):
    """Compile the memory exerciser into the directory whose files are installed as commands."""

    def run(self) -> None:
        """Put the binary where the other scripts would be copied."""
        directory = Path(str(self.build_dir))
        directory.mkdir(parents=True, exist_ok=True)
        runpy.run_path(MEME_BUILD)["compile"](directory / "meme")

    def get_source_files(self) -> list[str]:
        """Return nothing more: the sources are package data."""
        return []


setup(
    cffi_modules=["memtierd/native/build_native.py:ffi"],
    scripts=["meme"],
    cmdclass={"build_scripts": BuildMeme},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
