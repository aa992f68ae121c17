"""What virtio's transports have in common (virtio 1.3 sections 2.1, 2.2, 3.1): status, features, how a start goes."""

from __future__ import annotations

from sarab.device.network import DeviceLost
from sarab.driver.virtio.platform import Interrupt, Platform
from sarab.driver.virtio.queue import VirtQueue

NETWORK, BLOCK, CONSOLE, ENTROPY = 1, 2, 3, 4
"""Device identifiers, section 5."""

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, DEVICE_NEEDS_RESET, FAILED = 1, 2, 4, 8, 64, 128
"""Bits of the device status, section 2.1."""

F_EVENT_IDX, F_VERSION_1 = 1 << 29, 1 << 32
RESET_READS_MAX = 100_000
"""How often we look whether a device has reset: a tenth of a second where a look is a microsecond. QEMU's need one."""


class Transport:
    """The registers of one device, whatever bus it is on. The first half is the bus's business."""

    device_id = 0
    """What the device is; 0: nothing, or nothing that we can talk to."""

    def status(self) -> int:
        """Return the device status."""
        raise NotImplementedError

    def set_status(self, status: int) -> None:
        """Write the device status; 0 resets."""
        raise NotImplementedError

    def offered(self, half: int) -> int:
        """Return 32 of the features that the device offers, the lower half or the upper."""
        raise NotImplementedError

    def accept(self, half: int, features: int) -> None:
        """Write 32 of the features that we take."""
        raise NotImplementedError

    def queue_size(self, index: int, most: int) -> int:
        """Return how large queue `index` can be, a power of two, or 0 if there is none."""
        raise NotImplementedError

    def start_queue(self, index: int, queue: VirtQueue) -> None:
        """Tell the device where a queue is; connect() comes first."""
        raise NotImplementedError

    def notify(self, index: int) -> None:
        """There is something new in a queue."""
        raise NotImplementedError

    def connect(self, platform: Platform, line: int) -> Interrupt:
        """Return the device's interrupt, not armed. `line` is where the machine says it is; not every bus asks."""
        raise NotImplementedError

    def acknowledge(self) -> None:
        """Take back the interrupt, whatever its reasons."""
        raise NotImplementedError

    def config(self, offset: int, size: int) -> bytes:
        """Return bytes of the device's configuration: a field of 1, 2 or 4 bytes is read at once, others bytewise."""
        raise NotImplementedError

    # ---- what follows from it ------------------------------------------------------------------------------------

    def reset(self) -> None:
        """The device forgets everything, and its memory is ours again when this returns. Raises DeviceLost."""
        self.set_status(0)
        for _ in range(RESET_READS_MAX):
            if self.status() == 0:
                return
        raise DeviceLost("a virtio device does not reset")

    def negotiate(self, wanted: int) -> int:
        """Agree on features and return them (section 3.1.1, steps 1 to 6). Raises DeviceLost."""
        self.reset()
        self.set_status(ACKNOWLEDGE)
        self.set_status(ACKNOWLEDGE | DRIVER)
        agreed = (self.offered(0) | self.offered(1) << 32) & (wanted | F_VERSION_1)
        if not agreed & F_VERSION_1:
            self.set_status(FAILED)
            raise DeviceLost("a virtio device of before 1.0; QEMU wants '-global virtio-mmio.force-legacy=false'")
        self.accept(0, agreed & 0xFFFFFFFF)
        self.accept(1, agreed >> 32)
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if not self.status() & FEATURES_OK:
            self.set_status(FAILED)
            raise DeviceLost("a virtio device refuses the features it has offered")
        return agreed

    def start(self) -> None:
        """The driver is ready (section 3.1.1, step 8)."""
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

    def fail(self) -> None:
        """Give the device up: it stops, and its status says why."""
        self.set_status(0)
        self.set_status(FAILED)

    def stop(self) -> None:
        """Reset the device, or give it up: its memory is never used for anything else then (decision 0042)."""
        try:
            self.reset()
        except DeviceLost:
            self.fail()

    def needs_reset(self) -> bool:
        """Say whether the device has given up (section 2.1.2)."""
        return bool(self.status() & DEVICE_NEEDS_RESET)


def power_of_two(size: int, most: int) -> int:
    """Return the largest power of two that is neither above `size` nor above `most`; 0 for 0."""
    least = min(size, most)
    return 1 << least.bit_length() - 1 if least > 0 else 0
