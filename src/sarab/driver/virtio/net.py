"""virtio-net (virtio 1.3 section 5.1): one pair of queues, checksums and segmentation by the card."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from os import urandom
from struct import Struct

from sarab.device.network import DeviceLost, Incoming, Offload, Outgoing, incoming
from sarab.driver.virtio.platform import Platform
from sarab.driver.virtio.queue import F_WRITE, VirtQueue, ring_size
from sarab.driver.virtio.transport import F_EVENT_IDX, Transport

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
"""Buffers of a queue: what QEMU offers unless told otherwise, and 1 MiB of them to receive in."""
BUFFER_SIZE = 4096
"""Of a receive buffer: a page holds any frame of a common link, and a long one takes several (MRG_RXBUF)."""
ARENA_SIZE = 1 << 20
"""Memory for frames on their way out: sixteen of 64 KiB."""
FRAME_SIZE_MAX = 65535 + 18
ALIGNMENT = 64
MTU_DEFAULT = 1500
MTU_MIN, MTU_MAX = 68, 65535
"""RFC 791 asks for 68; what a device says beyond these is not believed."""

_HEADER = Struct("<BBHHHHH")
HEADER_SIZE = _HEADER.size
ETHERNET_SIZE = 18
"""Of an Ethernet header with a VLAN's tag."""


