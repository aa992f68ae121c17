"""Lay out what becomes the image's application: the runner, and what of CPython's suite the interpreter lacks.

Some Pythons come without the suite (Debian packs it apart) or without some of it. The missing files are taken from
Debian's package, which apt fetches into a cache; nothing is installed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

RUNNER = Path(__file__).with_name("runner.py")
TELLING = Path(__file__).with_name("telling.py")
PACKAGE = f"libpython3.{sys.version_info.minor}-testsuite"


class NoSuite(Exception):
    """CPython's test suite for this interpreter cannot be had here; the message is one sentence that says why."""


class Staged(NamedTuple):
    """What can be run, and what cannot."""

    runner: Path
    modules: list[str]
    """Those of the wanted modules that there are, in the same order."""
    lacking: list[str]
    """The others: neither the interpreter nor Debian's package has them (a module may be younger than both)."""


def stage(folder: Path, modules: Sequence[str]) -> Staged:
    """Copy the runner, and every one of `modules` that the interpreter lacks, into `folder`.

    Raises NoSuite if none of `modules` can be had.
    """
    runner = lay_runner(RUNNER, folder)
    own = suite_folder()
    missing = [name for name in modules if not _exists(own, name)]
    if not missing:
        return Staged(runner, list(modules), [])
    fetched = fetch_suite()
    lacking = [name for name in missing if not _exists(fetched, name)]
    if len(lacking) == len(modules):
        raise NoSuite(f"neither {own} nor Debian's {PACKAGE} has {', '.join(lacking)}")
    if len(missing) > len(modules) // 2:  # An interpreter without the suite: all of it, over the little it has.
        for source in (own, fetched):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / "test", dirs_exist_ok=True, ignore=ignore)
    else:
        for name in missing:
            if name not in lacking:
                _copy(fetched, name, folder)
    return Staged(runner, [name for name in modules if name not in lacking], lacking)


def lay_runner(runner: Path, folder: Path) -> Path:
    """Copy `runner`, and what it imports beside it, into `folder`; return where it lies then."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TELLING, folder / TELLING.name)
    return Path(shutil.copyfile(runner, folder / runner.name))


def staged_modules(runner: Path) -> list[str]:
    """Return what `--include` needs for the modules beside `runner`, which an image holds under their plain names."""
    files = (path.stem for path in runner.parent.glob("test_*.py"))
    packages = (f"{path.parent.name}.*" for path in runner.parent.glob("test_*/__init__.py"))
    return sorted([*files, *packages])


def not_python(runner: Path) -> list[str]:
    """Return the modules of a suite beside `runner` that are no Python on purpose, and must be kept from an image.

    In the library they are left out quietly; in what is an application here they would be its errors.
    """
    found = []
    for path in sorted((runner.parent / "test").glob("bad*.py")):
        try:
            compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            found.append(f"test.{path.stem}")
    return found


def suite_folder() -> Path:
    """Return the folder of the package `test` in the standard library that an image gets."""
    return Path(os.__file__).parent / "test"


def _exists(suite: Path, module: str) -> bool:
    """Say whether `suite` has the test module of that dotted name."""
    path = suite.joinpath(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _copy(suite: Path, module: str, folder: Path) -> None:
    """Copy one test module, a file or a package, out of `suite`."""
    source = suite / module
    if source.is_dir():
        shutil.copytree(source, folder / module, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source.with_suffix(".py"), folder / f"{module}.py")


def _exact_package() -> str:
    """Return what apt calls the suite of the version that Debian's own interpreter is, or of any for another."""
    library = PACKAGE.replace("testsuite", "stdlib")
    if not str(suite_folder()).startswith("/usr/lib/"):
        return PACKAGE
    command = ("dpkg-query", "--show", "--showformat", "${Version}", library)
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return PACKAGE
    return f"{PACKAGE}={done.stdout}" if done.returncode == 0 and done.stdout else PACKAGE


def fetch_suite() -> Path:
    """Return the folder `test` of Debian's package, fetched by apt once; NoSuite without apt or network."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sarab" / "regrtest"
    exact = _exact_package()
    folder = cache / exact.replace("=", "_")
    suite = folder / "usr" / "lib" / f"python3.{sys.version_info.minor}" / "test"
    if (folder / "complete").exists():
        return suite
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in dict.fromkeys((exact, PACKAGE)):  # A mirror keeps the exact version for a while only.
        try:
            done = subprocess.run(
                ("apt-get", "download", "-qq", package),
                cwd=folder,
                check=False,
                capture_output=True,
                text=True,
                timeout=600,
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise NoSuite(f"this Python has no test suite, and apt cannot fetch {package}: {error}") from None
        if done.returncode == 0:
            break
    archives = sorted(folder.glob("*.deb"))
    if done.returncode != 0 or not archives:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoSuite(f"this Python has no test suite, and apt cannot fetch {PACKAGE} (run apt-get update?): {reason}")
    subprocess.run(("dpkg-deb", "-x", archives[0], folder), check=True)
    (folder / "complete").touch()
    return suite
