"""What every device.metrics.Metrics promises, checked: `check_metrics(make)`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any

from sarab.device.metrics import Metrics
from sarab.testing.checks.promise import Run, must, opened, within

MANY = 100_000
"""Labels that a hostile peer invents: more than any bound."""
EXPOSED_MAX = 64 << 20
"""Bytes that may come of them."""
_LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')


def check_metrics(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check it; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], object]) -> None:
    for check in (_counts, _gauges, _histograms, _refuses, _exposes, _many):
        async with opened(make()) as metrics:
            await within(check(metrics), f"it answers ({check.__name__.strip('_')})")


def _read(metrics: Metrics) -> dict[str, float]:
    """Return the values by their lines; checks that the text is Prometheus' format 0.0.4."""
    text = metrics.exposition()
    must(text == "" or text.endswith("\n"), "every line of exposition() ends, also the last")
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith(("# HELP ", "# TYPE ")) or not line:
            continue
        match = _LINE.fullmatch(line)
        must(match is not None, f"exposition() is in Prometheus' text format, and has the line {line[:200]!r}")
        assert match is not None
        key = f"{match[1]}{{{match[2]}}}" if match[2] else match[1]
        must(key not in found, f"exposition() shows each number once, and {key} twice")
        found[key] = float(match[3])
    return found


def _raises(work: Callable[[], object], words: str) -> None:
    try:
        work()
    except ValueError:
        return
    must(False, words)


async def _counts(metrics: Metrics) -> None:
    counter = metrics.counter("requests_total", "how many")
    must(_read(metrics)["requests_total"] == 0, "a counter begins at 0, and is shown")
    counter.add()
    counter.add(2.5)
    metrics.counter("requests_total", "how many").add(0)
    metrics.counter("requests_total", "how many").add(1)
    must(_read(metrics)["requests_total"] == 4.5, "asking for a counter again returns it")
    _raises(lambda: counter.add(-1), "a counter does not fall")
    _raises(lambda: counter.add(float("nan")), "a counter takes numbers only")
    metrics.counter("hits_total", "", path="/a", method="GET").add(1)
    metrics.counter("hits_total", "", method="GET", path="/a").add(1)
    metrics.counter("hits_total", "", path="/b", method="GET").add(5)
    found = _read(metrics)
    must(sorted(value for key, value in found.items() if key.startswith("hits")) == [2, 5], "labels tell series apart")


async def _gauges(metrics: Metrics) -> None:
    gauge = metrics.gauge("open_connections")
    gauge.set(5)
    gauge.add()
    gauge.add(-10)
    must(_read(metrics)["open_connections"] == -4, "a gauge goes up and down")
    for value in (float("inf"), float("-inf"), 1e300, 0.1):
        gauge.set(value)
        must(_read(metrics)["open_connections"] == value, "a gauge shows every number as it is")
    gauge.set(float("nan"))
    value = _read(metrics)["open_connections"]
    must(value != value, "a gauge shows a value that is none")


async def _histograms(metrics: Metrics) -> None:
    histogram = metrics.histogram("seconds", "", (0.1, 1))
    for value in (0.05, 0.1, 0.5, 1, 3):
        histogram.observe(value)
    found = _read(metrics)
    got = [found.get(f'seconds_bucket{{le="{bound}"}}', -1.0) for bound in ("0.1", "1", "+Inf")]
    must(got == [2, 4, 5], "buckets are cumulative, and a value on a bound is within it")
    must(found["seconds_count"] == 5 and abs(found["seconds_sum"] - 4.65) < 1e-9, "a histogram has a count and a sum")
    metrics.histogram("other_seconds", path="/").observe(0.3)
    bounds = [key for key in _read(metrics) if key.startswith("other_seconds_bucket")]
    must(
        len(bounds) == 12 and 'other_seconds_bucket{path="/",le="0.005"}' in bounds,
        "without buckets it has 0.005 to 10",
    )


async def _refuses(metrics: Metrics) -> None:
    metrics.counter("taken")
    metrics.histogram("spread", "", (1, 2))
    bad: Sequence[Callable[[], object]] = (
        lambda: metrics.counter(""),
        lambda: metrics.counter("1st"),
        lambda: metrics.counter("with space"),
        lambda: metrics.counter("line\nbreak"),
        lambda: metrics.counter("good", "", __own="x"),
        lambda: metrics.counter("good", "", **{"a-b": "x"}),
        lambda: metrics.gauge("taken"),
        lambda: metrics.histogram("taken"),
        lambda: metrics.histogram("spread", "", (1, 3)),
        lambda: metrics.histogram("falls", "", (2, 1)),
        lambda: metrics.histogram("same", "", (1, 1)),
        lambda: metrics.histogram("le_too", "", (1,), le="x"),
    )
    for number, work in enumerate(bad):
        _raises(work, f"a name, label or bucket that is none raises ValueError (number {number} of the checker's)")


async def _exposes(metrics: Metrics) -> None:
    metrics.counter("odd_total", 'help with \\ and\nnewline "', value='quote " slash \\ newline \n end').add(3)
    must(list(_read(metrics).values()) == [3], "help and labels may be any text")
    must("# TYPE odd_total counter" in metrics.exposition().splitlines(), "exposition() says of what kind a number is")


async def _many(metrics: Metrics) -> None:
    kept: Any = metrics.counter("kept_total")
    for number in range(MANY):
        metrics.counter("by_peer_total", "", peer=str(number)).add()
    kept.add()
    text = metrics.exposition()
    must(text.count("\n") < MANY and len(text) < EXPOSED_MAX, "a store holds a bounded number of series")
    must(_read(metrics)["kept_total"] == 1, "what was there before the flood still counts")
