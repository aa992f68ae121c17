"""The kernel's conversions of time: compiled for the host, and asked what Python knows as well."""

from __future__ import annotations

import datetime
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host_c import compile_for_host

HERE = Path("tests/unit/kernel")
PIT_FREQUENCY = 1193182
SAMPLES = 16

Ask = Callable[[list[str]], list[int]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    program = compile_for_host([HERE / "time_arithmetic.c"], tmp_path_factory.mktemp("time") / "time_arithmetic")

    def run(questions: list[str]) -> list[int]:
        done = subprocess.run(
            [program], input="\n".join(questions) + "\n", capture_output=True, text=True, timeout=60, check=True
        )
        return [int(line) for line in done.stdout.split()]

    return run


def test_a_counter_becomes_nanoseconds_without_drift(ask: Ask) -> None:
    hours = 24 * 365 * 3600
    cases = [
        (f, 10**9, f * seconds + 12345)
        for f in (10**7, 999_999_937, 2_596_140_000, 6 * 10**9)
        for seconds in (0, 1, hours)
    ]
    cases += [(10**9, f, 3600 * 10**9) for f in (10**6, 62_500_000, 10**9, 2_596_140_000, 6 * 10**9)]
    answers = ask([f"scale {a} {b} {value}" for a, b, value in cases])
    for (a, b, value), answer in zip(cases, answers, strict=True):
        assert abs(answer - value * b // a) <= max(1, value * b // a >> 46)


def test_days_are_those_of_the_calendar(ask: Ask) -> None:
    dates = [datetime.date(1970, 1, 1) + datetime.timedelta(days=n) for n in range(0, 365 * 140, 13)]
    dates += [
        datetime.date(2000, 2, 29),
        datetime.date(2024, 2, 29),
        datetime.date(2100, 2, 28),
        datetime.date(2100, 3, 1),
    ]
    answers = ask([f"days {d.year} {d.month} {d.day}" for d in dates])
    assert answers == [(d - datetime.date(1970, 1, 1)).days for d in dates]


def test_the_clock_of_kvm_is_read_as_its_specification_says(ask: Ask) -> None:
    # A counter of 2.6 GHz (shift -1), one of 600 MHz (shift 1); and a reading from before the host's last update.
    cases = [
        (1000, 5000, 3304288000, -1, 1000 + 2_600_000_000),
        (0, 0, 3579139413, 1, 600_000_000),
        (10**6, 77, 3304288000, -1, 999_990),
    ]

    def expected(timestamp: int, time: int, multiplier: int, shift: int, tsc: int) -> int:
        delta = max(0, tsc - timestamp)
        delta = delta << shift if shift >= 0 else delta >> -shift
        return time + (delta * multiplier >> 32)

    assert ask(["kvm " + " ".join(map(str, case)) for case in cases]) == [expected(*case) for case in cases]


def samples(rng: random.Random, frequency: int, start: float, slowest: float) -> list[str]:
    """Readings of an 8254 from `start` seconds on: each takes up to `slowest` seconds, and now and then far longer."""
    lines, at = [], start
    for _ in range(SAMPLES):
        took = rng.uniform(0.2e-6, slowest) * (30 if rng.random() < 0.05 else 1)
        read_at = at + rng.uniform(0, took)
        lines.append(f"{int(at * frequency)} {int((at + took) * frequency) + 1} {int(read_at * PIT_FREQUENCY)}")
        at += took + rng.uniform(0.5e-6, 3e-6)
    return lines


@pytest.mark.parametrize("frequency", [10**9, 2_596_140_000, 5 * 10**9])
def test_calibration_is_right_to_a_ten_thousandth(ask: Ask, frequency: int) -> None:
    rng = random.Random(frequency)
    questions = []
    for _ in range(200):
        start = rng.uniform(1e-4, 2e-3)
        ends = samples(rng, frequency, start, 1e-6) + samples(rng, frequency, start + 2e-3, 1e-6)
        questions.append("calibration " + " ".join(ends))
    errors = [abs(answer / frequency - 1) for answer in ask(questions)]
    assert max(errors) < 3e-4
    assert sorted(errors)[190] < 1.2e-4


def test_a_counter_that_stands_still_calibrates_nothing(ask: Ask) -> None:
    same = "1000 1010 5"
    assert ask(["calibration " + " ".join([same] * 2 * SAMPLES)]) == [0]
