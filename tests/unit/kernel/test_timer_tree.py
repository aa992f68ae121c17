"""The kernel's armed timers: always the earliest first, whatever comes and goes, and never a tree that is a list."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.host_c import compile_for_host


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [Path("tests/unit/kernel/timer_tree_model.c"), Path("kernel/time/timer_tree.c")]
    return compile_for_host(sources, tmp_path_factory.mktemp("tree") / "timer_tree_model", "-fno-strict-aliasing")


def run(model: Path, seed: int, steps: int, timers: int) -> int:
    """How deep the tree became; the model has compared everything else."""
    done = subprocess.run([model, str(seed), str(steps), str(timers)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    depth = re.search(r"(\d+) deep", done.stdout)
    assert depth is not None
    return int(depth[1])


@pytest.mark.parametrize("timers", [1, 2, 7, 64])
def test_the_first_is_always_the_earliest(model: Path, timers: int) -> None:
    for seed in range(10):
        run(model, seed, 5000, timers)


def test_thousands_of_timers_stay_shallow(model: Path) -> None:
    assert run(model, 1, 200_000, 20_000) < 60
