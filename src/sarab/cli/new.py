"""`sarab new`: a project that builds, boots and tests at once."""

from __future__ import annotations

import argparse
import keyword
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from sarab.errors import SarabError, UsageError

NAME = "new"
HELP = "start a project that builds, boots and tests at once"

_PROJECT_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
NAME_MAX = 64
RESERVED = {"test", "tests", "conftest", "main", "app", "usr", "tmp", "boot"}

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = []

[tool.setuptools]
packages = ["{package}"]

[tool.sarab]
# What an image starts: a function with @unikernel, any other function, or a script.
entry = "{package}.main:main"
# Modules and packages that no import names, such as plug-ins: include = ["package.plugin", "package.*"]

[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]
"""

MAIN = '''\
"""The application: what an image of {name} does."""

import platform
from typing import Annotated

from sarab import Console, Key, unikernel


def greeting(name: str) -> str:
    """Return what is said to `name`."""
    return f"Hello, {{name}}, from {{platform.python_implementation()}} {{platform.python_version()}}."


@unikernel
async def main(console: Console, *, name: Annotated[str, Key("whom to greet")] = "World") -> None:
    """Greet somebody.

    Devices are parameters by their types: add `clock: Clock`, or `stack: Stack`, and it is there. Keys are settings:
    `sarab build . --name You` makes one a constant of the image, `sarab run . -- --name You` says it at boot.
    """
    console.write(f"{{greeting(name)}}\\n")
'''

TEST = '''\
"""The application in a world of its own, with no machine; as a process; and as a machine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sarab import TARGET
from sarab.testing.world import World

from {package}.main import greeting, main

PROJECT = Path(__file__).parents[1]
ON_HOST = pytest.mark.skipif(TARGET == "machine", reason="an image starts no other program")


def test_greeting_names_whom_it_greets() -> None:
    assert greeting("Test").startswith("Hello, Test")


async def test_application_greets(world: World) -> None:
    host = world.start(main, name="Test")
    assert await host.result() == 0
    assert host.console.text == greeting("Test") + "\\n"


def run(*words: str) -> str:
    command = [sys.executable, "-m", "sarab", "run", "--quiet", "--timeout", "120", *words, str(PROJECT)]
    done = subprocess.run([*command, "--", "--name", "Test"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@ON_HOST
def test_process_greets() -> None:
    assert run("--on", "process").startswith("Hello, Test")


@ON_HOST
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed")
def test_machine_boots_and_greets() -> None:
    assert run().startswith("Hello, Test")
'''

README = """\
# {name}

A Python application that is its own operating system, built with sarab.

    sarab run .                  # build it, and boot it
    sarab run . -- --name You    # with a key
    sarab describe .             # the devices and keys it has
    sarab check .                # all that a build would find wrong, types too (needs mypy)
    sarab run --on process .     # the same as a Linux process
    sarab build . -o {name}.elf    # the image, for any hypervisor
    python -m pytest             # test it: as Python, and as a machine (needs pytest)
    python -m pytest --sarab     # the tests themselves inside an image
"""

IGNORED = """\
*.elf
__pycache__/
.pytest_cache/
.venv/
build/
*.egg-info/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="NAME", help="the project's folder; its last part is the name")


def run(arguments: argparse.Namespace) -> int:
    """Make the project, or nothing at all."""
    folder: Path = arguments.folder
    name = folder.name or folder.resolve().name
    package = package_name(name)
    if os.path.lexists(folder):
        raise UsageError(f"{folder} exists already, and nothing is overwritten: choose another name")
    try:
        create(folder, name, package)
    except OSError as error:
        raise SarabError(f"{folder} cannot be made: {error.strerror}") from error
    print(f"{folder}/ is ready. Try:\n\n    cd {folder}\n    sarab run .\n    python -m pytest")
    return 0


def package_name(name: str) -> str:
    """Return the package of the project `name`. Raises UsageError if no package can be called so."""
    package = name.replace("-", "_").lower()
    if not _PROJECT_NAME.fullmatch(name) or len(name) > NAME_MAX:
        raise UsageError(f"'{name}' cannot name a project: use letters, digits, - and _, and begin with a letter")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise UsageError(f"'{name}' cannot name a project: it is a word of Python's own")
    if package in RESERVED:
        raise UsageError(f"'{name}' cannot name a project: {package} means something else in a project or an image")
    if package == "sarab" or package in sys.stdlib_module_names:
        raise UsageError(f"'{name}' cannot name a project: a module {package} exists already, and would be hidden")
    return package


def create(folder: Path, name: str, package: str) -> None:
    """Write the project to `folder`, which appears whole or not at all. Raises OSError."""
    names = {"name": name, "package": package}
    files = {
        "pyproject.toml": PYPROJECT,
        f"{package}/__init__.py": '"""What {name} is made of."""\n',
        f"{package}/main.py": MAIN,
        f"tests/test_{package}.py": TEST,
        "README.md": README,
        ".gitignore": IGNORED,
    }
    parent = folder.resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=parent))
    try:
        for path, text in files.items():
            file = made / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.format(**names), encoding="utf-8")
        made.chmod(0o777 & ~_umask())
        made.rename(folder.resolve())
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
