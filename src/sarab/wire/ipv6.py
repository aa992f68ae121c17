"""IPv6 headers and extension headers (RFC 8200)."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.address import text
from sarab.wire.errors import Malformed

HEADER_SIZE = 40
FRAGMENT_HEADER_SIZE = 8
HOP_BY_HOP, TCP, UDP, ROUTING, FRAGMENT, ESP, AH, ICMPV6, NO_NEXT, DESTINATION = 0, 6, 17, 43, 44, 50, 51, 58, 59, 60
EXTENSIONS_MAX = 8
"""RFC 8504 section 5.3 lets a host bound the chain; no sane packet has more."""
OPTIONS_MAX = 8
"""Of one extension header, padding not counted (RFC 8504 section 5.3)."""
PADDING_MAX = 7
"""Bytes on end: enough for every alignment, and no hiding place (RFC 8504 section 5.3)."""

_HEADER = Struct("!IHBB16s16s")
_FRAGMENT = Struct("!BBHI")
_PAD1, _PADN, _ROUTER_ALERT = 0, 1, 5


class Header(NamedTuple):
    """The fixed header. `payload_length` counts what follows it, extension headers included."""

    source: bytes
    destination: bytes
    next_header: int
    payload_length: int
    hop_limit: int = 64
    dscp: int = 0
    ecn: int = 0
    flow_label: int = 0


class Fragment(NamedTuple):
    """A fragment header. `offset` is in bytes."""

    next_header: int
    offset: int
    more: bool
    identification: int


class Extensions(NamedTuple):
    """What the chain of extension headers leads to."""

    protocol: int
    """The first header that is none of ours: TCP, UDP, ICMPV6, or an unknown one."""
    offset: int
    """Where it begins, in bytes from the start of the packet."""
    fragment: Fragment | None = None
    """The chain stops at a fragment header that is not of a whole packet: `protocol` is what follows it."""
    problem: tuple[int, int] | None = None
    """(code, pointer) of the ICMPv6 parameter problem to answer with (RFC 4443 section 3.4), instead of delivery."""
    field: int = 6
    """Where the number `protocol` stands, in bytes from the start of the packet: the pointer of a complaint."""


def parse(view: bytes | memoryview) -> Header:
    """Return the fixed header of a packet, which may be followed by padding. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("an IPv6 packet has 40 bytes at least")
    first, payload_length, next_header, hop_limit, source, destination = _HEADER.unpack_from(view)
    if first >> 28 != 6:
        raise Malformed("IPv6 of another version")
    if HEADER_SIZE + payload_length > len(view):
        raise Malformed("IPv6's length is not that of the packet")
    dscp, ecn = first >> 22 & 0x3F, first >> 20 & 3
    return Header(source, destination, next_header, payload_length, hop_limit, dscp, ecn, first & 0xFFFFF)


def emit(header: Header) -> bytes:
    """Return the header's bytes."""
    first = 6 << 28 | header.dscp << 22 | header.ecn << 20 | header.flow_label
    return _HEADER.pack(
        first, header.payload_length, header.next_header, header.hop_limit, header.source, header.destination
    )


def emit_fragment(fragment: Fragment) -> bytes:
    """Return a fragment header's bytes; `offset` is a multiple of 8."""
    return _FRAGMENT.pack(fragment.next_header, 0, fragment.offset | fragment.more, fragment.identification)


def walk(packet: bytes | memoryview, next_header: int, offset: int = HEADER_SIZE, field: int = 6) -> Extensions:
    """Follow the extension headers of a packet (header included). Raises Malformed.

    From `offset`, where the header `next_header` begins, a number that stands at `field`: behind the fragment header of
    a first fragment the walk goes on, which must reach the transport (RFC 7112 section 5).
    """
    for _ in range(EXTENSIONS_MAX + 1):
        if next_header not in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION):
            return Extensions(next_header, offset, field=field)
        if len(packet) < offset + 8:
            raise Malformed("an extension header is cut off")
        if next_header == HOP_BY_HOP and offset != HEADER_SIZE:
            return Extensions(next_header, offset, problem=(1, field))
        if next_header == FRAGMENT:
            following, _, word, identification = _FRAGMENT.unpack_from(packet, offset)
            fragment = Fragment(following, word & 0xFFF8, bool(word & 1), identification)
            if fragment.offset or fragment.more:
                return Extensions(following, offset + FRAGMENT_HEADER_SIZE, fragment)
            length = FRAGMENT_HEADER_SIZE
        else:
            length = 8 + packet[offset + 1] * 8
            if len(packet) < offset + length:
                raise Malformed("an extension header is longer than the packet")
            if next_header == ROUTING:
                if packet[offset + 3]:  # segments left: we are no router (RFC 5095 forbids type 0)
                    return Extensions(next_header, offset, problem=(0, offset + 2))
            else:
                problem = _options(packet, offset + 2, offset + length)
                if problem is not None:
                    return Extensions(next_header, offset, problem=problem)
        next_header, field = packet[offset], offset
        offset += length
    raise Malformed("a chain of too many extension headers")


def _options(packet: bytes | memoryview, at: int, end: int) -> tuple[int, int] | None:
    """Skip options; the two high bits of an unknown one say what is to be done (RFC 8200 section 4.2)."""
    count = padding = 0
    while at < end:
        kind, size = packet[at], 1
        if kind != _PAD1:
            if at + 2 > end or at + 2 + packet[at + 1] > end:
                raise Malformed("an option is longer than its header")
            size = 2 + packet[at + 1]
        if kind in (_PAD1, _PADN):
            padding += size
        else:
            padding, count = 0, count + 1
            action = 0 if kind == _ROUTER_ALERT else kind >> 6
            if action == 1 or (action == 3 and packet[24] == 0xFF):
                raise Malformed("an unknown option that asks to be dropped")
            if action >= 2:
                return (2, at)
        if count > OPTIONS_MAX or padding > PADDING_MAX:
            raise Malformed("an extension header of too many options or too much padding")
        at += size
    return None


def line(header: Header) -> str:
    """Return one line for a person."""
    return f"{text(header.source)} > {text(header.destination)} next {header.next_header}"
