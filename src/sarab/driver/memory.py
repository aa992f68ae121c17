"""Two cards with a cable between them, in memory: for tests, and for two stacks in one process.

    left, right = pair()

What the one sends, the other receives, uncut and with its checksum as it is: as between two guests of one host.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence

from sarab.device.network import Gso, Incoming, Offload, Outgoing

MTU_DEFAULT = 1500
CAPACITY_DEFAULT = 256
"""Frames that wait on one direction, as in a virtio ring; the sender has no room for more."""


class Memory:
    """One end; device.network.Network. Made by pair()."""

    def __init__(self, mac: bytes, mtu: int, offloads: Offload, capacity: int, descriptor: int) -> None:
        self.mac, self.mtu, self.offloads = mac, mtu, offloads
        self.peer: Memory = self
        """The other end; pair() sets it."""
        self._capacity = capacity
        self._arrived: deque[Incoming] = deque()
        self._descriptor = descriptor
        self._wants_room = False

    def fileno(self) -> int:
        """See Network; an eventfd, or -1 if pair() was told so."""
        return self._descriptor

    def _wake(self) -> None:
        if self._descriptor >= 0:
            os.eventfd_write(self._descriptor, 1)

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        if self._descriptor >= 0:
            try:
                os.eventfd_read(self._descriptor)  # first: what comes from now on is told anew
            except BlockingIOError:
                pass  # nobody had written
        arrived = self._arrived
        frames = [arrived.popleft() for _ in range(min(limit, len(arrived)))]
        if arrived:
            self._wake()
        if frames and self.peer._wants_room:
            self.peer._wants_room = False
            self.peer._wake()
        return frames

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network. A frame to a closed end is lost, as on a cable that was pulled."""
        peer = self.peer
        if peer._capacity == 0:
            return len(frames)
        waiting = peer._arrived
        count = min(len(frames), peer._capacity - len(waiting))
        for header, payload, checksum_start, _, gso, gso_size in frames[:count]:
            data = header + bytes(payload) if payload else bytes(header)
            waiting.append(Incoming(data, checksum_start != 0, gso_size if gso is not Gso.NONE else 0))
        self._wants_room = count < len(frames)
        if count:
            peer._wake()
        return count

    def close(self) -> None:
        """See Network. What waits for this end is lost."""
        self._arrived.clear()
        self._capacity = 0
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self.peer._wants_room:
            self.peer._wants_room = False
            self.peer._wake()


def pair(
    macs: tuple[bytes, bytes] = (b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"),
    mtu: int = MTU_DEFAULT,
    offloads: Offload = Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6,
    capacity: int = CAPACITY_DEFAULT,
    descriptors: bool = True,
) -> tuple[Memory, Memory]:
    """Return both ends. Without `descriptors` nothing of the system is used, and fileno() is -1."""
    if capacity < 1:
        raise ValueError("a cable carries one frame at least")
    ends = []
    for mac in macs:
        descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if descriptors else -1
        ends.append(Memory(mac, mtu, offloads, capacity, descriptor))
    left, right = ends
    left.peer, right.peer = right, left
    return left, right
