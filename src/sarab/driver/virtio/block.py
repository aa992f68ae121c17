"""virtio-blk (virtio 1.3 section 5.2): many requests at once, each through its own part of the device's memory."""

from __future__ import annotations

import asyncio
from collections import deque
from select import select
from struct import Struct
from time import monotonic

from sarab.device.errors import DeviceFailed, DeviceLost, ReadOnly
from sarab.device.network import Buffer
from sarab.driver.disk_range import check_range, sectors_of
from sarab.driver.virtio.platform import Platform
from sarab.driver.virtio.queue import F_WRITE, VirtQueue, ring_size
from sarab.driver.virtio.transport import F_EVENT_IDX, Transport

F_SIZE_MAX, F_RO, F_BLK_SIZE, F_FLUSH, F_DISCARD = 1 << 1, 1 << 5, 1 << 6, 1 << 9, 1 << 13
WANTED = F_SIZE_MAX | F_RO | F_BLK_SIZE | F_FLUSH | F_DISCARD | F_EVENT_IDX
"""Not SEG_MAX: it bounds the pieces of a transfer, and ours have one."""
IN, OUT, FLUSH, GET_ID, DISCARD = 0, 1, 4, 8, 11
"""Types of requests, section 5.2.6."""
OK, UNSUPPORTED = 0, 2
UNIT = 512
"""Bytes in which the device counts, whatever its sectors are."""
SECTOR_SIZE_MAX = 32768
SLOTS_MAX = 32
"""Requests that the device has at once: what hides its latency; more wait for their turn."""
TRANSFER_MAX = 65536
"""Bytes of one request: 2 MiB of memory in all. Longer transfers are cut into several."""
QUEUE_SIZE_MAX = 128
"""Of descriptors; a request takes three."""
SERIAL_SIZE = 20
SERIAL_PATIENCE_SECONDS = 1.0
"""How long a host may think about the name of its disk."""

_HEADER = Struct("<IIQ")
_DISCARD = Struct("<QII")
_META_SIZE, _STATUS = 32, 16
"""Of each request: its header, and behind it the byte for its status."""
_PENDING = 0xFF
"""No device's status: it is there before the device has written one."""


class _Operation:
    """What a caller waits for: one request or several."""

    __slots__ = ("error", "future", "left", "parts")

    def __init__(self, count: int, future: asyncio.Future[None]) -> None:
        self.left, self.future = count, future
        self.parts: list[bytes] = [b""] * count
        self.error: Exception | None = None


class _Request:
    """One request, on its way or waiting for it."""

    __slots__ = ("data", "index", "kind", "operation", "size", "unit")

    def __init__(
        self, operation: _Operation, index: int, kind: int, unit: int, size: int, data: memoryview | None = None
    ) -> None:
        self.operation, self.index, self.kind, self.unit, self.size, self.data = (
            operation,
            index,
            kind,
            unit,
            size,
            data,
        )


