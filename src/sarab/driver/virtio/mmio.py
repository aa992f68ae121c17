"""virtio over MMIO, version 2 (virtio 1.3 section 4.2)."""

from __future__ import annotations

from sarab.driver.virtio.platform import Interrupt, Platform
from sarab.driver.virtio.queue import VirtQueue
from sarab.driver.virtio.transport import ENTROPY, NETWORK, Transport, power_of_two

__all__ = ["ENTROPY", "NETWORK", "REGISTERS_SIZE", "Mmio"]

MAGIC = 0x74726976

# Registers, as indices of 32-bit words (table 4.1).
_MAGIC, _VERSION, _DEVICE_ID = 0x000 >> 2, 0x004 >> 2, 0x008 >> 2
_DEVICE_FEATURES, _DEVICE_FEATURES_SEL = 0x010 >> 2, 0x014 >> 2
_DRIVER_FEATURES, _DRIVER_FEATURES_SEL = 0x020 >> 2, 0x024 >> 2
_QUEUE_SEL, _QUEUE_SIZE_MAX, _QUEUE_SIZE, _QUEUE_READY = 0x030 >> 2, 0x034 >> 2, 0x038 >> 2, 0x044 >> 2
_QUEUE_NOTIFY = 0x050 >> 2
_INTERRUPT_ACK, _STATUS = 0x064 >> 2, 0x070 >> 2
_QUEUE_DESC, _QUEUE_DRIVER, _QUEUE_DEVICE = 0x080 >> 2, 0x090 >> 2, 0x0A0 >> 2
_CONFIG = 0x100
REGISTERS_SIZE = 0x200


class Mmio(Transport):
    """The registers of one device."""

    def __init__(self, registers: memoryview) -> None:
        """`registers` are REGISTERS_SIZE bytes."""
        self._bytes = registers
        self._halves = registers.cast("H")
        self._words = words = registers.cast("I")
        if words[_MAGIC] == MAGIC and words[_VERSION] == 2:
            self.device_id = words[_DEVICE_ID]

    def status(self) -> int:
        """See Transport."""
        return self._words[_STATUS]

    def set_status(self, status: int) -> None:
        """See Transport."""
        self._words[_STATUS] = status

    def offered(self, half: int) -> int:
        """See Transport."""
        self._words[_DEVICE_FEATURES_SEL] = half
        return self._words[_DEVICE_FEATURES]

    def accept(self, half: int, features: int) -> None:
        """See Transport."""
        self._words[_DRIVER_FEATURES_SEL] = half
        self._words[_DRIVER_FEATURES] = features

    def queue_size(self, index: int, most: int) -> int:
        """See Transport."""
        self._words[_QUEUE_SEL] = index
        return power_of_two(self._words[_QUEUE_SIZE_MAX], most)

    def start_queue(self, index: int, queue: VirtQueue) -> None:
        """See Transport; section 4.2.3.2."""
        words = self._words
        words[_QUEUE_SEL] = index
        words[_QUEUE_SIZE] = queue.size
        for register, address in (
            (_QUEUE_DESC, queue.desc_address),
            (_QUEUE_DRIVER, queue.driver_address),
            (_QUEUE_DEVICE, queue.device_address),
        ):
            words[register] = address & 0xFFFFFFFF
            words[register + 1] = address >> 32
        words[_QUEUE_READY] = 1

    def notify(self, index: int) -> None:
        """See Transport; section 4.2.3.3."""
        self._words[_QUEUE_NOTIFY] = index

    def connect(self, platform: Platform, line: int) -> Interrupt:
        """See Transport."""
        return platform.interrupt(line)

    def acknowledge(self) -> None:
        """See Transport; section 4.2.3.4. Both reasons at once: to read which it was costs an exit and tells little."""
        self._words[_INTERRUPT_ACK] = 3

    def config(self, offset: int, size: int) -> bytes:
        """See Transport."""
        at = _CONFIG + offset
        if size == 2:
            return self._halves[at >> 1].to_bytes(2, "little")
        if size == 4:
            return self._words[at >> 2].to_bytes(4, "little")
        # One by one: what a block copy does to registers is the C library's business.
        return bytes([self._bytes[step] for step in range(at, at + size)])
