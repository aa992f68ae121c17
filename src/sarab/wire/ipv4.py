"""IPv4 headers (RFC 791, RFC 2474 and 3168 for the second byte)."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.address import text
from sarab.wire.checksum import checksum, verified
from sarab.wire.errors import Malformed

HEADER_SIZE = 20
HEADER_SIZE_MAX = 60
PACKET_SIZE_MAX = 65535
ICMP, IGMP, TCP, UDP = 1, 2, 6, 17
DONT_FRAGMENT, MORE_FRAGMENTS = 2, 1
ROUTER_ALERT = b"\x94\x04\0\0"
"""The option that goes with IGMP (RFC 2113)."""
LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE = 131, 137
"""Options of packets that are to be dropped (RFC 7126 sections 4.3 and 4.4)."""
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3

_HEADER = Struct("!BBHHHBBH4s4s")
_END, _NOP = 0, 1


class Header(NamedTuple):
    """An IPv4 header. `fragment_offset` is in bytes; `flags` are DONT_FRAGMENT and MORE_FRAGMENTS."""

    source: bytes
    destination: bytes
    protocol: int
    total_length: int
    identification: int = 0
    flags: int = DONT_FRAGMENT
    fragment_offset: int = 0
    ttl: int = 64
    dscp: int = 0
    ecn: int = NOT_ECT
    options: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of the header."""
        return HEADER_SIZE + len(self.options)


def parse(view: bytes | memoryview) -> Header:
    """Return the header of a packet, which may be followed by padding. Its checksum is verified. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("an IPv4 packet has 20 bytes at least")
    first, tos, total_length, identification, fragment, ttl, protocol, _, source, destination = _HEADER.unpack_from(
        view
    )
    if first >> 4 != 4:
        raise Malformed("IPv4 of another version")
    size = (first & 15) * 4
    if size < HEADER_SIZE or not size <= total_length <= len(view):
        raise Malformed("IPv4's lengths are not those of the packet")
    if not verified(view[:size]):
        raise Malformed("IPv4's checksum is wrong")
    options = bytes(view[HEADER_SIZE:size]) if size > HEADER_SIZE else b""
    offset = (fragment & 0x1FFF) * 8
    if offset + total_length > PACKET_SIZE_MAX:  # with its header, which the whole packet has too
        raise Malformed("a fragment that ends behind 65535")
    return Header(
        source,
        destination,
        protocol,
        total_length,
        identification,
        fragment >> 13 & 3,
        offset,
        ttl,
        tos >> 2,
        tos & 3,
        options,
    )


def parse_options(options: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return (type, data) of each option of a header (RFC 791 section 3.1). Raises Malformed."""
    found: list[tuple[int, bytes]] = []
    at, end = 0, len(options)
    while at < end and options[at] != _END:
        if options[at] == _NOP:
            at += 1
            continue
        size = options[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            raise Malformed("an IPv4 option is longer than the header")
        found.append((options[at], options[at + 2 : at + size]))
        at += size
    return tuple(found)


def emit_options(options: tuple[tuple[int, bytes], ...]) -> bytes:
    """Return the bytes of options, padded to a multiple of 4."""
    data = b"".join(bytes((kind, 2 + len(body))) + body for kind, body in options)
    return data + bytes(-len(data) % 4)


def emit(header: Header) -> bytes:
    """Return the header's bytes with their checksum. Options must be padded to a multiple of 4."""
    size = HEADER_SIZE + len(header.options)
    words = (
        0x40 | size >> 2,
        header.dscp << 2 | header.ecn,
        header.total_length,
        header.identification,
        header.flags << 13 | header.fragment_offset >> 3,
        header.ttl,
        header.protocol,
    )
    bare = _HEADER.pack(*words, 0, header.source, header.destination) + header.options
    return bare[:10] + checksum(bare).to_bytes(2, "big") + bare[12:]


def line(header: Header) -> str:
    """Return one line for a person."""
    more = ""
    if header.fragment_offset or header.flags & MORE_FRAGMENTS:
        more = f" frag {header.identification}:{header.fragment_offset}{'+' if header.flags & MORE_FRAGMENTS else ''}"
    return f"{text(header.source)} > {text(header.destination)} proto {header.protocol}{more}"
