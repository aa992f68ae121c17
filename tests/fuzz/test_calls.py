"""A few storms of system calls on every run, and what counts as a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.machine.outcome import Ending, Outcome
from tests.boot import programs
from tests.fuzz import calls

KILLED = b"1000 calls in 1 threads\nsarab: ended by signal 11 (SIGSEGV): nothing is mapped there\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return calls.image_in(tmp_path_factory.mktemp("calls"))


@pytest.mark.boot
@pytest.mark.parametrize("seed", [2, 3, 5, 7])
def test_the_kernel_outlives_a_storm_of_system_calls(image: Path, seed: int) -> None:
    storm = calls.run(image, seed)
    assert not storm.finding, storm.console
    assert storm.calls or storm.killed


@pytest.mark.boot
@pytest.mark.skipif(programs.accelerator() == "tcg", reason="the storms are emulated here already: KVM is not used")
def test_the_kernel_outlives_a_storm_emulated(image: Path) -> None:
    storm = calls.run(image, 7, 500, accel="tcg")
    assert not storm.finding, storm.console


@pytest.mark.parametrize(
    ("seed", "status", "console", "finding"),
    [
        (1, 0, b"5000 calls in 1 threads\nSUCCESS\n", ""),
        (1, 0, b"nothing\n", "status 0"),
        (1, 3, b"FINDING: a call does not come back (seed 1)\n", "FINDING: a call does not come back (seed 1)"),
        (5, 255, b"sarab: a.c:7: x > 0\nsarab:   at 1234\n", "the kernel panicked: sarab: a.c:7: x > 0"),
        (5, 139, KILLED, ""),
        (1, 139, KILLED, "the program was killed though it is not a wild one: status 139"),
    ],
)
def test_what_a_storm_can_find(seed: int, status: int, console: bytes, finding: str) -> None:
    outcome = Outcome(Ending.EXITED, status, "kvm", 1, chunks=((1, console),))
    assert calls.judge(seed, outcome).finding == finding


def test_a_machine_that_hangs_is_a_finding() -> None:
    outcome = Outcome(Ending.TIMED_OUT, 124, "kvm", 60_000_000_000)
    assert calls.judge(5, outcome).finding == "the machine was killed after 60.0 s, the time it was given"
