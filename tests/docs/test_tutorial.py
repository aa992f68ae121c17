"""docs/tutorial is executed: every file written, every command run, and what it prints compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.tutorial import Block, Mismatch, Session, blocks, commands, execute, matches

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "tutorial"
PAGES = sorted(FOLDER.glob("*.md"))


@pytest.mark.boot
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    execute(page, tmp_path)


def test_the_tutorial_has_its_pages() -> None:
    assert [page.stem for page in PAGES] == ["01-hello", "02-web", "03-two-services", "04-custom-device", "05-testing"]


def test_pyright_strict_accepts_the_programs_of_the_pages(tmp_path: Path) -> None:
    pytest.importorskip("basedpyright", reason="basedpyright is not installed (make setup)")
    for page in PAGES:
        for block in blocks(page):
            if block.kind == "python":
                file = tmp_path / page.stem.replace("-", "_") / block.name
                file.parent.mkdir(exist_ok=True)
                file.write_text(block.text)
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT / "src")]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "-p", str(tmp_path), "--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_page_that_lies_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python a.py\nprint('one')\n```\n\n```console\n$ python a.py\ntwo\n```\n")
    assert [(block.kind, block.name) for block in blocks(page)] == [("python", "a.py"), ("console", "")]
    with pytest.raises(Mismatch, match=r"line 5: \$ python a.py"):
        execute(page, tmp_path)
    page.write_text(
        "```python a.py\nprint('one')\n```\n\n```console\n$ python a.py\none\n$ echo x; echo y\n...\ny\n```\n"
    )
    execute(page, tmp_path)


def test_a_block_that_nobody_executes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="nobody executes it"):
        Session(tmp_path).execute(Block(1, "python", "", "1 / 0\n"))


def test_dots_stand_for_anything() -> None:
    assert matches(["a ... c"], ["a b c"])
    assert matches(["...", "end"], ["x", "y", "end"])
    assert not matches(["a ... c"], ["a b d"])
    assert not matches(["a"], ["a", "b"])
    assert list(commands(Block(1, "console", "", "$ x\n1\n$ y\n"))) == [("x", ["1"]), ("y", [])]
