"""Clock, randomness, console and metrics of a machine: they and the tests' own keep the promises, and liars do not."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from sarab.aio import metrics as metrics_module
from sarab.aio.clock import SystemClock
from sarab.aio.console import LINE_MAX, StandardConsole
from sarab.aio.metrics import StoredCounter, StoredHistogram, StoredMetrics
from sarab.aio.random import SystemRandom
from sarab.testing.checks.clock import check_clock
from sarab.testing.checks.console import check_console
from sarab.testing.checks.metrics import check_metrics
from sarab.testing.checks.promise import Broken
from sarab.testing.checks.random import check_random


def test_the_machines_clock_keeps_the_promises() -> None:
    check_clock(SystemClock)


class LyingClock(SystemClock):
    lie = ""

    def monotonic(self) -> int:
        found = super().monotonic()
        if self.lie == "goes back":
            return -found
        return found // 1_000_000_000 if self.lie == "in seconds" else found

    def now(self) -> datetime:
        return super().now().replace(tzinfo=None) if self.lie == "no zone" else super().now()

    async def sleep(self, seconds: float) -> None:
        if self.lie != "wakes at once":
            await super().sleep(seconds)


@pytest.mark.parametrize("lie", ["goes back", "in seconds", "no zone", "wakes at once"])
def test_the_checker_finds_a_clock_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LyingClock, "lie", lie)
    with pytest.raises(Broken):
        check_clock(LyingClock)


def test_the_machines_randomness_keeps_the_promises() -> None:
    check_random(SystemRandom)


class LyingRandom(SystemRandom):
    def __init__(self, lie: str) -> None:
        self.lie, self.chance = lie, random.Random(5)

    def bytes(self, count: int) -> Any:
        if self.lie == "short":
            return super().bytes(count // 2)
        if self.lie == "constant":
            return bytes(count)
        return bytes(byte & 0xFE for byte in super().bytes(count)) if self.lie == "even" else super().bytes(count)

    def below(self, bound: int) -> int:
        if self.lie == "modulo":
            return self.chance.randrange(256) % bound if bound > 0 else super().below(bound)
        if self.lie == "inclusive":
            return super().below(bound + 1)
        return 0 if self.lie == "takes zero" and bound < 1 else super().below(bound)


@pytest.mark.parametrize("lie", ["short", "constant", "even", "modulo", "inclusive", "takes zero"])
def test_the_checker_finds_a_randomness_that_lies(lie: str) -> None:
    with pytest.raises(Broken):
        check_random(lambda: LyingRandom(lie))


@pytest.fixture
def pipes() -> Iterator[list[int]]:
    found: list[int] = []
    yield found
    for descriptor in found:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def console(pipes: list[int], kind: type[StandardConsole] = StandardConsole) -> Any:
    reading, writing = os.pipe()
    pipes += [reading, writing]

    def typed(text: str) -> None:
        if text:
            os.write(writing, text.encode())
        else:
            os.close(writing)
            pipes.remove(writing)

    output = io.StringIO()
    return kind(reading, output), typed, output.getvalue


def test_the_machines_console_keeps_the_promises(pipes: list[int]) -> None:
    check_console(lambda: console(pipes))


def test_the_checker_finds_a_console_that_lies(pipes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarab.testing.checks.promise.PATIENCE_SECONDS", 0.5)

    class Strips(StandardConsole):
        async def read_line(self) -> str:
            return (await super().read_line()).rstrip("\n")

    class Breaks(StandardConsole):
        def write(self, text: str) -> None:
            super().write(text + "\n")

    class Forgets(StandardConsole):
        async def read_line(self) -> str:
            self._lines.clear()
            return await super().read_line()

    for kind in (Strips, Breaks, Forgets):
        with pytest.raises(Broken):
            check_console(lambda kind=kind: console(pipes, kind))  # type: ignore[misc]


def test_a_line_without_end_comes_in_pieces_and_the_last_needs_no_break(pipes: list[int]) -> None:
    async def main() -> None:
        made, typed, _ = console(pipes)
        for _ in range(LINE_MAX // 4096 + 1):
            typed("x" * 4096)
            await asyncio.sleep(0)
            made._take()
        typed("end")
        typed("")
        assert await made.read_line() == "x" * LINE_MAX
        assert await made.read_line() == "x" * 4096 + "end"
        assert await made.read_line() == ""

    asyncio.run(main())


def test_a_descriptor_that_has_nothing_yet_is_not_the_end(pipes: list[int]) -> None:
    made, typed, _ = console(pipes)
    os.set_blocking(made._descriptor, False)
    made._take()
    typed("line\n")
    assert asyncio.run(made.read_line()) == "line\n"


def test_a_file_is_a_console_too(tmp_path: Any, pipes: list[int]) -> None:
    path = tmp_path / "typed"
    path.write_bytes(b"one\ntwo \xff\n")
    pipes.append(os.open(path, os.O_RDONLY))
    made = StandardConsole(pipes[-1], io.StringIO())

    async def main() -> list[str]:
        return [await made.read_line() for _ in range(3)]

    assert asyncio.run(main()) == ["one\n", "two \ufffd\n", ""]


def test_metrics_in_memory_keep_the_promises() -> None:
    check_metrics(StoredMetrics)


class LyingMetrics(StoredMetrics):
    lie = ""

    def counter(self, name: str, help: str = "", /, **labels: str) -> StoredCounter:  # noqa: A002
        if self.lie == "anew":
            self._families.pop(name, None)
        if self.lie == "any name":
            name = name if name.isidentifier() else "x"
        return super().counter(name, help, **labels)

    def histogram(self, name: str, help: str = "", buckets: Any = (), /, **labels: str) -> StoredHistogram:  # noqa: A002
        made = super().histogram(name, help, buckets, **labels)
        if self.lie == "bounds outside":
            made.bounds = tuple(bound - 1e-9 for bound in made.bounds)
        return made

    def exposition(self) -> str:
        text = super().exposition()
        if self.lie == "no end":
            return text.rstrip("\n")
        return text.replace('\\"', '"') if self.lie == "no escapes" else text


@pytest.mark.parametrize("lie", ["anew", "any name", "bounds outside", "no end", "no escapes"])
def test_the_checker_finds_metrics_that_lie(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LyingMetrics, "lie", lie)
    with pytest.raises(Broken):
        check_metrics(LyingMetrics)


def test_the_checker_finds_metrics_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "SERIES_MAX", 1 << 40)
    with pytest.raises(Broken, match="bounded"):
        check_metrics(StoredMetrics)


def test_what_finds_no_room_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "SERIES_MAX", 2)
    metrics = StoredMetrics()
    for name in ("a", "b", "c", "d"):
        metrics.counter(name).add()
    metrics.gauge("e").set(7)
    metrics.histogram("f").observe(1)
    assert metrics.exposition() == (
        "# TYPE a counter\na 1\n# TYPE b counter\nb 1\n"
        "# TYPE sarab_metrics_overflow_total counter\nsarab_metrics_overflow_total 4\n"
    )


def test_the_text_is_prometheus_own() -> None:
    metrics = StoredMetrics()
    metrics.counter("http_requests_total", "The total number of HTTP requests.", method="post", code="200").add(1027)
    metrics.histogram("d_seconds", "A histogram.", (0.05, 0.1)).observe(0.07)
    assert metrics.exposition() == (
        "# HELP d_seconds A histogram.\n"
        "# TYPE d_seconds histogram\n"
        'd_seconds_bucket{le="0.05"} 0\n'
        'd_seconds_bucket{le="0.1"} 1\n'
        'd_seconds_bucket{le="+Inf"} 1\n'
        "d_seconds_sum 0.07\n"
        "d_seconds_count 1\n"
        "# HELP http_requests_total The total number of HTTP requests.\n"
        "# TYPE http_requests_total counter\n"
        'http_requests_total{code="200",method="post"} 1027\n'
    )


def test_names_that_would_be_shown_alike_are_refused() -> None:
    metrics = StoredMetrics()
    metrics.histogram("a")
    with pytest.raises(ValueError, match="would be shown as a_sum, and so is a"):
        metrics.counter("a_sum")
