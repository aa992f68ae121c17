"""Who may import whom (pyproject.toml, [tool.importlinter]), and what the command line costs before it has begun."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each costs milliseconds, and printing a list of verbs needs none of them.
HELP_MAY_NOT_IMPORT = {
    "asyncio", "ctypes", "dataclasses", "hashlib", "inspect", "json", "pathlib", "socket", "subprocess", "tempfile",
}  # fmt: skip
HELP_SECONDS_MAX = 0.1


def test_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_of_the_public_face_is_there() -> None:
    import sarab

    for name in sarab._FACE:
        assert getattr(sarab, name) is not None
    assert set(sarab._FACE) <= set(dir(sarab))
    with pytest.raises(AttributeError, match="no attribute 'Stak'"):
        _ = sarab.Stak


def test_the_public_face_loads_nothing_before_it_is_asked() -> None:
    code = "import sys; before = set(sys.modules); import sarab; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"sarab"}


def imported_by(*words: str) -> set[str]:
    code = f"import sys; from sarab.cli.main import main; main({list(words)!r}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_no_verb() -> None:
    ours = {name for name in imported_by("--help") if name.startswith("sarab")}
    assert ours == {"sarab", "sarab.cli", "sarab.cli.main", "sarab.errors"}


def test_help_imports_little_of_the_standard_library() -> None:
    tops = {name.partition(".")[0] for name in imported_by("--help")}
    assert not tops & HELP_MAY_NOT_IMPORT


def test_help_is_fast() -> None:
    """In time of the processor, which others on the machine take from nobody."""
    command = [str(Path(sys.executable).with_name("sarab")), "--help"]
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < HELP_SECONDS_MAX:
            return
    pytest.fail(f"'sarab --help' takes more than {HELP_SECONDS_MAX} s")


def test_rooms_do_nothing_when_imported() -> None:
    """A room's __init__ is its docstring; only sarab's own is a face."""
    import ast

    for init in (ROOT / "src" / "sarab").glob("*/**/__init__.py"):
        body = ast.parse(init.read_text()).body
        assert len(body) == 1, f"{init} is more than a docstring"
        assert isinstance(body[0], ast.Expr), f"{init} has no docstring"
