"""This machine's disks. Beside discovery, so that an image without one has no driver for them."""

from __future__ import annotations

from collections.abc import Callable

from sarab.device.errors import DeviceLost
from sarab.driver.virtio import platform
from sarab.driver.virtio.block import VirtioBlock
from sarab.driver.virtio.discovery import devices
from sarab.driver.virtio.transport import BLOCK


def blocks(say: Callable[[str], None]) -> list[VirtioBlock]:
    """Start this machine's disks and return them. `say` is given a sentence for each that does not start."""
    kernel = platform.Kernel()
    disks: list[VirtioBlock] = []
    for where, transport, line in devices(kernel, say):
        if transport.device_id != BLOCK:
            continue
        try:
            disks.append(VirtioBlock(transport, kernel, line))
        except (DeviceLost, MemoryError, OSError) as why:
            say(f"the disk {where} does not start: {why}")
    return disks
