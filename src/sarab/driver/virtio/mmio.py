"""virtio over MMIO, version 2 (virtio 1.3 section 4.2)."""

from __future__ import annotations

from sarab.device.network import DeviceLost
from sarab.driver.virtio.queue import VirtQueue

MAGIC = 0x74726976
NETWORK, BLOCK, CONSOLE, ENTROPY = 1, 2, 3, 4
"""Device identifiers, section 5."""

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED = 1, 2, 4, 8, 64, 128
"""Bits of the device status, section 2.1."""

F_EVENT_IDX, F_VERSION_1 = 1 << 29, 1 << 32

# Registers, as indices of 32-bit words (table 4.1).
_MAGIC, _VERSION, _DEVICE_ID = 0x000 >> 2, 0x004 >> 2, 0x008 >> 2
_DEVICE_FEATURES, _DEVICE_FEATURES_SEL = 0x010 >> 2, 0x014 >> 2
_DRIVER_FEATURES, _DRIVER_FEATURES_SEL = 0x020 >> 2, 0x024 >> 2
_QUEUE_SEL, _QUEUE_SIZE_MAX, _QUEUE_SIZE, _QUEUE_READY = 0x030 >> 2, 0x034 >> 2, 0x038 >> 2, 0x044 >> 2
_QUEUE_NOTIFY = 0x050 >> 2
_INTERRUPT_STATUS, _INTERRUPT_ACK, _STATUS = 0x060 >> 2, 0x064 >> 2, 0x070 >> 2
_QUEUE_DESC, _QUEUE_DRIVER, _QUEUE_DEVICE = 0x080 >> 2, 0x090 >> 2, 0x0A0 >> 2
_CONFIG = 0x100
REGISTERS_SIZE = 0x200


class Mmio:
    """The registers of one device."""

    def __init__(self, registers: memoryview) -> None:
        """`registers` are REGISTERS_SIZE bytes."""
        self._bytes = registers
        self._words = registers.cast("I")

    @property
    def device_id(self) -> int:
        """What the device is; 0: nothing, or nothing that we can talk to."""
        words = self._words
        if words[_MAGIC] != MAGIC or words[_VERSION] != 2:
            return 0
        return words[_DEVICE_ID]

    def reset(self) -> None:
        """Section 4.2.3.1: the device forgets everything; its memory is ours again when this returns."""
        self._words[_STATUS] = 0
        for _ in range(1_000_000):
            if self._words[_STATUS] == 0:
                return
        raise DeviceLost("a virtio device does not reset")

    def negotiate(self, wanted: int) -> int:
        """Agree on features and return them (section 3.1.1, steps 1 to 6). Raises DeviceLost."""
        words = self._words
        self.reset()
        words[_STATUS] = ACKNOWLEDGE
        words[_STATUS] = ACKNOWLEDGE | DRIVER
        offered = 0
        for half in (0, 1):
            words[_DEVICE_FEATURES_SEL] = half
            offered |= words[_DEVICE_FEATURES] << 32 * half
        agreed = offered & (wanted | F_VERSION_1)
        if not agreed & F_VERSION_1:
            raise DeviceLost("a virtio device of before 1.0; QEMU wants '-global virtio-mmio.force-legacy=false'")
        for half in (0, 1):
            words[_DRIVER_FEATURES_SEL] = half
            words[_DRIVER_FEATURES] = agreed >> 32 * half & 0xFFFFFFFF
        words[_STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK
        if not words[_STATUS] & FEATURES_OK:
            raise DeviceLost("a virtio device refuses the features it has offered")
        return agreed

    def queue_size(self, index: int, most: int) -> int:
        """Return how large queue `index` can be, a power of two, or 0 if there is none."""
        self._words[_QUEUE_SEL] = index
        size = min(self._words[_QUEUE_SIZE_MAX], most)
        return 1 << size.bit_length() - 1 if size else 0

    def start_queue(self, index: int, queue: VirtQueue) -> None:
        """Tell the device where a queue is (section 4.2.3.2)."""
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

    def start(self) -> None:
        """The driver is ready (section 3.1.1, step 8)."""
        self._words[_STATUS] = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK

    def fail(self) -> None:
        """Give the device up."""
        self._words[_STATUS] = FAILED

    def notify(self, index: int) -> None:
        """There is something new in a queue (section 4.2.3.3)."""
        self._words[_QUEUE_NOTIFY] = index

    def acknowledge(self) -> None:
        """Take back the interrupt, whatever its reasons (section 4.2.3.4)."""
        self._words[_INTERRUPT_ACK] = 3

    def needs_reset(self) -> bool:
        """Say whether the device has given up."""
        return bool(self._words[_STATUS] & DEVICE_NEEDS_RESET)

    def config(self, offset: int, size: int) -> bytes:
        """Return bytes of the device's configuration."""
        return bytes(self._bytes[_CONFIG + offset : _CONFIG + offset + size])
