"""The wired examples under both type checkers, and that each rejects a device of the wrong type before sarab runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "wired"
WIRED = ("bridge.py", "greet.py", "pages.py", "store.py")
WRONG = '''
from sarab import Block, Clock, unikernel


class Half:
    """Reads, and no more."""

    sector_size = 512
    sectors = 1
    read_only = True

    async def read(self, sector: int, count: int) -> bytes:
        return bytes(512)


def half() -> Block:
    return Half()


@unikernel
async def main(data: Block, clock: Clock) -> None:
    await data.write(0, "text")
    await clock.read(0, 1)
'''


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A program whose devices are of the wrong type, in three ways."""
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    return path


def lines_of(path: Path, *texts: str) -> set[int]:
    """Return the numbers of the lines that hold a text."""
    return {n for n, line in enumerate(path.read_text().splitlines(), 1) if any(text in line for text in texts)}


def mypy(*paths: Path) -> str:
    """Return what mypy --strict says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run([*command, *map(str, paths)], cwd=ROOT / "src", capture_output=True, text=True)
    return done.stdout + done.stderr


def pyright(folder: Path, *paths: Path) -> list[tuple[str, int, str]]:
    """Return file, line and message of all that pyright's strict mode finds."""
    pytest.importorskip("basedpyright", reason="basedpyright is not installed (make setup)")
    settings = {"include": list(map(str, paths)), "typeCheckingMode": "strict", "pythonVersion": "3.11",
                "extraPaths": [str(ROOT / "src")]}  # fmt: skip
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(folder), "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(paths), done.stdout + done.stderr
    return [(item["file"], item["range"]["start"]["line"] + 1, item["message"]) for item in found["generalDiagnostics"]]


def test_the_wired_examples_are_all_here_and_have_no_casts() -> None:
    found = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert tuple(found) == WIRED
    for name in WIRED:
        text = (EXAMPLES / name).read_text()
        assert "cast(" not in text and "type: ignore" not in text and ": Any" not in text


def test_mypy_strict_accepts_the_examples() -> None:
    assert mypy(*(EXAMPLES / name for name in WIRED)).startswith("Success")


def test_pyright_strict_accepts_the_examples(tmp_path: Path) -> None:
    assert pyright(tmp_path, *(EXAMPLES / name for name in WIRED)) == []


def test_mypy_rejects_wrong_devices(wrong: Path) -> None:
    told = mypy(wrong)
    for line in lines_of(wrong, "return Half()", "data.write(", "clock.read("):
        assert f"wrong.py:{line}: error" in told


def test_pyright_rejects_wrong_devices(wrong: Path, tmp_path: Path) -> None:
    found = {line for _, line, _ in pyright(tmp_path, wrong)}
    assert lines_of(wrong, "return Half()", "data.write(", "clock.read(") <= found
