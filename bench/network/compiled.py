"""The package as its compiled wheel has it: the network stack's hot modules are shared objects (decision 0045).

    tree = compiled_tree()            # in build/compiled, made once for what the sources say
    PYTHONPATH=<tree> python ...      # imports them instead of the plain ones

Also `python -m bench.network.compiled [SOURCES]`, which prints the folder. Compiled or not they behave the same:
tests/compiled runs the stack's tests on both.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from bench.result import Failed

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "sarab"
PROJECT = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
"""What a wheel is made of, beside the sources."""


def missing() -> str:
    """Return, in a sentence, what a compilation lacks on this machine, or nothing."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler {compiler} (apt-get install gcc python3-dev)"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "this Python has no Python.h (apt-get install python3-dev)"
    return ""


def compiled_tree(sources: Path = SOURCES) -> Path:
    """Return the folder to put before all others on the import path. Raises Failed that says why not.

    `sources`: the package to compile.
    """
    digest = hashlib.sha256(repr(sys.version).encode())
    for path in sorted(sources.rglob("*.py")):
        digest.update(str(path.relative_to(sources)).encode() + path.read_bytes())
    for name in PROJECT[:2]:
        digest.update((ROOT / name).read_bytes())
    tree = ROOT / "build" / "compiled" / digest.hexdigest()[:16]
    if (tree / "ready").exists():
        return tree
    if why := missing():
        raise Failed(f"the stack cannot be compiled: {why}")
    shutil.rmtree(tree, ignore_errors=True)
    source, wheels = tree / "source", tree / "wheels"
    shutil.copytree(sources, source / "src" / "sarab", ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROJECT:
        shutil.copy(ROOT / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, source],
        env={**os.environ, "SARAB_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Failed(f"the stack cannot be compiled: {(done.stderr or done.stdout)[-3000:]}")
    (wheel,) = wheels.glob("*.whl")
    shutil.unpack_archive(wheel, tree, "zip")
    for folder in (source, wheels):
        shutil.rmtree(folder)
    (tree / "ready").touch()
    return tree


if __name__ == "__main__":
    print(compiled_tree(*map(Path, sys.argv[1:])))
