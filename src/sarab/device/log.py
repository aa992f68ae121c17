"""A log of events: a level, a sentence, and fields that machines read."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

Field = str | int | float | bool | None


class Level(IntEnum):
    """How much an event matters; the numbers are logging's."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Log(Protocol):
    """A log, or a part of one. None of it waits, and none of it raises."""

    def debug(self, message: str, /, **fields: Field) -> None:
        """Log what helps to find a fault."""

    def info(self, message: str, /, **fields: Field) -> None:
        """Log what an operator wants to know."""

    def warning(self, message: str, /, **fields: Field) -> None:
        """Log what should not be, and can be lived with."""

    def error(self, message: str, /, **fields: Field) -> None:
        """Log what failed."""

    def named(self, name: str, /) -> Log:
        """Return a part of this log: its events carry `name`, after the names of those above it and a dot."""
