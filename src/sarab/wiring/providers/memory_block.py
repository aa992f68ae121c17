"""A disk in memory, for tests."""

from __future__ import annotations

from typing import Annotated

from sarab.device.block import Block
from sarab.driver.disk_memory import SECTOR_SIZE_DEFAULT, MemoryDisk
from sarab.wiring.keys import Key, Name, Size

SIZE = Size("16MiB")


def block(name: Name, *, size: Annotated[Size, Key("how large it is")] = SIZE) -> Block:
    """A disk in memory: what is on it is forgotten in the end."""
    del name  # another for each
    return MemoryDisk(size // SECTOR_SIZE_DEFAULT)
