"""What every device.random.Random promises, checked: `check_random(make)`. How good its bytes are is not seen so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sarab.device.random import Random
from sarab.testing.checks.promise import Run, must, opened, within

SAMPLE = 65536
"""Bytes. Of a fair source, fewer than one in 10^12 samples has a value so far from its share."""
DEVIATIONS = 8


def check_random(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check it; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], object]) -> None:
    for check in (_bytes, _numbers):
        async with opened(make()) as source:
            await within(check(source), f"it answers ({check.__name__.strip('_')})")


async def _bytes(source: Random) -> None:
    for count in (0, 1, 16, 1000, 300_000):
        data = source.bytes(count)
        must(type(data) is bytes and len(data) == count, "bytes() returns as many bytes as were asked for")
    must(source.bytes(32) != source.bytes(32), "bytes() does not repeat itself")
    data = source.bytes(SAMPLE)
    _fair([data.count(value) for value in range(256)], "every byte is as likely")


async def _numbers(source: Random) -> None:
    must([source.below(1) for _ in range(10)] == [0] * 10, "below(1) is 0")
    for bound in (2, 3, 7, 256, 257):
        drawn = [source.below(bound) for _ in range(SAMPLE // 8)]
        must(all(type(number) is int and 0 <= number < bound for number in drawn), "below() is from 0 to bound - 1")
        _fair([drawn.count(value) for value in range(bound)], f"every number below {bound} is as likely")
    large = [source.below(1 << 200) for _ in range(64)]
    must(all(0 <= number < 1 << 200 for number in large), "below() is from 0 to bound - 1")
    must(max(large) >= 1 << 190, "below() reaches the upper end of a large bound")
    for bound in (0, -1):
        try:
            source.below(bound)
        except ValueError:
            continue
        must(False, "below() raises ValueError for a bound below 1")


def _fair(counts: list[int], words: str) -> None:
    share = sum(counts) / len(counts)
    must(max(abs(count - share) for count in counts) <= DEVIATIONS * share**0.5, words)
