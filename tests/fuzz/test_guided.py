"""What coverage-guided fuzzing has kept stays harmless, and a second more of it finds nothing (`make fuzz`: as long as
one likes)."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import run
from tests.fuzz.targets import TARGETS

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: it has no wheel for this Python"
)


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_were_kept_are_harmless(name: str) -> None:
    kept = run.stored(name)
    assert sum(map(len, kept)) <= run.STORED_BYTES_MAX
    for data in kept + TARGETS[name].seeds():
        TARGETS[name].run(data)


@needs_atheris
@pytest.mark.slow
@pytest.mark.parametrize("name", ["wire", "stack", "ring", "disk", "entropy"])
def test_a_second_of_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    run.unpack(name, folder)
    done = run.guided(name, str(folder), f"-runs={TARGETS[name].runs}", "-seed=1", folder=tmp_path, seconds=120)
    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs is not None and int(runs[1]) >= TARGETS[name].runs


BROKEN = """
from tests.fuzz import guided, targets
def fall(data):
    if data[:2] == b"no":
        raise IndexError("found")
targets.TARGETS["tcp"] = targets.TARGETS["tcp"]._replace(run=fall)
guided.main(["tcp", "-seed=1", "-runs=400000", "-artifact_prefix=" + {folder!r}])
"""


@needs_atheris
@pytest.mark.slow
def test_a_fault_is_found(tmp_path: Path) -> None:
    code = BROKEN.format(folder=f"{tmp_path}/")
    (tmp_path / "seed").write_bytes(b"nothing")
    done = subprocess.run([sys.executable, "-c", code], cwd=run.ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "IndexError: found" in done.stdout + done.stderr
    assert [path.read_bytes()[:2] for path in tmp_path.glob("crash-*")] == [b"no"]
