from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sarab.cli.main import VERBS, load, main
from tests.cli.command import SARAB, sarab


@pytest.mark.parametrize("name", VERBS)
def test_help_line_is_the_verbs_own(name: str) -> None:
    verb = load(name)
    assert verb.NAME == name
    assert verb.HELP == VERBS[name]


def test_every_verb_is_in_the_table() -> None:
    folder = Path(load("run").__file__ or "").parent  # type: ignore[attr-defined]
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "main"} == set(VERBS)


@pytest.mark.parametrize("name", VERBS)
def test_verb_has_help(name: str) -> None:
    status, output, _ = sarab(name, "--help")
    assert status == 0
    assert VERBS[name].encode()[1:] in b" ".join(output.split())


def test_overview_names_every_verb() -> None:
    status, output, _ = sarab("--help")
    assert status == 0
    assert all(f"  {name}" in output.decode() for name in VERBS)


def test_version_is_said() -> None:
    status, output, _ = sarab("--version")
    assert status == 0
    assert output.startswith(b"sarab 0.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["biuld", "x"], "sarab: there is no command biuld (did you mean build?). Try 'sarab --help'.\n"),
        (["qqqq"], "sarab: there is no command qqqq. Try 'sarab --help'.\n"),
        (["--hepl"], "sarab: there is no option --hepl. Try 'sarab --help'.\n"),
        (
            ["run", "--memry", "3", "x"],
            "there is no option --memry (did you mean --memory?); what is for the program stands behind --. "
            "Try 'sarab run --help'.\n",
        ),
        (["run", "--mem", "3", "x"], "there is no option --mem (did you mean"),
        (["new"], "sarab: the following arguments are required: NAME. Try 'sarab new --help'.\n"),
        (["run", "a.py", "b"], "sarab: too many arguments: b; what is for the program stands behind --. "),
        (["new", "a", "b"], "sarab: too many arguments: b. Try 'sarab new --help'.\n"),
        (["doctor", "--", "x"], "'sarab doctor' has no use for arguments after '--'"),
        (["run", "--accel", "hvf", "x"], "invalid choice: 'hvf'"),
        (["run", "--timeout", "never", "x"], "'never' is no number of seconds"),
        (["run"], "Name one application"),
    ],
)
def test_usage_error_is_one_line_and_status_2(words: list[str], sentence: str) -> None:
    status, output, error = sarab(*words)
    assert (status, output) == (2, b"")
    assert sentence in error
    assert error.count("\n") == 1


def test_no_words_give_the_overview_and_status_2() -> None:
    status, output, _ = sarab()
    assert status == 2
    assert b"Usage: sarab COMMAND" in output


@pytest.mark.parametrize("words", [["--debug", "run", "/nothing.py"], ["run", "--debug", "/nothing.py"]])
def test_debug_shows_the_traceback(words: list[str]) -> None:
    status, _, error = sarab(*words)
    assert status == 1
    assert "Traceback" in error


def test_debug_of_the_application_is_the_applications(tmp_path: Path) -> None:
    status, _, error = sarab("run", tmp_path / "nothing.py", "--", "--debug")
    assert status == 1
    assert "Traceback" not in error


def test_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("sarab.cli.main._run", interrupted)
    assert main(["doctor"]) == 130


def test_output_that_cannot_be_written_is_one_sentence() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "wb") as full:
        done = subprocess.run([SARAB, "--help"], stdout=full, stderr=subprocess.PIPE, env=environment)
    assert done.returncode == 1
    assert done.stderr == b"sarab: standard output cannot be written: No space left on device.\n"


def test_reader_that_has_gone_is_141() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # A developer's shell may say PYTHONUNBUFFERED, and then the pipe breaks at another place.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run([SARAB, "--help"], stdout=writing, stderr=subprocess.PIPE, env=environment)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
