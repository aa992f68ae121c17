"""A disk: sectors that are read and written whole (virtio 1.3 section 5.2)."""

from __future__ import annotations

from typing import Protocol

from sarab.device.network import Buffer


class Block(Protocol):
    """A block device. Requests may be made by many tasks at once; those that overlap have no order.

    A write or discard that is cancelled may still be done, wholly or in part, until the next flush() has returned.
    Errors: OutOfRange, ReadOnly, DeviceFailed for one request, DeviceLost for good (sarab.device.errors).
    """

    @property
    def sector_size(self) -> int:
        """Bytes of a sector: a power of two, at least 512."""

    @property
    def sectors(self) -> int:
        """How many sectors it has."""

    @property
    def read_only(self) -> bool:
        """Whether write() and discard() raise ReadOnly."""

    async def read(self, sector: int, count: int) -> bytes:
        """Return `count` sectors from `sector` on. Raises OutOfRange, DeviceFailed, DeviceLost."""

    async def write(self, sector: int, data: Buffer) -> None:
        """Write `data`, whole sectors, from `sector` on. What was written survives a crash only after flush().

        Raises OutOfRange, ReadOnly, DeviceFailed, DeviceLost.
        """

    async def flush(self) -> None:
        """Return when all that was written before is on the medium. Raises DeviceFailed, DeviceLost."""

    async def discard(self, sector: int, count: int) -> None:
        """Say that these sectors are needed no more: what they hold is undefined until they are written.

        A device that cannot discard does nothing. Raises OutOfRange, ReadOnly, DeviceFailed, DeviceLost.
        """
