"""virtio-net (virtio 1.3 section 5.1): one pair of queues, checksums and segmentation by the card."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from struct import Struct

from sarab.device.network import DeviceLost, Gso, Incoming, Offload, Outgoing
from sarab.driver.virtio.mmio import F_EVENT_IDX, Mmio
from sarab.driver.virtio.platform import Interrupt, Platform, Region
from sarab.driver.virtio.queue import F_WRITE, VirtQueue, ring_size

F_CSUM, F_GUEST_CSUM, F_MTU, F_MAC = 1 << 0, 1 << 1, 1 << 3, 1 << 5
F_GUEST_TSO4, F_GUEST_TSO6, F_HOST_TSO4, F_HOST_TSO6 = 1 << 7, 1 << 8, 1 << 11, 1 << 12
F_MRG_RXBUF, F_STATUS = 1 << 15, 1 << 16
WANTED = (
    F_CSUM
    | F_GUEST_CSUM
    | F_MTU
    | F_MAC
    | F_GUEST_TSO4
    | F_GUEST_TSO6
    | F_HOST_TSO4
    | F_HOST_TSO6
    | F_MRG_RXBUF
    | F_STATUS
    | F_EVENT_IDX
)
NEEDS_CSUM, DATA_VALID = 1, 2
RECEIVE, TRANSMIT = 0, 1
QUEUE_SIZE_MAX = 256
BUFFER_SIZE = 4096
"""Of a receive buffer: a page holds any frame of a common link, and a long one takes several (MRG_RXBUF)."""
ARENA_SIZE = 1 << 20
"""Memory for frames on their way out: sixteen of 64 KiB."""
FRAME_SIZE_MAX = 65535 + 18
ALIGNMENT = 64
MTU_DEFAULT = 1500

_HEADER = Struct("<BBHHHHH")
HEADER_SIZE = _HEADER.size


class VirtioNet:
    """A card; device.network.Network."""

    def __init__(self, transport: Mmio, platform: Platform, line: int) -> None:
        """Start the card behind `transport`. Raises DeviceLost, MemoryError."""
        self._transport = transport
        wanted = WANTED
        features = transport.negotiate(wanted)
        if features & (F_GUEST_TSO4 | F_GUEST_TSO6) and not features & F_MRG_RXBUF:
            features = transport.negotiate(wanted & ~(F_GUEST_TSO4 | F_GUEST_TSO6))
        self.mac = transport.config(0, 6) if features & F_MAC else b"\x02\x5a\x52\x42\x00\x01"
        self.mtu = int.from_bytes(transport.config(10, 2), "little") if features & F_MTU else MTU_DEFAULT
        offloads = Offload.NONE
        if features & F_CSUM:
            offloads |= Offload.CHECKSUM
            if features & F_HOST_TSO4:
                offloads |= Offload.TSO4
            if features & F_HOST_TSO6:
                offloads |= Offload.TSO6
        self.offloads = offloads
        event_idx = bool(features & F_EVENT_IDX)
        self._interrupt: Interrupt = platform.interrupt(line)
        sizes = [transport.queue_size(index, QUEUE_SIZE_MAX) for index in (RECEIVE, TRANSMIT)]
        if 0 in sizes:
            transport.fail()
            raise DeviceLost("a virtio network card without queues")
        rings = platform.allocate(sum(map(ring_size, sizes)))
        self._rx = VirtQueue(rings, 0, sizes[RECEIVE], event_idx)
        self._tx = VirtQueue(rings, ring_size(sizes[RECEIVE]), sizes[TRANSMIT], event_idx)
        self._buffers: Region = platform.allocate(sizes[RECEIVE] * BUFFER_SIZE)
        self._arena: Region = platform.allocate(ARENA_SIZE)
        self._arena_head = self._arena_tail = 0
        self._sending: deque[int] = deque()
        """Descriptors in the order in which their memory was taken."""
        self._ends = [0] * sizes[TRANSMIT]
        """Where a frame's memory ends, by descriptor."""
        self._in_use = [False] * sizes[TRANSMIT]
        self.malformed = 0
        """Frames whose description by the device made no sense."""
        self._starved = False
        self._closed = False
        for index, queue in ((RECEIVE, self._rx), (TRANSMIT, self._tx)):
            transport.start_queue(index, queue)
        transport.start()
        while self._rx.free:
            self._give(self._rx.free.pop())
        self._tx.interrupts_off()
        self._rx.interrupts_on()
        if self._rx.publish():
            transport.notify(RECEIVE)
        self._interrupt.arm()

    def fileno(self) -> int:
        """See Network."""
        return self._interrupt.fileno()

    def _give(self, descriptor: int) -> None:
        self._rx.add(descriptor, self._buffers.physical + descriptor * BUFFER_SIZE, BUFFER_SIZE, F_WRITE)

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        rx = self._rx
        frames: list[Incoming] = []
        while True:
            if self._interrupt.take():
                self._transport.acknowledge()
            while len(frames) < limit and (taken := rx.take(min(limit, rx.size))):
                self._collect(taken, frames)
            if rx.publish():
                self._transport.notify(RECEIVE)
            if len(frames) >= limit:
                return frames
            if rx.interrupts_on():
                continue
            if self._starved:
                self._reclaim()
            self._interrupt.arm()
            return frames

    def _collect(self, taken: list[tuple[int, int]], frames: list[Incoming]) -> None:
        """Make frames of the buffers that came back, and give the buffers to the device again."""
        view = self._buffers.view
        position = 0
        while position < len(taken):
            descriptor, length = taken[position]
            position += 1
            start = descriptor * BUFFER_SIZE
            if not HEADER_SIZE < length <= BUFFER_SIZE:
                self.malformed += 1
                self._give(descriptor)
                continue
            flags, gso_type, _, gso_size, _, _, num_buffers = _HEADER.unpack_from(view, start)
            verified = flags & (NEEDS_CSUM | DATA_VALID) != 0
            if num_buffers <= 1:
                data = bytes(view[start + HEADER_SIZE : start + length])
                self._give(descriptor)
            else:
                missing = num_buffers - 1 - (len(taken) - position)
                if missing > 0:
                    taken += self._rest(missing)
                pieces = [view[start + HEADER_SIZE : start + length]]
                group = taken[position : position + num_buffers - 1]
                position += num_buffers - 1
                for other, size in group:
                    at = other * BUFFER_SIZE
                    pieces.append(view[at : at + min(size, BUFFER_SIZE)])
                data = b"".join(pieces)
                self._give(descriptor)
                for other, _ in group:
                    self._give(other)
            frames.append(Incoming(data, verified, gso_size if gso_type & 0x7F else 0))

    def _rest(self, missing: int) -> list[tuple[int, int]]:
        """Return the buffers of a long frame that the device has used with it (section 5.1.6.4.1)."""
        if missing > self._rx.size:
            raise DeviceLost("a virtio network card makes a frame of more buffers than there are")
        rest = self._rx.take(missing)
        if len(rest) < missing:
            raise DeviceLost("a virtio network card shows a frame before all of it")
        return rest

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network."""
        tx, view = self._tx, self._arena.view
        if len(tx.free) < len(frames) or self._starved:
            self._reclaim()
        count = 0
        for frame in frames:
            header, payload, checksum_start, checksum_offset, gso, gso_size = frame
            size = HEADER_SIZE + len(header) + len(payload)
            if size > FRAME_SIZE_MAX + HEADER_SIZE:
                count += 1  # nothing could carry it
                continue
            at = self._place(size) if tx.free else -1
            if at < 0:
                self._reclaim()
                at = self._place(size) if tx.free else -1
                if at < 0:
                    self._starved = True
                    break
            body = at + HEADER_SIZE + len(header)
            _HEADER.pack_into(
                view,
                at,
                NEEDS_CSUM if checksum_start else 0,
                gso,
                len(header) if gso is not Gso.NONE else 0,
                gso_size,
                checksum_start,
                checksum_offset,
                0,
            )
            view[at + HEADER_SIZE : body] = header
            if payload:
                view[body : at + size] = payload
            descriptor = tx.free.pop()
            self._in_use[descriptor] = True
            self._sending.append(descriptor)
            self._ends[descriptor] = self._arena_head
            tx.add(descriptor, self._arena.physical + at, size)
            count += 1
        if tx.publish():
            self._transport.notify(TRANSMIT)
        if self._starved:
            # Room will come: hear of it by the interrupt that receive() looks after.
            if tx.interrupts_on():
                self._reclaim()
            self._interrupt.arm()
        return count

    def _place(self, size: int) -> int:
        """Return where a frame may lie, in the ring of memory between head and tail; -1: nowhere now."""
        head, tail = self._arena_head, self._arena_tail
        need = -(-size // ALIGNMENT) * ALIGNMENT
        if not self._sending:
            head = tail = self._arena_tail = 0
        if head >= tail:
            if ARENA_SIZE - head >= need:
                # Head may come to the end of memory, and not round to the tail: equal means empty.
                self._arena_head = head + need
                return head
            if need < tail:
                self._arena_head = need
                return 0
            return -1
        if tail - head > need:
            self._arena_head = head + need
            return head
        return -1

    def _reclaim(self) -> None:
        """Take back what the device has sent."""
        tx = self._tx
        taken = tx.take(tx.size)
        for descriptor, _ in taken:
            if not self._in_use[descriptor]:
                raise DeviceLost("a virtio network card gives back a frame that it does not have")
            self._in_use[descriptor] = False
        sending = self._sending
        while sending and not self._in_use[sending[0]]:
            descriptor = sending.popleft()
            self._arena_tail = self._ends[descriptor]
            tx.free.append(descriptor)
        if taken:
            self._starved = False
            tx.interrupts_off()

    def close(self) -> None:
        """See Network."""
        if not self._closed:
            self._closed = True
            self._transport.reset()
