"""Standard input and output."""

from __future__ import annotations

from sarab.aio.console import StandardConsole
from sarab.device.console import Console


def console() -> Console:
    """The console of the machine, or the terminal of the process."""
    return StandardConsole()
