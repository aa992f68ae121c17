"""`sarab run` of applications: built into the cache and booted, or as a Linux process."""

from __future__ import annotations

import signal
import textwrap
from pathlib import Path

import pytest

from tests.cli.command import sarab, start

PROGRAM = """
import os, sys
print(sys.argv[1:], os.environ.get("GIVEN"), flush=True)
print(len(sys.stdin.buffer.read()))
sys.exit(7)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


BINARY = bytes(range(256)) * 4 + b"no newline at the end"


@pytest.mark.boot
@pytest.mark.slow
def test_machine_and_process_do_the_same(program: Path) -> None:
    words = ("--quiet", "--env", "GIVEN=a b", program, "--", "--name", "x y")
    expected = (7, f"['--name', 'x y'] a b\n{len(BINARY)}\n".encode(), "")
    assert sarab("run", "--timeout", "100", *words, stdin=BINARY) == expected
    assert sarab("run", "--on", "process", *words, stdin=BINARY) == expected


@pytest.mark.boot
@pytest.mark.slow
def test_image_is_built_into_the_cache(program: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for _ in range(2):
        status, _, error = sarab("run", "--quiet", "--timeout", "100", program, SARAB_CACHE=str(cache))
        assert status == 7, error
    images = list((cache / "images").iterdir())
    assert len(images) == 1
    assert images[0].name.startswith("program-")
    assert not list(tmp_path.glob("*.elf"))


@pytest.mark.boot
@pytest.mark.slow
def test_program_is_asked_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "service.py"
    path.write_text(
        textwrap.dedent(
            """
            import signal, sys, time
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
            print("ready", flush=True)
            while True:
                time.sleep(1)
            """
        )
    )
    process = start("run", "--quiet", "--timeout", "100", path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 9
    # An emulated interpreter on a busy host may take the second after which we say that it still runs.
    assert b"the machine was killed" not in error


def test_process_of_a_module_and_of_a_function(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("import sys; print('module', sys.argv[1:])")
    (package / "web.py").write_text("async def app():\n    print('function')\n    return 4\n")
    assert sarab("run", "--on", "process", "-m", "package", "--", "a", cwd=tmp_path) == (0, b"module ['a']\n", "")
    assert sarab("run", "--on", "process", "package.web:app", cwd=tmp_path) == (4, b"function\n", "")


def test_process_ended_by_a_signal_is_128_and_its_number(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert sarab("run", "--on", "process", path)[0] == 128 + signal.SIGKILL


def test_process_that_takes_too_long_is_124(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text("import time; time.sleep(60)")
    status, _, error = sarab("run", "--on", "process", "--timeout", "0.5", path)
    assert status == 124
    assert error == "sarab: the program was killed after 0.5 s, the time it was given.\n"


def test_process_gets_sigterm(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    process = start("run", "--on", "process", path)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 3


@pytest.mark.parametrize(
    "option", ["--memory=64M", "--machine=pc", "--accel=tcg", "--trace", "--marks", "--tmp=1M", "--seal"]
)
def test_process_refuses_what_only_a_machine_has(program: Path, option: str) -> None:
    status, _, error = sarab("run", "--on", "process", option, program)
    assert status == 2
    assert f"{option.partition('=')[0]} means nothing to a Linux process" in error


def test_process_of_an_image_is_refused() -> None:
    status, _, error = sarab("run", "--on", "process", "/bin/true")
    assert status == 2
    assert "is an image: name the application" in error


@pytest.mark.parametrize("words", [("/nothing.py",), ("--on", "process", "/nothing.py")])
def test_missing_application_is_one_sentence(words: tuple[str, ...]) -> None:
    status, _, error = sarab("run", *words)
    assert status == 1
    assert "There is no file /nothing.py." in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("option", [("--env", "lower=1"), ("--memory", "0"), ("--tmp", "x")])
def test_option_that_makes_no_sense_is_refused(program: Path, option: tuple[str, str]) -> None:
    status, _, error = sarab("run", *option, program)
    assert status == 2
    assert error.count("\n") == 1


def test_cache_that_cannot_be_made_is_one_sentence(program: Path) -> None:
    status, _, error = sarab("run", "--quiet", program, SARAB_CACHE="/proc/nothing")
    assert status == 2
    assert "set SARAB_CACHE" in error
