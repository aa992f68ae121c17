"""An image holds the program's closure and nothing else: nothing for an intruder to pick up."""

from __future__ import annotations

import re
from pathlib import Path

from sarab.build import image
from sarab.build.builder import BuildOptions, build

ROOT = Path(__file__).parents[2]
TOOLS = re.compile(
    r"/(pip|setuptools|ensurepip|ctypes|_ctypes|subprocess|socket|_socket|ssl|pty|pdb|code|test)([./]|$)"
)


def test_hello_holds_no_tool_no_source_and_nothing_writable(tmp_path: Path) -> None:
    result = build(str(ROOT / "examples/hello.py"), BuildOptions(output=tmp_path / "hello.elf"))
    files = image.read(result.image.read_bytes()).files
    paths = [node.path for node in files]
    assert "/app/hello.pyc" in paths
    assert not [path for path in paths if TOOLS.search(path)]
    assert not [path for path in paths if path.endswith(".py")]
    assert all(node.mode & 0o222 == 0 for node in files if not node.is_link)
    programs = [node.path for node in files if node.is_file and "/bin/" in node.path]
    assert [Path(path).name.startswith("python3.") for path in programs] == [True]
