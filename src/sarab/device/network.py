"""A network card as the stack sees it, and the frames that pass between them (decision 0040).

A frame leaves as two pieces, so that a payload is copied once: from the application's bytes into the ring. What a card
can do for us (sum, cut) is said in virtio's terms (virtio 1.3 section 5.1.6).
"""

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Final, NamedTuple, Protocol

from sarab.device.errors import DeviceLost as DeviceLost

Buffer = bytes | bytearray | memoryview


class Offload(IntFlag):
    """What a card does for the stack."""

    NONE = 0
    CHECKSUM = 1
    """It completes a TCP or UDP checksum of which the pseudo-header's part is in place (VIRTIO_NET_F_CSUM)."""
    TSO4 = 2
    """It cuts TCP over IPv4 into segments (VIRTIO_NET_F_HOST_TSO4). Implies CHECKSUM."""
    TSO6 = 4
    """It cuts TCP over IPv6 into segments (VIRTIO_NET_F_HOST_TSO6). Implies CHECKSUM."""


class Gso(IntEnum):
    """Into what a frame is to be cut: `gso_type` of virtio_net_hdr."""

    NONE = 0
    TCPV4 = 1
    TCPV6 = 4


WHOLE: Final = Gso.NONE
"""Looking it up in its enum costs as much as making a frame."""


class Outgoing(NamedTuple):
    """A frame to send: `header` and `payload`, one behind the other, from the Ethernet header on, without FCS."""

    header: bytes
    payload: Buffer = b""
    checksum_start: int = 0
    """Where the sum begins, in bytes from the frame's start; 0: every checksum is in place already."""
    checksum_offset: int = 0
    """Where the sum is to be stored, in bytes from `checksum_start`."""
    gso: Gso = Gso.NONE
    gso_size: int = 0
    """Bytes of TCP payload a segment, when `gso` is not NONE."""


class Incoming(NamedTuple):
    """A frame that came, from the Ethernet header on, without FCS. `data` belongs to the receiver for ever."""

    data: bytes
    verified: bool = False
    """The transport checksum is known to be good, or the frame never was on a wire (NEEDS_CSUM): do not check it."""
    gso_size: int = 0
    """Not 0: made of TCP segments with this many bytes of payload."""


_make = tuple.__new__


def outgoing(fields: tuple[bytes, Buffer, int, int, Gso, int]) -> Outgoing:
    """Return Outgoing(*fields), in half the time: nearly every frame is made so."""
    frame: Outgoing = _make(Outgoing, fields)
    return frame


def incoming(fields: tuple[bytes, bool, int]) -> Incoming:
    """Return Incoming(*fields), in half the time."""
    frame: Incoming = _make(Incoming, fields)
    return frame


class Network(Protocol):
    """A network card. None of its methods blocks.

    Errors: `send` and `receive` raise DeviceLost when the card is gone for good, and nothing for what the wire does.
    """

    @property
    def mac(self) -> bytes:
        """Its address, 6 bytes."""

    @property
    def mtu(self) -> int:
        """The largest IP packet it carries, in bytes (without the Ethernet header)."""

    @property
    def offloads(self) -> Offload:
        """What it does for the stack."""

    def fileno(self) -> int:
        """Return a descriptor that polls readable when `receive` has something, or `send` has room after it had none.

        -1: there is none (a link in memory).
        """

    def receive(self, limit: int) -> list[Incoming]:
        """Return at most `limit` frames that have come, in order; fewer, and the descriptor is armed again."""

    def send(self, frames: Sequence[Outgoing]) -> int:
        """Queue frames and return how many were taken, from the front; the rest found no room.

        The frames' buffers may be reused once it has returned.
        """

    def close(self) -> None:
        """Stop the card. Calling it twice is harmless."""
