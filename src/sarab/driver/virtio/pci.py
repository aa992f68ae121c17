"""virtio over PCI (virtio 1.3 section 4.1), with MSI-X; and as much of PCI (3.0) as finding such a device takes."""

import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from sarab.device.network import DeviceLost
from sarab.driver.virtio.platform import Interrupt, Platform
from sarab.driver.virtio.queue import VirtQueue
from sarab.driver.virtio.transport import Transport, power_of_two

VENDOR = 0x1AF4
DEVICE_MODERN, DEVICE_TRANSITIONAL = 0x1040, 0x1000
"""Section 4.1.2: the device's identifier is added to the first; the second has it in the subsystem's identifier."""

# Configuration space, PCI 3.0 chapter 6.
_VENDOR, _DEVICE, _COMMAND, _STATUS, _HEADER_TYPE, _BARS = 0x00, 0x02, 0x04, 0x06, 0x0E, 0x10
_SECONDARY_BUS, _SUBSYSTEM, _CAPABILITIES = 0x19, 0x2E, 0x34
_COMMAND_MEMORY, _COMMAND_MASTER, _COMMAND_NO_INTX = 0x2, 0x4, 0x400
_STATUS_CAPABILITIES = 0x10
_CAP_VENDOR, _CAP_MSIX = 0x09, 0x11
CAPABILITIES_MAX = 48
"""A list in 192 bytes, of 4 bytes each: a longer one is a circle."""
BUSES_MAX = 256
_MSIX_ENABLE, _MSIX_MASK_ALL = 0x8000, 0x4000
NO_VECTOR = 0xFFFF

_COMMON, _NOTIFY, _DEVICE_CONFIG = 1, 2, 4
COMMON_SIZE = 56
"""Of struct virtio_pci_common_cfg up to queue_device."""
NOTIFY_MAX, CONFIG_MAX = 1 << 20, 4096
"""Bytes of these that we map: a device with a page for each of 256 queues, and the largest configuration there is."""


class Bus(Protocol):
    """PCI's configuration space. A function is bus << 8 | device << 3 | function."""

    def read(self, function: int, offset: int, size: int) -> int:
        """Return 1, 2 or 4 bytes; all ones where there is nothing."""

    def write(self, function: int, offset: int, size: int, value: int) -> None:
        """Write 1, 2 or 4 bytes."""


class Ports:
    """Configuration by ports 0xcf8 and 0xcfc (PCI 3.0 section 3.2.2.3.2), on /dev/port."""

    def __init__(self) -> None:
        """Raises OSError where the command line does not open PCI."""
        self._descriptor = os.open("/dev/port", os.O_RDWR | os.O_CLOEXEC)
        os.pread(self._descriptor, 4, 0xCF8)

    def _select(self, function: int, offset: int) -> int:
        os.pwrite(self._descriptor, (1 << 31 | function << 8 | offset & 0xFC).to_bytes(4, "little"), 0xCF8)
        return 0xCFC + (offset & 3)

    def read(self, function: int, offset: int, size: int) -> int:
        """See Bus."""
        return int.from_bytes(os.pread(self._descriptor, size, self._select(function, offset)), "little")

    def write(self, function: int, offset: int, size: int, value: int) -> None:
        """See Bus."""
        os.pwrite(self._descriptor, value.to_bytes(size, "little"), self._select(function, offset))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


def functions(bus: Bus, number: int = 0) -> Iterator[int]:
    """Find what is on a bus, and on those behind its bridges, each once."""
    waiting, seen = [number], {number}
    while waiting:
        here = waiting.pop(0)
        for device in range(32):
            first = here << 8 | device << 3
            if bus.read(first, _VENDOR, 2) == 0xFFFF:
                continue
            several = bus.read(first, _HEADER_TYPE, 1) & 0x80
            for function in range(first, first + 8 if several else first + 1):
                if bus.read(function, _VENDOR, 2) == 0xFFFF:
                    continue
                yield function
                if bus.read(function, _HEADER_TYPE, 1) & 0x7F == 1:
                    behind = bus.read(function, _SECONDARY_BUS, 1)
                    if behind not in seen and len(seen) < BUSES_MAX:
                        seen.add(behind)
                        waiting.append(behind)


