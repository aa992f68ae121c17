"""What every device.clock.Clock promises, checked: `check_clock(make)`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sarab.device.clock import Clock
from sarab.testing.checks.promise import Run, must, opened, within

NAP_SECONDS = 0.02
DAY_NS = 86_400_000_000_000


def check_clock(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a clock; `make` returns a fresh one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], object]) -> None:
    for check in (_tells, _sleeps):
        async with opened(make()) as clock:
            await within(check(clock), f"a clock goes on ({check.__name__.strip('_')})")


async def _tells(clock: Clock) -> None:
    times = [clock.monotonic() for _ in range(100)]
    must(all(type(time) is int for time in times), "monotonic() is whole nanoseconds")
    must(times == sorted(times), "monotonic() never goes back")
    wall, now = clock.wall(), clock.now()
    must(type(wall) is int, "wall() is whole nanoseconds")
    must(now.tzinfo is not None and now.utcoffset() == timedelta(0), "now() is in UTC")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    apart = (now - epoch) // timedelta(microseconds=1) * 1000 - wall
    must(-1000 < apart < NAP_SECONDS * 1e9, "now() is wall(), to the microsecond")
    must(0 <= wall < 200 * 365 * DAY_NS, "wall() is nanoseconds since 1970")


async def _sleeps(clock: Clock) -> None:
    for seconds in (0, -1):
        await clock.sleep(seconds)
    before, wall = clock.monotonic(), clock.wall()
    await clock.sleep(NAP_SECONDS)
    passed = clock.monotonic() - before
    must(passed >= NAP_SECONDS * 0.99e9, "sleep() lasts as long as it is asked to")
    must(clock.wall() > wall, "the clock on the wall goes on too")
    order: list[float] = []

    async def nap(seconds: float) -> None:
        await clock.sleep(seconds)
        order.append(seconds)

    naps = [3 * NAP_SECONDS, NAP_SECONDS, 2 * NAP_SECONDS]
    before = clock.monotonic()
    await asyncio.gather(*map(nap, naps))
    must(order == sorted(naps), "who sleeps longer wakes later")
    must(clock.monotonic() - before < sum(naps) * 50e9, "sleeping is side by side")
    task = asyncio.ensure_future(clock.sleep(3600))
    await clock.sleep(NAP_SECONDS)
    must(not task.done(), "sleep() does not end before its time")
    task.cancel()
    must(
        isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError),
        "sleep() ends when cancelled",
    )
