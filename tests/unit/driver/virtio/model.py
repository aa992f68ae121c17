"""The other side of virtio: a machine with one network card, written from the specification and not from the driver.

`Machine` is the driver's platform (memory, lines); `Device` walks the rings as a device does; a face shows its
registers. Liars are made by changing a device's answers.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from sarab.device.network import Incoming, Outgoing
from sarab.driver.virtio.net import WANTED
from sarab.driver.virtio.platform import Message, Region
from sarab.driver.virtio.transport import DRIVER_OK, F_EVENT_IDX, F_VERSION_1, FEATURES_OK

RAM_BASE = 0x40_0000
HEADER = struct.Struct("<BBHHHHH")
BACKLOG_MAX = 2000
F_MRG_RXBUF = 1 << 15


class Line:
    """An interrupt line as the kernel gives it: a descriptor that counts, and a mask that closes by itself."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.armed = self.asserted = False
        self.pulses = False
        """As Firecracker's: what comes while it is masked is lost."""
        self.fired = 0

    def _look(self) -> None:
        if self.armed and self.asserted:
            self.armed = False
            self.fired += 1
            os.eventfd_write(self.descriptor, 1)

    def assert_(self, high: bool) -> None:
        self.asserted = high
        self._look()
        if self.pulses:
            self.asserted = False

    def fileno(self) -> int:
        return self.descriptor

    def arm(self) -> None:
        self.armed = True
        self._look()

    def take(self) -> bool:
        try:
            return os.eventfd_read(self.descriptor) > 0
        except BlockingIOError:
            return False

    def fire(self) -> None:
        os.eventfd_write(self.descriptor, 1)

    def close(self) -> None:
        self.armed = False
        os.close(self.descriptor)


