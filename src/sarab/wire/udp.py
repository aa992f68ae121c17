"""UDP headers (RFC 768; over IPv6 RFC 8200 section 8.1)."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.errors import Malformed

HEADER_SIZE = 8
PROTOCOL = 17
CHECKSUM_OFFSET = 6

_HEADER = Struct("!HHHH")


class Header(NamedTuple):
    """A UDP header. `length` counts the header; `checksum` 0 means that none was computed."""

    src_port: int
    dst_port: int
    length: int
    checksum: int = 0


def parse(view: bytes | memoryview) -> Header:
    """Return the header of a datagram, which may be followed by padding. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("a UDP datagram has 8 bytes at least")
    header = Header(*_HEADER.unpack_from(view))
    if not HEADER_SIZE <= header.length <= len(view):
        raise Malformed("UDP's length is not that of the packet")
    return header


def emit(header: Header) -> bytes:
    """Return the header's bytes."""
    return _HEADER.pack(*header)


def line(header: Header) -> str:
    """Return one line for a person, as packetdrill writes it."""
    return f"{header.src_port} > {header.dst_port}: udp ({header.length - HEADER_SIZE})"
