"""Ethernet II frames, with one 802.1Q tag at most (IEEE 802.3, 802.1Q; RFC 894, RFC 2464)."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.address import mac_text
from sarab.wire.errors import Malformed

HEADER_SIZE = 14
TAG_SIZE = 4
IPV4, ARP, VLAN, IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
BROADCAST = b"\xff" * 6

_HEADER = Struct("!6s6sH")
_TAG = Struct("!HH")


class Header(NamedTuple):
    """The header of a frame. `size` is where its payload begins."""

    destination: bytes
    source: bytes
    ethertype: int
    vlan: int | None = None
    """The tag: priority (3 bits), drop eligible (1), VLAN identifier (12); None without a tag."""

    @property
    def size(self) -> int:
        """Bytes of the header."""
        return HEADER_SIZE if self.vlan is None else HEADER_SIZE + TAG_SIZE


def parse(view: bytes | memoryview) -> Header:
    """Return the header of a frame. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("an Ethernet frame has 14 bytes at least")
    destination, source, ethertype = _HEADER.unpack_from(view)
    if ethertype != VLAN:
        return Header(destination, source, ethertype)
    if len(view) < HEADER_SIZE + TAG_SIZE:
        raise Malformed("a tagged Ethernet frame has 18 bytes at least")
    vlan, ethertype = _TAG.unpack_from(view, HEADER_SIZE)
    if ethertype == VLAN:
        raise Malformed("a frame with two tags")
    return Header(destination, source, ethertype, vlan)


def emit(header: Header) -> bytes:
    """Return the header's bytes."""
    destination, source, ethertype, vlan = header
    if vlan is None:
        return _HEADER.pack(destination, source, ethertype)
    return _HEADER.pack(destination, source, VLAN) + _TAG.pack(vlan, ethertype)


def line(header: Header) -> str:
    """Return one line for a person."""
    tag = "" if header.vlan is None else f" vlan {header.vlan & 0xFFF}"
    return f"{mac_text(header.source)} > {mac_text(header.destination)} {header.ethertype:#06x}{tag}"
