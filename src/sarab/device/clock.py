"""Time: one that only goes on, the one of the wall, and waiting."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """A clock. In a test it is virtual: sleeping costs nothing."""

    def monotonic(self) -> int:
        """Return nanoseconds since some moment before; never less than the time before."""

    def wall(self) -> int:
        """Return nanoseconds since 1970-01-01T00:00Z. It may be set, and so jump."""

    def now(self) -> datetime:
        """Return wall() as a datetime in UTC, to the microsecond."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds, at once for 0 and less."""
