"""What every disk checks before it does anything: that the sectors are its own."""

from __future__ import annotations

from sarab.device.block import Block
from sarab.device.errors import OutOfRange
from sarab.device.network import Buffer


def check_range(disk: Block, sector: int, count: int) -> None:
    """Raises OutOfRange unless the disk has `count` sectors from `sector` on."""
    if sector < 0 or count < 0 or sector + count > disk.sectors:
        raise OutOfRange(f"{count} sectors from {sector} on are not on a disk of {disk.sectors}")


def sectors_of(disk: Block, data: Buffer) -> int:
    """Return how many sectors `data` fills. Raises OutOfRange if they are not whole."""
    length = data.nbytes if isinstance(data, memoryview) else len(data)
    if length % disk.sector_size:
        raise OutOfRange(f"{length} bytes are no whole sectors of {disk.sector_size}")
    return length // disk.sector_size
