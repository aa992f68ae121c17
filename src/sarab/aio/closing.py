"""What is closed at the end of an `async with` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Has close(); the block gives the thing itself."""

    async def close(self) -> None:
        """Close it. Twice is harmless."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Return the thing itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()
