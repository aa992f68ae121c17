"""Values under names, as in mirage-kv: the smallest store that an application can ask for."""

from __future__ import annotations

from typing import Protocol

from sarab.device.network import Buffer


class KeyValue(Protocol):
    """A store of bytes under keys. A key is text of 1 to 255 bytes in UTF-8; `/` has no meaning but to list().

    A key that is none is OutOfRange. Errors: NotFound, ReadOnly, NoSpace, OutOfRange, DeviceFailed, DeviceLost
    (sarab.device.errors).
    """

    @property
    def read_only(self) -> bool:
        """Whether set(), set_partial(), delete() and rename() raise ReadOnly."""

    async def get(self, key: str) -> bytes:
        """Return the value. Raises NotFound."""

    async def get_partial(self, key: str, offset: int, length: int) -> bytes:
        """Return at most `length` bytes of the value from `offset` on; b"" behind its end. Raises NotFound."""

    async def set(self, key: str, value: Buffer) -> None:
        """Store the value, whole or not at all, in the place of the one before. Raises ReadOnly, NoSpace."""

    async def set_partial(self, key: str, offset: int, value: Buffer) -> None:
        """Replace a part of a value from `offset` on, whole or not at all; it grows, with zeros where nothing was.

        Raises NotFound, ReadOnly, NoSpace, OutOfRange for an offset below 0.
        """

    async def delete(self, key: str) -> None:
        """Remove the key. Raises NotFound, ReadOnly."""

    async def rename(self, key: str, new: str) -> None:
        """Move a value to another key, whose own is replaced, in one step. Raises NotFound, ReadOnly."""

    async def exists(self, key: str) -> bool:
        """Say whether the key has a value."""

    async def size(self, key: str) -> int:
        """Return the value's length in bytes. Raises NotFound."""

    async def modified(self, key: str) -> int:
        """Return when the value was stored: nanoseconds since 1970-01-01T00:00Z, 0 where it is not kept.

        Raises NotFound.
        """

    async def list(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`, sorted."""

    async def flush(self) -> None:
        """Return when all that was stored before survives a crash."""
