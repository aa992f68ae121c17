"""sarab's pytest plugin, seen by a project that uses it: the fixture `world`, and `pytest --sarab`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from sarab.testing.stage import _kept

SUITE = """
import asyncio, os, time
import pytest
from calc import add
from helper import three

def test_passes(five):
    assert add(five, three()) == 8

@pytest.mark.parametrize("n", [1, 2])
def test_fails(n):
    print("n is", n)
    assert add(n, 1) == 2

def test_is_inside():
    assert os.path.exists("/boot/start.pyc")

@pytest.mark.skip(reason="not today")
def test_skipped():
    pass

def test_dies():
    print("last words", flush=True)
    os._exit(3)

def test_hangs():
    time.sleep(60)

def test_goes_on(tmp_path):
    (tmp_path / "file").write_text("x")

async def test_world(world):
    async def sleeper():
        await asyncio.sleep(3600)
    assert await world.start(sleeper).result() == 0

def test_left_out():
    assert False
"""


def line(text: str) -> int:
    """Return the number of a line of SUITE."""
    return next(number for number, each in enumerate(SUITE.splitlines(), 1) if text in each)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with its package in src, and tests with a conftest and a helper."""
    (tmp_path / "src" / "calc").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    settings = '[tool.pytest.ini_options]\ntestpaths = ["tests"]\npythonpath = ["src"]\naddopts = "-ra"\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    (tmp_path / "src" / "calc" / "__init__.py").write_text("def add(a, b):\n    return a + b\n")
    (tmp_path / "tests" / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef five():\n    return 5\n")
    (tmp_path / "tests" / "helper.py").write_text("def three():\n    return 3\n")
    return tmp_path


def run(project: Path, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run pytest with sarab's plugin, and no other, in a project."""
    command = [sys.executable, "-m", "pytest", "-p", "sarab.testing.plugin", "-p", "no:cacheprovider", *words]
    return subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=200,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", **(environment or {})},
    )  # fmt: skip


@pytest.mark.boot
def test_a_projects_tests_run_inside_an_image_and_are_reported_as_usual(project: Path) -> None:
    (project / "tests" / "test_calc.py").write_text(SUITE)
    done = run(project, "--sarab", "--sarab-timeout=2", "-v", "-k", "not left_out", "--junitxml=out.xml")
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = {}
    for case in ElementTree.parse(project / "out.xml").iter("testcase"):
        outcomes[case.get("name")] = next((child for child in case if child.tag in ("failure", "skipped")), None)
    failed = {name for name, child in outcomes.items() if child is not None and child.tag == "failure"}
    assert failed == {"test_fails[2]", "test_dies", "test_hangs"}, done.stdout
    assert "test_left_out" not in outcomes
    assert len(outcomes) == 9
    assert "n is 2" in done.stdout, "captured output"
    assert "assert 3 == 2" in done.stdout, "rewritten assertions"
    assert f"SKIPPED [1] tests/test_calc.py:{line('@pytest.mark.skip')}: not today" in done.stdout
    assert "the machine died: its program ended with status 3" in done.stdout
    assert "the machine was killed: the test took more than 2 s (--sarab-timeout)" in done.stdout
    assert f'test_calc.py", line {line("time.sleep(60)")} in test_hangs' in done.stdout, "where it was"
    assert "3 failed, 5 passed, 1 skipped, 1 deselected" in done.stdout


@pytest.mark.boot
def test_the_first_failure_inside_ends_the_run_with_x(project: Path) -> None:
    (project / "tests" / "test_calc.py").write_text("def test_one():\n    assert 0\n\ndef test_two():\n    pass\n")
    done = run(project, "--sarab", "-x")
    assert done.returncode == 1
    assert "1 failed in" in done.stdout
    assert "stopping after 1 failures" in done.stdout


@pytest.mark.boot
def test_what_is_imported_by_name_only_is_told_with_the_option_that_brings_it(project: Path) -> None:
    source = "import importlib\nimportlib.import_module('tabnanny')\n\ndef test_one():\n    pass\n"
    (project / "tests" / "test_one.py").write_text(source)
    done = run(project, "--sarab")
    assert done.returncode == 1
    assert "this test could not be collected inside the image:" in done.stdout
    assert "Is tabnanny imported by its name only? --sarab-include tabnanny has it in the image." in done.stdout
    assert run(project, "--sarab", "--sarab-include=tabnanny").returncode == 0


def test_a_failed_test_in_a_world_shows_consoles_and_seed(project: Path) -> None:
    (project / "tests" / "test_world.py").write_text(
        "async def speaker():\n    print('I am here')\n\n"
        "async def test_fails(world):\n    await world.start(speaker).result()\n    assert world.seed == 0\n"
    )
    done = run(project)
    assert done.returncode == 1
    assert "console of speaker" in done.stdout
    assert "I am here" in done.stdout
    assert "--sarab-seed" in done.stdout
    assert run(project, "--sarab-seed=0").returncode == 0


def test_the_plugin_imports_nothing_of_sarab_until_it_is_used() -> None:
    program = "import sys, sarab.testing.plugin; print(sorted(m for m in sys.modules if m.startswith('sarab')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['sarab', 'sarab.testing', 'sarab.testing.plugin']"


def test_wrong_options_are_a_sentence(project: Path) -> None:
    (project / "tests" / "test_one.py").write_text("def test_one(): pass\n")
    done = run(project, "--sarab", "--sarab-memory=much")
    assert done.returncode == 4
    assert "ERROR: --sarab: 'much' is no size of memory" in done.stderr
    (project / "tests" / "test_one.py").write_text("import nowhere_at_all\n")
    assert run(project, "--sarab").returncode == 2, "what cannot be collected here is not run there"


def test_options_that_mean_something_inside_go_there() -> None:
    words = shlex.split(
        "tests -x -vv -k 'a and b' -W error --sarab --sarab-timeout 3 --sarab-seed=7 --junitxml=out.xml --tb short "
        "-o asyncio_mode=auto --maxfail 2 -p no:doctest"
    )
    assert list(_kept(words, {"tests"})) == [
        "-vv", "-W", "error", "--sarab-seed=7", "--tb", "short", "-o", "asyncio_mode=auto",
    ]  # fmt: skip
