"""The stack behaves the same compiled by mypyc as it does plain: its own tests run on both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.network.compiled import compiled_tree, missing
from bench.result import Failed

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_stacks_tests_pass_compiled() -> None:
    if why := missing():
        pytest.skip(why)
    tree = compiled_tree()
    environment = {**os.environ, "PYTHONPATH": str(tree), "SARAB_SIM_SCENARIOS": "500"}
    code = "import sarab.net.stack as s, sarab.aio.traffic as t, sarab.driver.virtio.net as v; print(s, t, v)"
    where = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert where.stdout.count(".so'") == 3, "the plain modules would be tested"
    names = (
        "unit/wire", "unit/proto", "unit/net", "unit/aio", "unit/driver/test_tap.py", "unit/driver/virtio/test_net.py",
        "sim", "fuzz/test_wire.py",
    )  # fmt: skip
    folders = [f"tests/{name}" for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *folders],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]


def test_machine_without_a_compiler_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "gcc"))
    (tmp_path / "empty.py").touch()
    with pytest.raises(Failed, match=r"^the stack cannot be compiled: there is no C compiler .* \(apt-get install gcc"):
        compiled_tree(tmp_path)
