"""ARP for IPv4 over Ethernet (RFC 826)."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.address import mac_text, text
from sarab.wire.errors import Malformed

REQUEST, REPLY = 1, 2
SIZE = 28

_PACKET = Struct("!HHBBH6s4s6s4s")
_ETHERNET, _IPV4 = 1, 0x0800


class Packet(NamedTuple):
    """A request or a reply; the names are RFC 826's: s(ource), t(arget), ha(rdware), pa (protocol address)."""

    op: int
    sha: bytes
    spa: bytes
    tha: bytes
    tpa: bytes


def parse(view: bytes | memoryview) -> Packet:
    """Return the packet, which may be followed by padding. Raises Malformed."""
    if len(view) < SIZE:
        raise Malformed("an ARP packet has 28 bytes")
    hardware, protocol, hardware_size, protocol_size, op, sha, spa, tha, tpa = _PACKET.unpack_from(view)
    if (hardware, protocol, hardware_size, protocol_size) != (_ETHERNET, _IPV4, 6, 4):
        raise Malformed("ARP for other things than IPv4 over Ethernet")
    if op not in (REQUEST, REPLY):
        raise Malformed("ARP that neither asks nor answers")
    return Packet(op, sha, spa, tha, tpa)


def emit(packet: Packet) -> bytes:
    """Return the packet's bytes."""
    return _PACKET.pack(_ETHERNET, _IPV4, 6, 4, *packet)


def line(packet: Packet) -> str:
    """Return one line for a person."""
    if packet.op == REQUEST:
        return f"arp who-has {text(packet.tpa)} tell {text(packet.spa)}"
    return f"arp {text(packet.spa)} is-at {mac_text(packet.sha)}"