def device_id_of(bus: Bus, function: int) -> int:
    """Return which virtio device a function is; 0: none."""
    if bus.read(function, _VENDOR, 2) != VENDOR:
        return 0
    device = bus.read(function, _DEVICE, 2)
    if device > DEVICE_MODERN:
        return device - DEVICE_MODERN if device < DEVICE_MODERN + 0x40 else 0
    return bus.read(function, _SUBSYSTEM, 2) if device >= DEVICE_TRANSITIONAL else 0


class _Place(NamedTuple):
    """A part of a device's memory."""

    address: int
    length: int
    multiplier: int = 0


class Pci(Transport):
    """The registers of one device."""

    def __init__(self, bus: Bus, function: int, platform: Platform) -> None:
        """Raises DeviceLost for a device that lacks what virtio 1.0 asks for, OSError if its registers are not ours."""
        self._bus, self._function = bus, function
        self._msix = 0
        places = self._places()
        for kind, what in ((_COMMON, "common configuration"), (_NOTIFY, "notifications")):
            if kind not in places:
                raise DeviceLost(f"a virtio device without {what}: one of before 1.0 (QEMU: disable-modern=off)")
        self.device_id = device_id_of(bus, function)
        command = bus.read(function, _COMMAND, 2)
        bus.write(function, _COMMAND, 2, command | _COMMAND_MEMORY | _COMMAND_MASTER | _COMMAND_NO_INTX)
        if places[_COMMON].length < COMMON_SIZE:
            raise DeviceLost("a virtio device whose common configuration is too short")
        self._bytes = platform.registers(places[_COMMON].address, COMMON_SIZE)
        self._halves, self._words = self._bytes.cast("H"), self._bytes.cast("I")
        place = places[_NOTIFY]
        self._notify_multiplier = place.multiplier
        self._notify_length = min(place.length, NOTIFY_MAX) & ~1
        if self._notify_length == 0:
            raise DeviceLost("a virtio device that takes no notifications")
        self._notify = platform.registers(place.address, self._notify_length).cast("H")
        self._notify_at: dict[int, int] = {}
        place = places.get(_DEVICE_CONFIG, _Place(0, 0))
        self._config_length = min(place.length, CONFIG_MAX) & ~3
        if self._config_length:
            self._config = platform.registers(place.address, self._config_length)

    def _capabilities(self) -> Iterator[tuple[int, int]]:
        """Find (identifier, offset) of what the function can (PCI 3.0 section 6.7)."""
        if not self._read(_STATUS, 2) & _STATUS_CAPABILITIES:
            return
        at = self._read(_CAPABILITIES, 1) & 0xFC
        for _ in range(CAPABILITIES_MAX):
            if at < 0x40:
                return
            yield self._read(at, 1), at
            at = self._read(at + 1, 1) & 0xFC

    def _places(self) -> dict[int, _Place]:
        """Find the device's structures (section 4.1.4), the first of each kind, and MSI-X."""
        found: dict[int, _Place] = {}
        for identifier, at in self._capabilities():
            if identifier == _CAP_MSIX:
                self._msix = at
            if identifier != _CAP_VENDOR or at > 0x100 - 20:
                continue
            kind, bar = self._read(at + 3, 1), self._read(at + 4, 1)
            base = self._bar(bar)
            if base == 0 or kind in found:
                continue
            offset, length = self._read(at + 8, 4), self._read(at + 12, 4)
            found[kind] = _Place(base + offset, length, self._read(at + 16, 4) if kind == _NOTIFY else 0)
        return found

    def _read(self, offset: int, size: int) -> int:
        return self._bus.read(self._function, offset, size)

    def _bar(self, number: int) -> int:
        """Return where a BAR's memory is; 0: it has none (PCI 3.0 section 6.2.5)."""
        if number > 5:
            return 0
        low = self._read(_BARS + 4 * number, 4)
        if low & 1:
            return 0
        address = low & ~0xF
        if low & 6 == 4 and number < 5:
            address |= self._read(_BARS + 4 * number + 4, 4) << 32
        return address

    # ---- Transport -----------------------------------------------------------------------------------------------

    def status(self) -> int:
        """See Transport."""
        return self._bytes[0x14]

    def set_status(self, status: int) -> None:
        """See Transport."""
        self._bytes[0x14] = status

    def offered(self, half: int) -> int:
        """See Transport."""
        self._words[0x00 >> 2] = half
        return self._words[0x04 >> 2]

    def accept(self, half: int, features: int) -> None:
        """See Transport."""
        self._words[0x08 >> 2] = half
        self._words[0x0C >> 2] = features

    def queue_size(self, index: int, most: int) -> int:
        """See Transport."""
        if index >= self._halves[0x12 >> 1]:
            return 0
        self._halves[0x16 >> 1] = index
        return power_of_two(self._halves[0x18 >> 1], most)

    def start_queue(self, index: int, queue: VirtQueue) -> None:
        """See Transport; section 4.1.5.1.3."""
        halves, words = self._halves, self._words
        halves[0x16 >> 1] = index
        halves[0x18 >> 1] = queue.size
        self._set_vector(0x1A)
        at = halves[0x1E >> 1] * self._notify_multiplier
        if at % 2 or at >= self._notify_length:
            raise DeviceLost("a virtio device wants its notifications outside of where it takes them")
        self._notify_at[index] = at >> 1
        for register, address in (
            (0x20, queue.desc_address),
            (0x28, queue.driver_address),
            (0x30, queue.device_address),
        ):
            words[register >> 2] = address & 0xFFFFFFFF
            words[(register >> 2) + 1] = address >> 32
        halves[0x1C >> 1] = 1

    def _set_vector(self, register: int) -> None:
        """Have the only vector serve; a device that cannot says so by its answer (section 4.1.5.1.2)."""
        self._halves[register >> 1] = 0
        if self._halves[register >> 1] == NO_VECTOR:
            raise DeviceLost("a virtio device finds no room for an interrupt")

    def notify(self, index: int) -> None:
        """See Transport; section 4.1.5.2."""
        self._notify[self._notify_at[index]] = index

    def connect(self, platform: Platform, line: int) -> Interrupt:
        """See Transport: entry 0 of the MSI-X table (PCI 3.0 section 6.8.2), for queues and configuration alike."""
        bus, function, at = self._bus, self._function, self._msix
        if not at:
            raise DeviceLost("a virtio device without MSI-X (QEMU: vectors=4), and no lines of PCI are routed here")
        place = self._read(at + 4, 4)
        base = self._bar(place & 7)
        if base == 0:
            raise DeviceLost("a virtio device whose MSI-X table is nowhere")
        control = self._read(at + 2, 2)
        bus.write(function, at + 2, 2, control | _MSIX_ENABLE | _MSIX_MASK_ALL)
        entry = platform.registers(base + (place & ~7), 16).cast("I")
        interrupt, address, data = platform.message()
        entry[0], entry[1], entry[2] = address & 0xFFFFFFFF, address >> 32, data
        entry[3] = 0
        bus.write(function, at + 2, 2, control & ~_MSIX_MASK_ALL | _MSIX_ENABLE)
        self._set_vector(0x10)
        return interrupt

    def acknowledge(self) -> None:
        """See Transport: a message is gone when it has come."""

    def config(self, offset: int, size: int) -> bytes:
        """See Transport."""
        if offset + size > self._config_length:
            raise DeviceLost("a virtio device whose configuration is too short")
        if size == 2:
            return self._config.cast("H")[offset >> 1].to_bytes(2, "little")
        if size == 4:
            return self._config.cast("I")[offset >> 2].to_bytes(4, "little")
        return bytes([self._config[step] for step in range(offset, offset + size)])
