"""Puts the built library into the wheel. Everything else is in pyproject.toml."""

import os
import pathlib
import re
import shutil

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
LIBRARY = pathlib.Path(os.environ.get("EDGEOPT_LIBRARY", BUILD / "lib" / "libedgeopt.so"))


def version() -> str:
    header = (HERE.parents[1] / "include" / "edgeopt.h").read_text()
    return ".".join(re.findall(r"#define EO_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if not LIBRARY.exists():
            raise SystemExit(f"{LIBRARY} is not there: build it with scripts/build, or set EDGEOPT_LIBRARY to its path")
        shutil.copy(LIBRARY.resolve(), pathlib.Path(self.build_lib) / "edgeopt" / "libedgeopt.so")


class PlatformWheel(bdist_wheel):
    """No compiled Python extension, but a library: any Python 3, this platform."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple:
        return "py3", "none", super().get_tag()[2]


setup(version=version(), cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