class VirtioNet:
    """A card; device.network.Network."""

    def __init__(self, transport: Transport, platform: Platform, line: int = -1) -> None:
        """Start the card behind `transport`; `line` is its interrupt line where the bus has those.

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
        if features & (F_GUEST_TSO4 | F_GUEST_TSO6) and not features & F_MRG_RXBUF:
            features = transport.negotiate(WANTED & ~(F_GUEST_TSO4 | F_GUEST_TSO6))
        # In two pieces, and not bytewise: each access is 20 us of the hypervisor's time.
        self.mac = transport.config(0, 4) + transport.config(4, 2) if features & F_MAC else b"\x02" + urandom(5)
        mtu = int.from_bytes(transport.config(10, 2), "little") if features & F_MTU else MTU_DEFAULT
        most = MTU_MAX if features & F_MRG_RXBUF else BUFFER_SIZE - HEADER_SIZE - ETHERNET_SIZE
        self.mtu = min(mtu, most) if mtu >= MTU_MIN else MTU_DEFAULT
        self.offloads = _offloads(features)
        self._merged = bool(features & F_MRG_RXBUF)
        event_idx = bool(features & F_EVENT_IDX)
        sizes = [transport.queue_size(index, QUEUE_SIZE_MAX) for index in (RECEIVE, TRANSMIT)]
        if 0 in sizes:
            raise DeviceLost("a virtio network card without queues")
        rings = platform.allocate(sum(map(ring_size, sizes)))
        self._rx = VirtQueue(rings, 0, sizes[RECEIVE], event_idx)
        self._tx = VirtQueue(rings, ring_size(sizes[RECEIVE]), sizes[TRANSMIT], event_idx)
        self._buffers = platform.allocate(sizes[RECEIVE] * BUFFER_SIZE)
        self._arena = platform.allocate(ARENA_SIZE)
        self._arena_head = self._arena_tail = 0
        self._sending: deque[int] = deque()
        """Descriptors in the order in which their memory was taken."""
        self._ends = [0] * sizes[TRANSMIT]
        """Where a frame's memory ends, by descriptor."""
        self._starved = False
        """send() found no room, and whoever called it waits for the descriptor."""
        self._closed = False
        self.malformed = 0
        """Frames too short to be any."""
        self.oversized = 0
        """Frames that were to be sent, and that no card could carry."""
        self._interrupt = transport.connect(platform, line)
        for index, queue in ((RECEIVE, self._rx), (TRANSMIT, self._tx)):
            transport.start_queue(index, queue)
        transport.start()
        while self._rx.free:
            self._give(self._rx.free.pop())
        self._tx.interrupts_off()
        self._interrupt.arm()
        self._rx.interrupts_on()
        if self._rx.publish():
            transport.notify(RECEIVE)

    def fileno(self) -> int:
        """See Network."""
        return self._interrupt.fileno()

    # ---- receiving -----------------------------------------------------------------------------------------------

    def _give(self, descriptor: int) -> None:
        self._rx.add(descriptor, self._buffers.physical + descriptor * BUFFER_SIZE, BUFFER_SIZE, F_WRITE)

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        rx, interrupt = self._rx, self._interrupt
        frames: list[Incoming] = []
        if self._closed:
            return frames
        while True:
            while len(frames) < limit and (taken := rx.take(limit - len(frames))):
                self._collect(taken, frames)
            if rx.publish():
                self._transport.notify(RECEIVE)
            if len(frames) >= limit and rx.pending():
                interrupt.fire()  # the device will not: it has told us of these
                return frames
            fired = interrupt.take()
            if fired:
                self._transport.acknowledge()
            # First the line, then the device: a card that only pulses its line would not be heard the other way round.
            interrupt.arm()
            if rx.interrupts_on():
                continue
            if self._starved:
                self._reclaim()
            elif fired and not frames and self._transport.needs_reset():
                raise DeviceLost("a virtio network card has given up (DEVICE_NEEDS_RESET)")
            return frames

    def _collect(self, taken: list[tuple[int, int]], frames: list[Incoming]) -> None:
        """Make frames of the buffers that came back, and give the buffers to the device again."""
        view = self._buffers.view
        position = 0
        while position < len(taken):
            descriptor, length = taken[position]
            position += 1
            start = descriptor * BUFFER_SIZE
            if length <= HEADER_SIZE:
                self.malformed += 1
                self._give(descriptor)
                continue
            flags, gso_type, _, gso_size, _, _, num_buffers = _HEADER.unpack_from(view, start)
            if num_buffers <= 1 or not self._merged:
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
                    pieces.append(view[at : at + size])
                data = b"".join(pieces)
                self._give(descriptor)
                for other, _ in group:
                    self._give(other)
            verified = flags & (NEEDS_CSUM | DATA_VALID) != 0
            frames.append(incoming((data, verified, gso_size if gso_type & 0x7F else 0)))

    def _rest(self, missing: int) -> list[tuple[int, int]]:
        """Return the buffers of a long frame that the device has used with it (section 5.1.6.4.1)."""
        rest = self._rx.take(missing)
        if len(rest) < missing:
            raise DeviceLost("a virtio network card shows a frame before all of it")
        return rest

    # ---- sending -------------------------------------------------------------------------------------------------

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network."""
        if self._closed:
            return len(frames)
        tx = self._tx
        if len(tx.free) < len(frames) or self._starved:
            self._reclaim()
        count = 0
        while True:
            count = self._queue(frames, count)
            if tx.publish():
                self._transport.notify(TRANSMIT)
            if count == len(frames):
                return count
            # Room will come: hear of it by the interrupt that receive() looks after.
            self._starved = True
            self._interrupt.arm()
            if not tx.interrupts_on():
                return count
            self._reclaim()

    def _queue(self, frames: Sequence[Outgoing], first: int) -> int:
        """Put frames from number `first` on into the ring; return the number of the first that found no room."""
        tx, view, physical = self._tx, self._arena.view, self._arena.physical
        for number in range(first, len(frames)):
            header, payload, checksum_start, checksum_offset, gso, gso_size = frames[number]
            size = HEADER_SIZE + len(header) + len(payload)
            if size > FRAME_SIZE_MAX + HEADER_SIZE:
                self.oversized += 1
                continue
            at = self._place(size) if tx.free else -1
            if at < 0:
                self._reclaim()
                at = self._place(size) if tx.free else -1
                if at < 0:
                    return number
            body = at + HEADER_SIZE + len(header)
            _HEADER.pack_into(
                view,
                at,
                NEEDS_CSUM if checksum_start else 0,
                gso,
                len(header) if gso else 0,
                gso_size,
                checksum_start,
                checksum_offset,
                0,
            )
            view[at + HEADER_SIZE : body] = header
            if payload:
                view[body : at + size] = payload
            descriptor = tx.free.pop()
            self._sending.append(descriptor)
            self._ends[descriptor] = self._arena_head
            tx.add(descriptor, physical + at, size)
        return len(frames)

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
        if not tx.take(tx.size):
            return
        sending, lent = self._sending, tx.lent
        while sending and not lent[sending[0]]:
            descriptor = sending.popleft()
            self._arena_tail = self._ends[descriptor]
            tx.free.append(descriptor)
        self._starved = False
        tx.interrupts_off()

    def close(self) -> None:
        """See Network."""
        if not self._closed:
            self._closed = True
            self._transport.stop()
            self._interrupt.close()


def _offloads(features: int) -> Offload:
    """Return what the card does for the stack."""
    if not features & F_CSUM:
        return Offload.NONE
    offloads = Offload.CHECKSUM
    if features & F_HOST_TSO4:
        offloads |= Offload.TSO4
    if features & F_HOST_TSO6:
        offloads |= Offload.TSO6
    return offloads
