"""The kernel's own request to an entropy device: all of it or nothing, whatever the device does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.host_c import compile_for_host

STOPPED = 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = (
        "tests/unit/kernel/virtio_rng_model.c",
        "kernel/cpu/virtio_rng.c",
        "kernel/cpu/virtio_mmio.c",
        "kernel/boot/words.c",
    )
    output = tmp_path_factory.mktemp("rng") / "model"
    return compile_for_host([Path(part) for part in parts], output, "-fno-strict-aliasing", "-pthread")


def said(model: Path, behaviour: str) -> list[str]:
    done = subprocess.run([str(model), behaviour], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout.split()


@pytest.mark.parametrize("behaviour", ["good", "pieces"])
def test_the_seed_is_the_devices_and_the_device_is_reset(model: Path, behaviour: str) -> None:
    assert said(model, behaviour) == ["read", "whole", str(STOPPED)]


@pytest.mark.parametrize(
    "behaviour", ["nothing", "too much", "stuck", "status", "memory", "other kind", "not described"]
)
def test_what_gives_no_seed_is_none(model: Path, behaviour: str) -> None:
    assert said(model, behaviour)[0] == "refused"
