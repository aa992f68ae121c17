"""The split virtqueue (virtio 1.3 section 2.7), of single descriptors and of chains of neighbours.

The device is not trusted: every number that it writes is checked before it is used, and a wrong one is DeviceLost.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Sequence

from sarab.device.network import DeviceLost
from sarab.driver.virtio.platform import Region

F_NEXT = 1
"""VIRTQ_DESC_F_NEXT: the buffer goes on in another descriptor."""
F_WRITE = 2
"""VIRTQ_DESC_F_WRITE: the device writes to this buffer."""
ALIGNMENT = 64

_fence = allocate_lock()


def fence() -> None:
    """Nothing that was stored before may become visible after what is loaded behind it (section 2.7.13.3.1).

    Taking a free lock is a locked instruction, which x86 orders both ways; nothing smaller is in Python's reach.
    """
    _fence.acquire()
    _fence.release()


def ring_size(size: int) -> int:
    """Return how many bytes the three parts of a queue take."""
    return _round(16 * size) + _round(6 + 2 * size) + _round(6 + 8 * size)


def _round(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class VirtQueue:
    """One queue. A buffer is a descriptor's number and what the caller keeps for it."""

    __slots__ = (
        "_avail",
        "_avail_idx",
        "_desc32",
        "_desc64",
        "_event_idx",
        "_kicked_idx",
        "_lengths",
        "_used",
        "_used_idx",
        "_used_ring",
        "desc_address",
        "device_address",
        "driver_address",
        "free",
        "lent",
        "size",
    )

    def __init__(self, region: Region, offset: int, size: int, event_idx: bool) -> None:
        """Lay the queue out at `offset` of `region`, which has ring_size(size) zeroed bytes there."""
        self.size = size
        avail = offset + _round(16 * size)
        used = avail + _round(6 + 2 * size)
        view = region.view
        self.desc_address = region.physical + offset
        self.driver_address = region.physical + avail
        self.device_address = region.physical + used
        desc = view[offset : offset + 16 * size]
        self._desc64, self._desc32 = desc.cast("Q"), desc.cast("I")
        self._avail = view[avail : avail + 6 + 2 * size].cast("H")
        self._used = view[used : used + 6 + 8 * size].cast("H")
        self._used_ring = view[used + 4 : used + 4 + 8 * size].cast("I")
        self._event_idx = event_idx
        self._avail_idx = self._kicked_idx = self._used_idx = 0
        self.free = list(range(size - 1, -1, -1))
        """Descriptors that nobody uses. Taken and put back by the caller."""
        self.lent = bytearray(size)
        """By descriptor, 1: the device has it."""
        self._lengths = [0] * size
        """By descriptor, how many bytes the device may write: our own copy, which it cannot change."""

    def add(self, descriptor: int, address: int, length: int, flags: int = 0) -> None:
        """Give the device a buffer; it sees it after publish()."""
        self._desc64[2 * descriptor] = address
        desc32, at = self._desc32, 4 * descriptor
        desc32[at + 2] = length
        desc32[at + 3] = flags
        self._lengths[descriptor] = length if flags & F_WRITE else 0
        self.lent[descriptor] = 1
        self._avail[2 + (self._avail_idx & self.size - 1)] = descriptor
        self._avail_idx = self._avail_idx + 1 & 0xFFFF

    def add_chain(self, head: int, pieces: Sequence[tuple[int, int, int]]) -> None:
        """Give the device a buffer of several pieces, (address, length, flags), in descriptors from `head` on.

        It is given back as `head`, with the bytes written to all its pieces.
        """
        desc64, desc32 = self._desc64, self._desc32
        last = head + len(pieces) - 1
        writable = 0
        for descriptor, (address, length, flags) in enumerate(pieces, head):
            desc64[2 * descriptor] = address
            at = 4 * descriptor
            desc32[at + 2] = length
            desc32[at + 3] = flags if descriptor == last else flags | F_NEXT | descriptor + 1 << 16
            if flags & F_WRITE:
                writable += length
        self._lengths[head] = writable
        self.lent[head] = 1
        self._avail[2 + (self._avail_idx & self.size - 1)] = head
        self._avail_idx = self._avail_idx + 1 & 0xFFFF

    def publish(self) -> bool:
        """Show the device what was added; return whether it must be notified."""
        new, old = self._avail_idx, self._kicked_idx
        if new == old:
            return False
        self._avail[1] = new
        self._kicked_idx = new
        fence()
        if not self._event_idx:
            return not self._used[0] & 1
        event = self._used[2 + 4 * self.size]
        return (new - event - 1 & 0xFFFF) < (new - old & 0xFFFF)

    def pending(self) -> bool:
        """Say whether the device has given something back."""
        return self._used[1] != self._used_idx

    def take(self, limit: int) -> list[tuple[int, int]]:
        """Return (descriptor, bytes written) of at most `limit` buffers that came back. Raises DeviceLost."""
        idx = self._used_idx
        count = self._used[1] - idx & 0xFFFF
        if not count:
            return []
        if count > (self._kicked_idx - idx & 0xFFFF):
            raise DeviceLost("a virtio device says that it used more buffers than it was given")
        count = min(count, limit)
        ring, mask, size = self._used_ring, self.size - 1, self.size
        lent, lengths = self.lent, self._lengths
        taken = []
        for step in range(count):
            at = 2 * (idx + step & mask)
            descriptor, written = ring[at], ring[at + 1]
            if descriptor >= size or not lent[descriptor]:
                raise DeviceLost("a virtio device gives back a buffer that it does not have")
            if written > lengths[descriptor]:
                # What was only to be read has length 0 here; devices that say more of those are many, and mean nothing.
                if lengths[descriptor]:
                    raise DeviceLost("a virtio device says that it wrote more than a buffer holds")
                written = 0
            lent[descriptor] = 0
            taken.append((descriptor, written))
        self._used_idx = idx + count & 0xFFFF
        return taken

    def interrupts_on(self) -> bool:
        """Ask for an interrupt at the next buffer; return whether there is one already, which may bring none."""
        if self._event_idx:
            self._avail[2 + self.size] = self._used_idx
        else:
            self._avail[0] = 0
        fence()
        return self.pending()

    def interrupts_off(self) -> None:
        """Ask for no interrupts: there is somebody who looks."""
        if self._event_idx:
            self._avail[2 + self.size] = self._used_idx - 1 & 0xFFFF
        else:
            self._avail[0] = 1
