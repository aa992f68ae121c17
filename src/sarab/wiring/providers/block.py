"""The machine's disks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sarab.device.block import Block
from sarab.device.errors import DeviceLost
from sarab.wiring.disks import disks
from sarab.wiring.keys import Name


async def block(name: Name) -> AsyncIterator[Block]:
    """The disk that `sarab run --block NAME=FILE` gave this name; it is flushed in the end."""
    disk = disks().get(name)
    if disk is None:
        raise DeviceLost(f"this machine has no disk {name}: 'sarab run' gives it one by --block {name}=FILE")
    yield disk
    await disk.flush()
    disk.close()
