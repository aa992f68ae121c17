"""The console of the machine: text in lines."""

from __future__ import annotations

from typing import Protocol


class Console(Protocol):
    """A console. Writing does not wait; lines come as they are typed."""

    def write(self, text: str) -> None:
        """Write `text` as it is, with no line break added."""

    async def read_line(self) -> str:
        """Return the next line with its line break; "" at the end of the input."""