class VirtioBlock:
    """A disk; device.block.Block. For one thread; its requests wait in the event loop that they are made in."""

    def __init__(self, transport: Transport, platform: Platform, line: int = -1) -> None:
        """Start the disk behind `transport`; `line` is its interrupt line where the bus has those.

        Raises DeviceLost, MemoryError, OSError.
        """
        self._transport = transport
        try:
            self._start(platform, line)
        except BaseException:
            transport.fail()  # it must not write to memory that nobody looks after
            raise

    def _start(self, platform: Platform, line: int) -> None:
        transport = self._transport
        features = transport.negotiate(WANTED)
        self.read_only = bool(features & F_RO)
        self._flushes, self._discards = bool(features & F_FLUSH), bool(features & F_DISCARD)
        self.sector_size = self._number(20) if features & F_BLK_SIZE else UNIT
        if not UNIT <= self.sector_size <= SECTOR_SIZE_MAX or self.sector_size & self.sector_size - 1:
            raise DeviceLost(f"a virtio disk with sectors of {self.sector_size} bytes, which nobody can have")
        self._units = self.sector_size // UNIT
        self.sectors = (self._number(0) | self._number(4) << 32) // self._units
        transfer = TRANSFER_MAX
        if features & F_SIZE_MAX:
            transfer = min(transfer, self._number(8) // self.sector_size * self.sector_size)
        if not transfer:
            raise DeviceLost(f"a virtio disk that takes no sector whole (size_max {self._number(8)})")
        self._transfer = transfer
        self._discard_max = self._number(36) // self._units if self._discards else 0
        """Sectors; 0: it cannot discard."""
        size = transport.queue_size(0, QUEUE_SIZE_MAX)
        slots = min(size // 3, SLOTS_MAX)
        if not slots:
            raise DeviceLost(f"a virtio disk whose queue has {size} places: a request takes three")
        rings = ring_size(size)
        meta = platform.allocate(rings + slots * _META_SIZE)
        self._meta, self._meta_physical = meta.view[rings:], meta.physical + rings
        data = platform.allocate(slots * transfer)
        self._data, self._data_physical = data.view, data.physical
        self._queue = VirtQueue(meta, 0, size, bool(features & F_EVENT_IDX))
        self._free = list(range(slots - 1, -1, -1))
        self._flying: dict[int, _Request] = {}
        """By the head of its descriptors."""
        self._waiting: deque[_Request] = deque()
        self._abandoned: list[_Operation] = []
        """Writes whose callers were cancelled, and that the device still has."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kicking = False
        self._lost: str | None = None
        self._interrupt = transport.connect(platform, line)
        transport.start_queue(0, self._queue)
        transport.start()
        self.serial = self._ask_serial()
        """What the host calls it, at most 20 characters of ASCII; "" if it does not."""

    def _number(self, offset: int) -> int:
        return int.from_bytes(self._transport.config(offset, 4), "little")

    # ---- what callers ask for ------------------------------------------------------------------------------------

    async def read(self, sector: int, count: int) -> bytes:
        """See Block."""
        check_range(self, sector, count)
        operation = self._transfers(IN, sector, count * self.sector_size, None)
        try:
            await operation.future
        except asyncio.CancelledError:
            self._drop(operation)
            raise
        return operation.parts[0] if len(operation.parts) == 1 else b"".join(operation.parts)

    async def write(self, sector: int, data: Buffer) -> None:
        """See Block."""
        self._check_writable()
        count = sectors_of(self, data)
        check_range(self, sector, count)
        await self._finish(self._transfers(OUT, sector, count * self.sector_size, memoryview(data).cast("B")))

    async def flush(self) -> None:
        """See Block. A disk without flushes has everything on the medium when it says so (section 5.2.5.2)."""
        self._running()
        if self._abandoned:
            await asyncio.wait([operation.future for operation in self._abandoned])
        if self._flushes and not self.read_only:
            await self._one(FLUSH, 0, 0)

    async def discard(self, sector: int, count: int) -> None:
        """See Block."""
        self._check_writable()
        check_range(self, sector, count)
        while count and self._discard_max:
            step = min(count, self._discard_max)
            what = _DISCARD.pack(sector * self._units, step * self._units, 0)
            await self._one(DISCARD, 0, len(what), memoryview(what))
            sector, count = sector + step, count - step

    def close(self) -> None:
        """Stop the disk; what waits for it is told so. Twice is harmless."""
        self._lose("a virtio disk was closed")

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnly("this virtio disk is read-only")

    async def _one(self, kind: int, unit: int, size: int, data: memoryview | None = None) -> None:
        operation = _Operation(1, self._running().create_future())
        self._submit(_Request(operation, 0, kind, unit, size, data))
        await self._finish(operation)

    async def _finish(self, operation: _Operation) -> None:
        """Wait for it; a caller who is cancelled leaves it behind, for flush() to wait for."""
        try:
            await operation.future
        except asyncio.CancelledError:
            if operation.left and self._lost is None:
                operation.future = self._running().create_future()
                self._abandoned.append(operation)
                self._drop(operation)
            raise

    def _drop(self, operation: _Operation) -> None:
        """Forget those of its requests that the device does not have."""
        kept = deque(request for request in self._waiting if request.operation is not operation)
        dropped = len(self._waiting) - len(kept)
        if dropped:
            self._waiting = kept
            operation.left -= dropped - 1
            self._ended(operation)

    def _transfers(self, kind: int, sector: int, length: int, data: memoryview | None) -> _Operation:
        step = self._transfer
        starts = range(0, length, step)
        operation = _Operation(len(starts), self._running().create_future())
        if not starts:
            operation.future.set_result(None)
        unit = sector * self._units
        for index, at in enumerate(starts):
            size = min(step, length - at)
            piece = None if data is None else data[at : at + size]
            self._submit(_Request(operation, index, kind, unit + at // UNIT, size, piece))
        return operation

    def _running(self) -> asyncio.AbstractEventLoop:
        """Return the loop that runs, and hear interrupts in it. Raises DeviceLost."""
        if self._lost is not None:
            raise DeviceLost(self._lost)
        loop = asyncio.get_running_loop()
        before = self._loop
        if loop is not before:
            if before is not None and not before.is_closed():
                before.remove_reader(self._interrupt.fileno())
            self._waiting.clear()
            self._kicking = False
            self._adopt(loop)
            self._loop = loop
            loop.add_reader(self._interrupt.fileno(), self._interrupted)
            self._interrupt.arm()
            if self._queue.interrupts_on():
                loop.call_soon(self._interrupted)
        return loop

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        """What the device still has belongs to a loop that is over: nobody waits for it but flush()."""
        self._abandoned = []
        for request in self._flying.values():
            operation = request.operation
            if operation not in self._abandoned:
                operation.future, operation.left = loop.create_future(), 0
                self._abandoned.append(operation)
            operation.left += 1

    # ---- the ring ------------------------------------------------------------------------------------------------

    def _submit(self, request: _Request) -> None:
        """Have the device see a request at the end of this turn of the loop, with the others of the turn."""
        if self._free:
            self._place(request)
        else:
            self._waiting.append(request)
        if not self._kicking and self._loop is not None:
            self._kicking = True
            self._loop.call_soon(self._kick)

    def _kick(self) -> None:
        self._kicking = False
        if self._lost is None and self._queue.publish():
            self._transport.notify(0)

    def _place(self, request: _Request) -> None:
        """Write a request into a free slot, and its descriptors into the ring."""
        slot = self._free.pop()
        at, size, kind = slot * _META_SIZE, request.size, request.kind
        _HEADER.pack_into(self._meta, at, kind, 0, request.unit)
        self._meta[at + _STATUS] = _PENDING
        header = self._meta_physical + at
        pieces = [(header, _HEADER.size, 0)]
        if size:
            start = slot * self._transfer
            if request.data is not None:
                self._data[start : start + size] = request.data
                request.data = None
            pieces.append((self._data_physical + start, size, F_WRITE if kind in (IN, GET_ID) else 0))
        pieces.append((header + _STATUS, 1, F_WRITE))
        self._flying[3 * slot] = request
        self._queue.add_chain(3 * slot, pieces)

    def _interrupted(self) -> None:
        """The line has fired: tell the callers, and let the next have their turn."""
        if self._lost is not None:
            return
        queue, interrupt = self._queue, self._interrupt
        fired = some = False
        try:
            while True:
                for head, written in queue.take(queue.size):
                    some = True
                    self._take(head, written)
                while self._waiting and self._free:
                    self._place(self._waiting.popleft())
                if queue.publish():
                    self._transport.notify(0)
                if interrupt.take():
                    fired = True
                    self._transport.acknowledge()
                interrupt.arm()
                if queue.interrupts_on():
                    continue
                if fired and not some and self._transport.needs_reset():
                    raise DeviceLost("a virtio disk has given up (DEVICE_NEEDS_RESET)")
                return
        except DeviceLost as why:
            self._lose(str(why))

    def _take(self, head: int, written: int) -> None:
        """A request has come back. Raises DeviceLost."""
        request = self._flying[head]
        slot = head // 3
        status = self._meta[slot * _META_SIZE + _STATUS]
        operation = request.operation
        if status == _PENDING:
            raise DeviceLost("a virtio disk gives a request back and does not say how it went")
        if status == OK:
            if request.kind in (IN, GET_ID):
                if request.kind == IN and written != request.size + 1:
                    raise DeviceLost(f"a virtio disk says that it read {written - 1} of {request.size} bytes")
                start = slot * self._transfer
                operation.parts[request.index] = bytes(self._data[start : start + request.size])
        elif status != UNSUPPORTED or request.kind != DISCARD:
            what = {IN: "read", OUT: "write", FLUSH: "flush", DISCARD: "discard"}.get(request.kind, "request")
            where = f" of {request.size} bytes from {request.unit * UNIT} on" if request.kind in (IN, OUT) else ""
            operation.error = DeviceFailed(f"a {what}{where} failed on a virtio disk (status {status})")
        del self._flying[head]
        self._free.append(slot)
        self._ended(operation)

    def _ended(self, operation: _Operation) -> None:
        """One of its requests has ended; the caller hears of the last."""
        operation.left -= 1
        if operation.left:
            return
        if operation in self._abandoned:
            self._abandoned.remove(operation)
            operation.error = None
        future = operation.future
        if future.done() or future.get_loop().is_closed():
            return
        if operation.error is not None:
            future.set_exception(operation.error)
        else:
            future.set_result(None)

    def _lose(self, why: str) -> None:
        """The disk is gone: it stops, and whoever waits for it is told."""
        if self._lost is not None:
            return
        self._lost = why
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._interrupt.fileno())
        self._transport.stop()
        self._interrupt.close()
        left = [request.operation for request in (*self._flying.values(), *self._waiting)]
        self._flying.clear()
        self._waiting.clear()
        for operation in left:
            future = operation.future
            if future.done() or future.get_loop().is_closed():
                continue
            if operation in self._abandoned:
                future.set_result(None)  # nobody asks how it went
            else:
                future.set_exception(DeviceLost(why))
        self._abandoned.clear()

    # ---- before there is a loop ----------------------------------------------------------------------------------

    def _ask_serial(self) -> str:
        """Return what the host calls the disk. Raises DeviceLost."""
        slot = self._free.pop()
        at, start = slot * _META_SIZE, slot * self._transfer
        _HEADER.pack_into(self._meta, at, GET_ID, 0, 0)
        self._meta[at + _STATUS] = _PENDING
        header = self._meta_physical + at
        identifier = self._data_physical + start, SERIAL_SIZE, F_WRITE
        self._interrupt.arm()
        self._queue.interrupts_on()
        self._queue.add_chain(3 * slot, [(header, _HEADER.size, 0), identifier, (header + _STATUS, 1, F_WRITE)])
        if self._queue.publish():
            self._transport.notify(0)
        end = monotonic() + SERIAL_PATIENCE_SECONDS
        while not self._queue.pending():
            left = end - monotonic()
            if left <= 0 or not select([self._interrupt.fileno()], [], [], left)[0]:
                raise DeviceLost(f"a virtio disk does not say its name in {SERIAL_PATIENCE_SECONDS:g} s")
            if self._interrupt.take():
                self._transport.acknowledge()
            self._interrupt.arm()
        self._queue.take(1)
        self._free.append(slot)
        if self._meta[at + _STATUS] != OK:
            return ""
        return bytes(self._data[start : start + SERIAL_SIZE]).partition(b"\0")[0].decode("ascii", "replace")
