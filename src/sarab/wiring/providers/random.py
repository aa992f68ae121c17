"""The kernel's randomness."""

from __future__ import annotations

from sarab.aio.random import SystemRandom
from sarab.device.random import Random


def random() -> Random:
    """The generator of the kernel."""
    return SystemRandom()
