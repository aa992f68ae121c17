"""virtio-rng (virtio 1.3 section 5.4): bytes from the host's generator, and how they reach the kernel's."""

from __future__ import annotations

import os
from select import select
from time import monotonic

from sarab.device.network import DeviceLost
from sarab.driver.virtio.platform import Platform
from sarab.driver.virtio.queue import F_WRITE, VirtQueue, ring_size
from sarab.driver.virtio.transport import F_EVENT_IDX, Transport

QUEUE_SIZE_MAX = 8
"""One request is on its way at a time; a device may not like a queue of one."""
REQUEST_MAX = 4096
"""Bytes asked for at once: a page. Nobody needs more entropy than a key or two."""
SEED_SIZE = 64
"""Bytes that the kernel's generator is fed with: twice its key."""
PATIENCE_SECONDS = 1.0
"""How long a host may think. One without entropy must not hold up a start."""


class VirtioRng:
    """A source of random bytes. Not thread-safe."""

    def __init__(self, transport: Transport, platform: Platform, line: int = -1) -> None:
        """Start the device behind `transport`. Raises DeviceLost, MemoryError, OSError."""
        self._transport = transport
        self._closed = False
        try:
            event_idx = bool(transport.negotiate(F_EVENT_IDX) & F_EVENT_IDX)
            size = transport.queue_size(0, QUEUE_SIZE_MAX)
            if size == 0:
                raise DeviceLost("a virtio entropy device without a queue")
            region = platform.allocate(REQUEST_MAX + ring_size(size))
            self._memory, self._physical = region.view[:REQUEST_MAX], region.physical
            self._queue = VirtQueue(region, REQUEST_MAX, size, event_idx)
            self._asked = False
            self._interrupt = transport.connect(platform, line)
            transport.start_queue(0, self._queue)
            transport.start()
        except BaseException:
            transport.fail()
            raise

    def fileno(self) -> int:
        """Return a descriptor that polls readable when take() has something."""
        return self._interrupt.fileno()

    def ask(self, size: int) -> None:
        """Ask for at most `size` bytes (1 to REQUEST_MAX), unless an answer is awaited already."""
        if self._asked or self._closed:
            return
        self._asked = True
        self._interrupt.arm()
        self._queue.interrupts_on()
        self._queue.add(0, self._physical, max(1, min(size, REQUEST_MAX)), F_WRITE)
        if self._queue.publish():
            self._transport.notify(0)

    def take(self) -> bytes:
        """Return what has come, and nothing if nothing has. Raises DeviceLost."""
        if self._closed:
            return b""
        if self._interrupt.take():
            self._transport.acknowledge()
        taken = self._queue.take(1)
        if not taken:
            self._interrupt.arm()
            return b""
        self._asked = False
        length = taken[0][1]
        data = bytes(self._memory[:length])
        self._memory[:length] = bytes(length)  # nobody is to read it a second time
        return data

    def read(self, size: int, patience_s: float = PATIENCE_SECONDS) -> bytes:
        """Wait for `size` bytes and return them; fewer when the host is slower than `patience_s`. Raises DeviceLost."""
        end = monotonic() + patience_s
        got = b""
        while len(got) < size and not self._closed:
            self.ask(size - len(got))
            left = end - monotonic()
            if left <= 0 or not select([self._interrupt.fileno()], [], [], left)[0]:
                break
            got += self.take()
        return got

    def close(self) -> None:
        """Stop the device. Calling it twice is harmless."""
        if not self._closed:
            self._closed = True
            self._transport.stop()
            self._interrupt.close()


def feed(source: VirtioRng, size: int = SEED_SIZE) -> int:
    """Mix `size` bytes of `source` into the kernel's generator, and return how many came.

    What is mixed in adds to what the kernel has; a host that gives known bytes takes nothing away.
    """
    data = source.read(size)
    if data:
        descriptor = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
    return len(data)
