"""The machine's own time (device.clock.Clock)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """device.clock.Clock; it sleeps in the event loop that runs."""

    def monotonic(self) -> int:
        """See Clock."""
        return time.monotonic_ns()

    def wall(self) -> int:
        """See Clock."""
        return time.time_ns()

    def now(self) -> datetime:
        """See Clock."""
        return EPOCH + timedelta(microseconds=time.time_ns() // 1000)

    async def sleep(self, seconds: float) -> None:
        """See Clock."""
        await asyncio.sleep(seconds)
