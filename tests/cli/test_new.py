from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import sarab


def test_project_is_whole(tmp_path: Path) -> None:
    status, output, error = sarab("new", "my-app", cwd=tmp_path)
    assert (status, error) == (0, "")
    assert b"cd my-app" in output
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {
        "my-app/.gitignore",
        "my-app/README.md",
        "my-app/my_app/__init__.py",
        "my-app/my_app/main.py",
        "my-app/pyproject.toml",
        "my-app/tests/test_my_app.py",
    }


def test_project_runs_as_a_process_at_once(tmp_path: Path) -> None:
    sarab("new", "myapp", cwd=tmp_path)
    status, output, error = sarab("run", "--on", "process", ".", "--", "--name", "You", cwd=tmp_path / "myapp")
    assert (status, error) == (0, "")
    assert output.startswith(b"Hello, You, from CPython 3.")


@pytest.mark.boot
@pytest.mark.slow
def test_project_builds_boots_and_tests_at_once(tmp_path: Path) -> None:
    sarab("new", "myapp", cwd=tmp_path)
    status, _, error = sarab("build", ".", "-o", "myapp.elf", cwd=tmp_path / "myapp")
    assert status == 0, error
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path / "myapp", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_project_is_clean_by_our_own_rules(tmp_path: Path) -> None:
    sarab("new", "myapp", cwd=tmp_path)
    checks = (["ruff", "check", "--line-length", "120"], ["mypy", "--strict", "--cache-dir", str(tmp_path / "cache")])
    for command in checks:
        done = subprocess.run(
            [sys.executable, "-m", *command, "."], cwd=tmp_path / "myapp", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("3x", "begin with a letter"),
        ("x y", "use letters"),
        ("x.y", "use letters"),
        ("x-", "use letters"),
        ("ü", "use letters"),
        ("x" * 65, "use letters"),
        ("class", "a word of Python's own"),
        ("match", "a word of Python's own"),
        ("json", "a module json exists already"),
        ("Json", "a module json exists already"),
        ("sarab", "a module sarab exists already"),
        ("app", "app means something else"),
    ],
)
def test_name_that_would_not_work_is_refused(tmp_path: Path, name: str, sentence: str) -> None:
    status, _, error = sarab("new", name, cwd=tmp_path)
    assert status == 2
    assert sentence in error
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("there", "link"):
        status, _, error = sarab("new", name, cwd=tmp_path)
        assert status == 2
        assert f"{name} exists already, and nothing is overwritten" in error
    assert list((tmp_path / "there").iterdir()) == []


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, error = sarab("new", "file/myapp", cwd=tmp_path)
    assert status == 1
    assert "sarab: file/myapp cannot be made: " in error
    assert error.count("\n") == 1
