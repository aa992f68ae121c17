"""The other side of virtio-blk: a disk, written from the specification and not from the driver (section 5.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable

from sarab.driver.virtio import block
from tests.unit.driver.virtio.model import Device, Machine, Queue

SECTORS = 4096
WRITABLE = block.WANTED & ~block.F_RO
Chain = tuple[int, list[tuple[memoryview, bool]]]


class Disk(Device):
    """A disk's device side: what is in `medium` is read and written."""

    def __init__(self, machine: Machine, features: int = WRITABLE, *, queue_size: int = 256) -> None:
        super().__init__(machine, features, queue_size=queue_size)
        self.device_id = 2
        self.medium = bytearray(SECTORS * 512)
        self.capacity, self.size_max, self.blk_size, self.discard_max = SECTORS, 1 << 20, 512, 2048
        self.serial = b"data"
        self.requests: list[tuple[int, int, int]] = []
        """Type, unit, bytes."""
        self.kept: list[Chain] = []
        self.holds = False
        """Requests lie on the disk's table."""
        self.status: int
        self.answer: Callable[[int, int, int], tuple[int | None, int]] = lambda kind, status, written: (status, written)
        """Changes (status, bytes written) of a request of a type."""

    def config(self, offset: int, size: int) -> int:
        raw = struct.pack(
            "<QII4xI8xBxHIII", self.capacity, self.size_max, 1, self.blk_size, 0, 1, self.discard_max, 1, 1
        )
        return int.from_bytes(raw[offset : offset + size].ljust(size, b"\0"), "little")

    def chain(self, queue: Queue) -> Chain:
        head = queue._u16(queue.driver + 4 + 2 * (queue.seen % queue.size))
        queue.seen = (queue.seen + 1) & 0xFFFF
        if self.event_idx:
            queue.ask(queue.seen)
        pieces, at = [], head
        while True:
            raw = self.machine.view(queue.desc + 16 * at, 16)
            address, length, flags, following = struct.unpack("<QIHH", raw)
            pieces.append((self.machine.view(address, length), bool(flags & 2)))
            if not flags & 1:
                return head, pieces
            at = following

    def notified(self, index: int) -> None:
        assert index == 0
        queue = self.queues[0]
        queue.notified += 1
        while queue.available():
            chain = self.chain(queue)
            kind = struct.unpack_from("<I", chain[1][0][0])[0]
            if self.holds and kind != block.GET_ID:
                self.kept.append(chain)
            else:
                self.do(chain)

    def release(self) -> None:
        """Do what lies on the table, the last first."""
        kept, self.kept = self.kept, []
        for chain in reversed(kept):
            self.do(chain)

    def do(self, chain: Chain) -> None:
        head, pieces = chain
        header, data, status = pieces[0], pieces[1:-1], pieces[-1]
        assert not header[1]
        assert len(header[0]) == 16
        assert status[1]
        assert len(status[0]) == 1
        kind, _, unit = struct.unpack("<IIQ", header[0])
        size = sum(len(view) for view, _ in data)
        self.requests.append((kind, unit, size))
        written, result = 1, 0
        for view, writable in data:
            assert writable == (kind in (block.IN, block.GET_ID))
            assert len(view) <= self.size_max or not self.taken & block.F_SIZE_MAX
            if kind == block.IN:
                view[:] = self.medium[unit * 512 : unit * 512 + len(view)]
                written += len(view)
            elif kind == block.OUT:
                self.medium[unit * 512 : unit * 512 + len(view)] = view
            elif kind == block.DISCARD:
                start, count, flags = struct.unpack("<QII", view)
                assert flags == 0
                self.medium[start * 512 : (start + count) * 512] = b"\xdd" * (count * 512)
            elif kind == block.GET_ID:
                view[:] = self.serial.ljust(20, b"\0")
                written += 20
        said, written = self.answer(kind, result, written)
        if said is not None:
            status[0][0] = said
        self.queues[0].push([(head, written)])
        self.signal(self.queues[0])
