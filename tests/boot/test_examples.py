"""Every example is built, booted and used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sarab.build.builder import BuildOptions, build
from tests.boot.programs import boot, start, text

pytestmark = [pytest.mark.boot, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("examples")
    names = [path.stem for path in EXAMPLES.glob("*.py") if path.stem != "demo"]
    return {
        name: build(str(EXAMPLES / f"{name}.py"), BuildOptions(output=folder / f"{name}.elf")).image for name in names
    }


@pytest.mark.emulated_too
def test_hello_greets(images: dict[str, Path]) -> None:
    assert text(boot(images["hello"])) == "Hello, World!\n"
    assert text(boot(images["hello"], arguments=("--name", "you there"))) == "Hello, you there!\n"


def test_hello_refuses_what_it_does_not_know(images: dict[str, Path]) -> None:
    outcome = boot(images["hello"], arguments=("--nmae", "x"))
    assert outcome.status == 2
    assert "unrecognized arguments: --nmae x" in text(outcome)


def test_tasks_does_every_job(images: dict[str, Path]) -> None:
    outcome = boot(images["tasks"], arguments=("--jobs", "5"))
    assert outcome.status == 0
    said = text(outcome).splitlines()
    assert sorted(line.split()[2] for line in said[:-1]) == ["0", "1", "2", "3", "4"]
    assert said[-1] == "all done"


def test_tasks_stops_when_it_is_asked(images: dict[str, Path]) -> None:
    with start(images["tasks"], arguments=("--jobs", "100000")) as machine:
        machine.wait_for(b"job 1 is", timeout_s=60)
        machine.power_down()
        outcome = machine.wait()
    assert outcome.status == 3
    assert text(outcome).endswith("asked to stop\n")


def test_notes_are_kept_and_counted(images: dict[str, Path]) -> None:
    outcome = boot(images["notes"], stdin="short\na longer one\nünïcode\n\n".encode())
    assert outcome.status == 0
    assert text(outcome) == "2: a longer one\n3: ünïcode\n1: short\n4 notes, 24 characters\n"


def test_every_example_is_used_here(images: dict[str, Path]) -> None:
    source = "".join((Path(__file__).parent / name).read_text() for name in ("test_examples.py", "test_web.py"))
    assert [name for name in images if f'images["{name}"]' not in source] == []


def test_demo_shows_a_table() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello, World!" in done.stdout
    rows = [line.split()[0] for line in done.stdout.splitlines() if line.endswith(" ms")]
    assert rows == ["hello.py", "tasks.py", "notes.py"]