class Machine:
    """RAM that drivers are given, and one line."""

    def __init__(self, size: int = 4 << 20) -> None:
        self.ram = bytearray(size)
        self.used = 0
        self.line = Line()
        self.memory: list[tuple[int, int, memoryview]] = []
        """Start, length and registers of what is in the machine's address space beside RAM."""

    def registers(self, address: int, size: int) -> memoryview:
        for start, length, registers in self.memory:
            if start <= address and address + size <= start + length:
                return registers[address - start : address - start + size]
        raise OSError(f"there is nothing at {address:#x}, {size} bytes")

    def allocate(self, size: int) -> Region:
        start, self.used = self.used, self.used + -(-size // 4096) * 4096
        if self.used > len(self.ram):
            raise MemoryError
        return Region(memoryview(self.ram)[start : start + size], RAM_BASE + start)

    def interrupt(self, line: int) -> Line:
        return self.line

    def message(self) -> Message:
        self.line.armed = True  # as far as a message knows
        return Message(self.line, 0xFEE01000, 0x51)

    def view(self, address: int, length: int) -> memoryview:
        start = address - RAM_BASE
        assert 0 <= start <= start + length <= self.used, f"DMA outside what drivers were given: {address:#x}"
        return memoryview(self.ram)[start : start + length]


class Queue:
    """A device's idea of one queue (section 2.7)."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.size = self.desc = self.driver = self.device = 0
        self.ready = False
        self.seen = self.used = self.signalled = 0
        self.notified = 0

    def _u16(self, address: int) -> int:
        return int.from_bytes(self.machine.view(address, 2), "little")

    def available(self) -> int:
        return (self._u16(self.driver + 2) - self.seen) & 0xFFFF

    def pop(self, event_idx: bool) -> tuple[int, memoryview, bool]:
        """Return the next descriptor's number, its memory, and whether we write to it."""
        head = self._u16(self.driver + 4 + 2 * (self.seen % self.size))
        self.seen = (self.seen + 1) & 0xFFFF
        if event_idx:
            self.ask(self.seen)
        address, length, flags, _ = struct.unpack("<QIHH", self.machine.view(self.desc + 16 * head, 16))
        assert not flags & 1, "the driver chains no descriptors"
        return head, self.machine.view(address, length), bool(flags & 2)

    def ask(self, idx: int) -> None:
        """avail_event: notify us when the driver's index passes this."""
        self.machine.view(self.device + 4 + 8 * self.size, 2)[:] = idx.to_bytes(2, "little")

    def push(self, entries: Sequence[tuple[int, int]]) -> None:
        """Give buffers back, all at once."""
        for head, length in entries:
            at = self.device + 4 + 8 * (self.used % self.size)
            self.machine.view(at, 8)[:] = struct.pack("<II", head, length)
            self.used = (self.used + 1) & 0xFFFF
        self.machine.view(self.device + 2, 2)[:] = self.used.to_bytes(2, "little")

    def wants_interrupt(self, event_idx: bool) -> bool:
        old, self.signalled = self.signalled, self.used
        if not event_idx:
            return not self._u16(self.driver) & 1
        event = self._u16(self.driver + 4 + 2 * self.size)
        return (self.used - event - 1) & 0xFFFF < (self.used - old) & 0xFFFF


class Device:
    """A network card's device side."""

    def __init__(self, machine: Machine, features: int = WANTED, *, queue_size: int = 256, mtu: int = 1500) -> None:
        self.machine = machine
        self.features = features | F_VERSION_1
        self.device_id = 1
        self.mac = b"\x02\x11\x22\x33\x44\x55"
        self.mtu = mtu
        self.queue_size = queue_size
        self.refuses = self.stuck = False
        self.held = False
        """Frames to send are left lying in the ring."""
        self.sent: list[tuple[tuple[int, ...], bytes]] = []
        self.backlog: deque[list[bytes]] = deque()
        self.interrupts = 0
        self.resets = -1
        self.raise_: Callable[[], None] = self._raise_line
        self.reset()

    def reset(self) -> None:
        self.status = self.isr = self.taken = 0
        self.queues = [Queue(self.machine), Queue(self.machine)]
        self.resets = getattr(self, "resets", -1) + 1

    @property
    def event_idx(self) -> bool:
        return bool(self.taken & F_EVENT_IDX)

    def set_status(self, status: int) -> None:
        if status == 0:
            if not self.stuck:
                self.reset()
            return
        if status & FEATURES_OK and (self.refuses or self.taken & ~self.features):
            status &= ~FEATURES_OK
        self.status = status

    def config(self, offset: int, size: int) -> int:
        raw = struct.pack("<6sHHH", self.mac, 1, 1, self.mtu)
        return int.from_bytes(raw[offset : offset + size], "little")

    def _raise_line(self) -> None:
        self.isr |= 1
        self.machine.line.assert_(True)

    def acknowledge(self, bits: int) -> None:
        self.isr &= ~bits
        self.machine.line.assert_(self.isr != 0)

    def signal(self, queue: Queue) -> None:
        if queue.wants_interrupt(self.event_idx):
            self.interrupts += 1
            self.raise_()

    def notified(self, index: int) -> None:
        assert self.status & DRIVER_OK, "a notification before DRIVER_OK"
        self.queues[index].notified += 1
        if index == 1 and not self.held:
            self.transmit()
        if index == 0:
            self.flush()

    def transmit(self, most: int = 1 << 16, order: Callable[[list[int]], list[int]] = lambda heads: heads) -> None:
        """Send what is in the ring, and give it back in `order`."""
        queue = self.queues[1]
        heads: list[int] = []
        while queue.available() and len(heads) < most:
            head, memory, writable = queue.pop(self.event_idx)
            assert not writable
            self.sent.append((HEADER.unpack_from(memory), bytes(memory[HEADER.size :])))
            heads.append(head)
        if heads:
            queue.push([(head, 0) for head in order(heads)])
            self.signal(queue)

    def deliver(self, data: bytes, *, flags: int = 0, gso: int = 0, gso_size: int = 0, num_buffers: int = 0) -> None:
        """Have the driver receive a frame, in as many buffers as it needs; `num_buffers` lies about how many."""
        room = 4096
        body = HEADER.pack(flags, gso, 0, gso_size, 0, 0, 0) + data
        pieces = [body[at : at + room] for at in range(0, len(body), room)]
        assert len(pieces) == 1 or self.taken & F_MRG_RXBUF
        head = HEADER.pack(flags, gso, 0, gso_size, 0, 0, num_buffers or len(pieces))
        pieces[0] = head + pieces[0][HEADER.size :]
        if len(self.backlog) < BACKLOG_MAX:
            self.backlog.append(pieces)
        self.flush()

    def flush(self) -> None:
        """Put what waits into the driver's buffers; several buffers of a frame are shown at once."""
        queue = self.queues[0]
        if not queue.ready or not self.status & DRIVER_OK:
            return
        while self.backlog and queue.available() >= len(self.backlog[0]):
            entries = []
            for piece in self.backlog.popleft():
                head, memory, writable = queue.pop(self.event_idx)
                assert writable
                memory[: len(piece)] = piece
                entries.append((head, len(piece)))
            queue.push(entries)
            self.signal(queue)


class Wire:
    """The far end of a card's cable: sarab.testing.cards.FarEnd."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def receive(self, limit: int) -> list[Incoming]:
        got, self.device.sent[:limit] = self.device.sent[:limit], []
        return [Incoming(data, bool(head[0] & 3), head[3] if head[1] else 0) for head, data in got]

    def send(self, frames: Sequence[Outgoing]) -> int:
        for frame in frames:
            self.device.deliver(frame.header + bytes(frame.payload))
        return len(frames)


class Registers:
    """What a driver takes for a memoryview of registers: every access is one call, of the size it has."""

    def __init__(
        self, read: Callable[[int, int], int], write: Callable[[int, int, int], None], start: int = 0, unit: int = 1
    ) -> None:
        self._read, self._write, self._start, self._unit = read, write, start, unit

    def cast(self, code: str) -> Registers:
        return Registers(self._read, self._write, self._start, struct.calcsize(code))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return Registers(self._read, self._write, self._start + key.start * self._unit, self._unit)
        return self._read(self._start + key * self._unit, self._unit)

    def __setitem__(self, key: int, value: int) -> None:
        self._write(self._start + key * self._unit, self._unit, value)

    @property
    def view(self) -> memoryview:
        return cast(memoryview, self)


class MmioFace:
    """Section 4.2.2."""

    def __init__(self, device: Device, version: int = 2) -> None:
        self.device, self.version = device, version
        self.half = self.taken_half = self.selected = 0
        self.registers = Registers(self.read, self.write).view

    def read(self, offset: int, size: int) -> int:
        device = self.device
        if offset >= 0x100:
            return device.config(offset - 0x100, size)
        assert size == 4, "control registers are of 32 bits (section 4.2.2.2)"
        if offset == 0x70:
            return device.status
        return {
            0x00: 0x74726976,
            0x04: self.version,
            0x08: device.device_id,
            0x10: device.features >> 32 * self.half & 0xFFFFFFFF,
            0x34: device.queue_size if self.selected < 2 else 0,
            0x44: int(device.queues[self.selected].ready),
            0x60: device.isr,
        }[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        assert size == 4
        device = self.device
        queue = device.queues[self.selected] if self.selected < 2 else None
        if offset == 0x14:
            self.half = value
        elif offset == 0x24:
            self.taken_half = value
        elif offset == 0x20:
            shift = 32 * self.taken_half
            device.taken = device.taken & ~(0xFFFFFFFF << shift) | value << shift
        elif offset == 0x30:
            self.selected = value
        elif offset == 0x50:
            device.notified(value)
        elif offset == 0x64:
            device.acknowledge(value)
        elif offset == 0x70:
            device.set_status(value)
        else:
            assert queue is not None
            set_queue(queue, {0x38: "size", 0x44: "ready"}.get(offset, ""), offset, 0x80, 0x90, 0xA0, value)


def set_queue(queue: Queue, name: str, offset: int, desc: int, driver: int, device: int, value: int) -> None:
    """A queue's registers, wherever a face has them; addresses come in halves."""
    if name == "size":
        queue.size = value
        return
    if name == "ready":
        assert queue.size
        assert queue.desc
        queue.ready = True
        return
    for field, at in (("desc", desc), ("driver", driver), ("device", device)):
        if offset in (at, at + 4):
            shift = 8 * (offset - at)
            setattr(queue, field, getattr(queue, field) & ~(0xFFFFFFFF << shift) | value << shift)
            return
    raise AssertionError(f"no register at {offset:#x}")


class PciFace:
    """Section 4.1: a function of PCI, and its bus. Structures lie in BAR 4, the MSI-X table in BAR 1."""

    BAR1, BAR4 = 0xFEB0_0000, 0x1_2000_0000
    COMMON, NOTIFY, CONFIG, MULTIPLIER = 0x0000, 0x3000, 0x2000, 4

    def __init__(self, device: Device, function: int = 3 << 3, *, msix: bool = True, transitional: bool = True) -> None:
        self.device, self.function = device, function
        self.half = self.taken_half = self.selected = 0
        self.vectors: dict[int, int] = {}
        self.table = bytearray(16)
        self.space = space = bytearray(256)
        kind = 0x1000 if transitional else 0x1040 + device.device_id
        struct.pack_into("<HHHH", space, 0, 0x1AF4, kind, 0x100, 0x10)
        struct.pack_into("<H", space, 0x2E, device.device_id if transitional else 0x1100)
        struct.pack_into("<IIQ", space, 0x14, self.BAR1, 0, 0)
        struct.pack_into("<Q", space, 0x20, self.BAR4 | 0xC)
        space[0x34] = 0x40
        capabilities = [(0x09, struct.pack("<BBBBHII", 16, 5, 0, 0, 0, 0, 0))]  # a kind that is not for us
        for cfg_type, at, length in ((1, self.COMMON, 56), (2, self.NOTIFY, 0x1000), (4, self.CONFIG, 16)):
            body = struct.pack("<BBBBHII", 20, cfg_type, 4, 0, 0, at, length) + struct.pack("<I", self.MULTIPLIER)
            capabilities.append((0x09, body))
        if msix:
            capabilities.append((0x11, struct.pack("<HII", 3, 0x801, 1)))
        at = 0x40
        for number, (identifier, body) in enumerate(capabilities):
            following = at + (2 + len(body) + 3) // 4 * 4
            last = number == len(capabilities) - 1
            space[at : at + 2 + len(body)] = bytes((identifier, 0 if last else following)) + body
            self.msix_at = at
            at = following
        machine = device.machine
        machine.memory.append((self.BAR4, 0x4000, Registers(self.read_bar, self.write_bar).view))
        machine.memory.append((self.BAR1, 0x1000, Registers(self.read_table, self.write_table).view))
        device.raise_ = self.raise_

    # The bus.

    def read(self, function: int, offset: int, size: int) -> int:
        assert offset % size == 0
        if function != self.function:
            return (1 << 8 * size) - 1
        return int.from_bytes(self.space[offset : offset + size], "little")

    def write(self, function: int, offset: int, size: int, value: int) -> None:
        assert function == self.function
        assert offset in (4, self.msix_at + 2), "only the command and MSI-X's control are a driver's to change"
        self.space[offset : offset + size] = value.to_bytes(size, "little")

    # The function.

    @property
    def control(self) -> int:
        return self.read(self.function, self.msix_at + 2, 2)

    def raise_(self) -> None:
        address, data, masked = struct.unpack("<QII", self.table)
        if self.control & 0xC000 == 0x8000 and not masked:
            assert (address, data) == (0xFEE01000, 0x51)
            assert self.read(self.function, 4, 2) & 6 == 6, "memory and mastery of the bus are off"
            self.device.machine.line.fire()

    def read_table(self, offset: int, size: int) -> int:
        return int.from_bytes(self.table[offset - 0x800 :][:size], "little")

    def write_table(self, offset: int, size: int, value: int) -> None:
        assert 0x800 <= offset < 0x810
        self.table[offset - 0x800 : offset - 0x800 + size] = value.to_bytes(size, "little")

    def read_bar(self, offset: int, size: int) -> int:
        device = self.device
        if self.CONFIG <= offset < self.CONFIG + 16:
            return device.config(offset - self.CONFIG, size)
        there = self.selected < 2
        fields = {
            (0x04, 4): device.features >> 32 * self.half & 0xFFFFFFFF,
            (0x10, 2): self.vectors.get(-1, 0xFFFF),
            (0x12, 2): 2,
            (0x14, 1): device.status,
            (0x18, 2): device.queue_size if there else 0,
            (0x1A, 2): self.vectors.get(self.selected, 0xFFFF),
            (0x1E, 2): self.selected + 5,
        }
        return fields[offset, size]

    def write_bar(self, offset: int, size: int, value: int) -> None:
        device = self.device
        if self.NOTIFY <= offset < self.NOTIFY + 0x1000:
            assert size == 2
            assert offset == self.NOTIFY + (value + 5) * self.MULTIPLIER
            device.notified(value)
        elif (offset, size) == (0x00, 4):
            self.half = value
        elif (offset, size) == (0x08, 4):
            self.taken_half = value
        elif (offset, size) == (0x0C, 4):
            shift = 32 * self.taken_half
            device.taken = device.taken & ~(0xFFFFFFFF << shift) | value << shift
        elif (offset, size) in ((0x10, 2), (0x1A, 2)):
            if self.msix_at:
                self.vectors[-1 if offset == 0x10 else self.selected] = value
        elif (offset, size) == (0x14, 1):
            device.set_status(value)
        elif (offset, size) == (0x16, 2):
            self.selected = value
        else:
            assert size == (2 if offset < 0x20 else 4)
            name = {0x18: "size", 0x1C: "ready"}.get(offset, "")
            set_queue(device.queues[self.selected], name, offset, 0x20, 0x28, 0x30, value)
