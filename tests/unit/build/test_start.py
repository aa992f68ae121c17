"""sarab.runtime.start as the first Python code of a plain Linux process, as `sarab run --on process` starts it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sarab.runtime.start

START = Path(sarab.runtime.start.__file__)


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-S", "-P", "-s", str(START), *arguments]
    return subprocess.run(
        words,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )


def test_start_imports_only_what_is_inside_the_interpreter() -> None:
    """Each file that it would open is time until the application's first line."""
    tree = ast.parse(START.read_text())
    names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert names <= set(sys.builtin_module_names)
    assert not any(isinstance(node, ast.ImportFrom) for node in tree.body)


def test_script_finds_its_neighbours_and_arguments(tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text("value = 3")
    script = tmp_path / "a.py"
    script.write_text("import sys, near\nprint(sys.argv, near.value, __name__, __file__)")
    done = run("script", str(script), "--x", "y", cwd=tmp_path)
    assert done.stdout == f"[{str(script)!r}, '--x', 'y'] 3 __main__ {script}\n"


def test_changed_script_is_not_run_from_old_bytecode(tmp_path: Path) -> None:
    script = tmp_path / "app" / "a.py"
    script.parent.mkdir()
    script.write_text("print('new')")
    assert run("script", str(script), cwd=tmp_path).stdout == "new\n"


def test_traceback_is_what_python_prints(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text(
        "def f():\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError as error:\n    raise KeyError from error\n"
    )
    ours = run("script", str(script), cwd=tmp_path)
    theirs = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (ours.stderr, ours.returncode) == (theirs.stderr, theirs.returncode)


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.excepthook = lambda t, v, tb: print('hook', t.__name__, tb.tb_lineno)\n1/0",
        "raise SystemExit(5)",
        "import sys; sys.exit('text')",
        "raise KeyboardInterrupt",
        "import atexit; atexit.register(print, 'bye'); 1/0",
        "import threading; threading.Thread(target=print, args=('thread',)).start(); 1/0",
        "quit(4)",
        "raise ExceptionGroup('g', [ValueError(1)])",
    ],
)
def test_ends_as_python_does(tmp_path: Path, source: str) -> None:
    script = tmp_path / "a.py"
    script.write_text(source)
    ours = run("script", str(script), cwd=tmp_path)
    theirs = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    status = 130 if theirs.returncode == -2 else theirs.returncode
    assert (ours.stdout, ours.stderr, ours.returncode) == (theirs.stdout, theirs.stderr, status)


def test_output_is_flushed_line_by_line(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("import os\nprint('before')\nos._exit(0)")
    assert run("script", str(script), cwd=tmp_path).stdout == "before\n"


def test_fault_shows_the_python_stack(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("import os, signal\ndef inner():\n    os.kill(os.getpid(), signal.SIGSEGV)\ninner()")
    done = run("script", str(script), cwd=tmp_path)
    assert done.returncode == -11
    assert "Segmentation fault" in done.stderr
    assert "in inner" in done.stderr


def test_marks_without_the_device_do_no_harm(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("print('ran')")
    assert run("script", str(script), cwd=tmp_path, SARAB_MARKS="1").stdout == "ran\n"


def test_seal_that_cannot_be_set_stops_the_program(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text("print('ran unsealed')")
    done = run("script", str(script), cwd=tmp_path, SARAB_SEAL="1")
    assert done.returncode != 0
    assert done.stdout == ""


def test_module_that_is_not_there(tmp_path: Path) -> None:
    done = run("module", "no_such_module", cwd=tmp_path)
    assert done.returncode == 1
    assert "No module named 'no_such_module'" in done.stderr
