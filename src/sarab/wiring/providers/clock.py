"""The machine's clock."""

from __future__ import annotations

from sarab.aio.clock import SystemClock
from sarab.device.clock import Clock


def clock() -> Clock:
    """The clock of the machine, or of the host."""
    return SystemClock()
