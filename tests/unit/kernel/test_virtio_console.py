"""The fast console's queue: nothing is lost or out of order, whatever the device does and whenever it is given up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.host_c import compile_for_host


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = ("tests/unit/kernel/virtio_console_model.c", "kernel/cpu/virtio_console.c", "kernel/cpu/virtio_mmio.c")
    sources = [Path(part) for part in parts]
    return compile_for_host(sources, tmp_path_factory.mktemp("console") / "model", "-fno-strict-aliasing")


def run(model: Path, error: str, after: int, seed: int, writes: int = 2000) -> tuple[int, int]:
    """The bytes that the device took, and those that went another way; the model has compared them all."""
    words = [str(model), error, str(after), str(seed), str(writes)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    taken, other = map(int, done.stdout.split())
    return taken, other


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["good", "always told"])
def test_a_device_gets_every_byte_in_order(model: Path, kind: str, seed: int) -> None:
    taken, other = run(model, kind, 0, seed)
    assert taken > 500_000
    assert other == 0


@pytest.mark.parametrize("after", [0, 1, 63, 64, 700])
@pytest.mark.parametrize("error", ["stuck", "count", "status"])
def test_what_a_device_that_errs_has_not_taken_goes_by_the_ports(model: Path, error: str, after: int) -> None:
    taken, other = run(model, error, after, after)
    assert (taken > 0) == (after > 0)
    assert other > 0


@pytest.mark.parametrize("error", ["magic", "legacy", "other kind", "no features", "small queue", "memory"])
def test_what_is_no_such_device_is_not_used(model: Path, error: str) -> None:
    taken, other = run(model, error, 0, 1, writes=50)
    assert taken == 0
    assert other > 0
