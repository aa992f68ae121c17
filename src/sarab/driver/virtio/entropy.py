"""This machine's entropy devices. Beside discovery, so that an image that asks for none has no driver for them."""

from __future__ import annotations

from collections.abc import Callable

from sarab.device.errors import DeviceLost
from sarab.driver.virtio import platform
from sarab.driver.virtio.discovery import devices
from sarab.driver.virtio.rng import VirtioRng, feed
from sarab.driver.virtio.transport import ENTROPY


def feed_entropy(say: Callable[[str], None]) -> int:
    """Mix what this machine's entropy devices give into the kernel's generator; return how many bytes that was."""
    kernel = platform.Kernel()
    count = 0
    for where, transport, line in devices(kernel, say):
        if transport.device_id != ENTROPY:
            continue
        try:
            source = VirtioRng(transport, kernel, line)
            try:
                count += feed(source)
            finally:
                source.close()
        except (DeviceLost, MemoryError, OSError) as why:
            say(f"the entropy device {where} cannot be used: {why}")
    return count
