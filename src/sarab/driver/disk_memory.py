"""A disk in memory: for tests, and for what may be forgotten. It also shows what a crash would leave of it."""

from __future__ import annotations

from random import Random

from sarab.device.errors import DeviceLost, ReadOnly
from sarab.device.network import Buffer
from sarab.driver.disk_range import check_range, sectors_of

SECTOR_SIZE_DEFAULT = 512


class MemoryDisk:
    """device.block.Block. Memory is taken as it is written (the rest are zero pages)."""

    def __init__(self, sectors: int, *, sector_size: int = SECTOR_SIZE_DEFAULT, read_only: bool = False) -> None:
        """Raises ValueError for a sector size that no disk has."""
        if sector_size < 512 or sector_size & sector_size - 1:
            raise ValueError(f"{sector_size} is no sector size: a power of two, at least 512")
        self.sector_size, self.sectors, self.read_only = sector_size, sectors, read_only
        self._data = bytearray(sectors * sector_size)
        self._unflushed: dict[int, bytes] = {}
        """By sector, what is on the medium where that is not what is read."""
        self._closed = False

    @classmethod
    def of(cls, data: Buffer, *, sector_size: int = SECTOR_SIZE_DEFAULT, read_only: bool = False) -> MemoryDisk:
        """Return a disk that holds `data`; what is missing to a whole sector is zeros."""
        disk = cls(-(-len(data) // sector_size), sector_size=sector_size, read_only=read_only)
        disk._data[: len(data)] = data
        return disk

    async def read(self, sector: int, count: int) -> bytes:
        """See Block."""
        start, end = self._place(sector, count)
        return bytes(memoryview(self._data)[start:end])

    async def write(self, sector: int, data: Buffer) -> None:
        """See Block."""
        self._change(sector, sectors_of(self, data), bytes(data))

    async def flush(self) -> None:
        """See Block."""
        self._place(0, 0)
        self._unflushed.clear()

    async def discard(self, sector: int, count: int) -> None:
        """See Block; what was discarded reads as zeros."""
        self._change(sector, count, bytes(count * self.sector_size) if 0 <= count <= self.sectors else b"")

    def crashed(self, chance: Random) -> MemoryDisk:
        """Return the disk as a loss of power now would leave it: unflushed sectors are old or new, as it is drawn."""
        disk = MemoryDisk.of(self._data, sector_size=self.sector_size)
        for sector, old in self._unflushed.items():
            if chance.random() < 0.5:
                start = sector * self.sector_size
                disk._data[start : start + self.sector_size] = old
        return disk

    def close(self) -> None:
        """Whoever uses it from now on is told that it is gone. Twice is harmless."""
        self._closed = True

    def _place(self, sector: int, count: int) -> tuple[int, int]:
        if self._closed:
            raise DeviceLost("a disk in memory was closed")
        check_range(self, sector, count)
        return sector * self.sector_size, (sector + count) * self.sector_size

    def _change(self, sector: int, count: int, data: bytes) -> None:
        if self.read_only:
            raise ReadOnly("this disk in memory is read-only")
        start, end = self._place(sector, count)
        size = self.sector_size
        for step in range(count):
            at = start + step * size
            self._unflushed.setdefault(sector + step, bytes(self._data[at : at + size]))
        self._data[start:end] = data
