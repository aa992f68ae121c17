"""ICMP for IPv6 (RFC 4443). Neighbour discovery (`wire/ndp.py`) and MLD (`wire/mld.py`) are read from its messages."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.checksum import checksum, pseudo_header, verified
from sarab.wire.errors import Malformed

HEADER_SIZE = 8
PROTOCOL = 58
UNREACHABLE, PACKET_TOO_BIG, TIME_EXCEEDED, PARAMETER_PROBLEM, ECHO, ECHO_REPLY = 1, 2, 3, 4, 128, 129
NO_ROUTE, PROHIBITED, BEYOND_SCOPE, ADDRESS, PORT, POLICY, REJECT_ROUTE = 0, 1, 2, 3, 4, 5, 6
HOP_LIMIT, REASSEMBLY = 0, 1
ERRONEOUS_FIELD, UNKNOWN_NEXT_HEADER, UNKNOWN_OPTION = 0, 1, 2
HARD = frozenset((NO_ROUTE, PROHIBITED, BEYOND_SCOPE, ADDRESS, PORT, POLICY, REJECT_ROUTE))
"""Codes of UNREACHABLE that end an attempt to connect (RFC 5927 section 4; Linux takes them so)."""
QUOTED_MAX = 1280 - 40 - HEADER_SIZE
"""Bytes of a packet that an error quotes: as much as makes 1280, which every path carries (RFC 4443 section 3.1)."""

_HEADER = Struct("!BBHI")
_NAMES = {
    UNREACHABLE: "unreachable",
    PACKET_TOO_BIG: "packet too big",
    TIME_EXCEEDED: "time exceeded",
    PARAMETER_PROBLEM: "parameter problem",
    ECHO: "echo request",
    ECHO_REPLY: "echo reply",
}


class Message(NamedTuple):
    """A message. `word` is the second word of the header, 32 bits.

    Echo: identifier and sequence number, 16 bits each. Packet too big: the MTU. Parameter problem: the pointer.
    """

    type: int
    code: int
    word: int = 0
    body: bytes | memoryview = b""
    """Echo: the data. An error: the packet that it is about, cut."""


def is_error(message: Message) -> bool:
    """Say whether it complains of a packet: an error is never answered with an error (RFC 4443 section 2.4 e)."""
    return message.type < 128


def parse(view: bytes | memoryview, source: bytes, destination: bytes) -> Message:
    """Return the message, its checksum verified with the addresses of its packet. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("an ICMPv6 message has 8 bytes at least")
    if not verified(view, pseudo_header(source, destination, PROTOCOL, len(view))):
        raise Malformed("ICMPv6's checksum is wrong")
    kind, code, _, word = _HEADER.unpack_from(view)
    return Message(kind, code, word, view[HEADER_SIZE:])


def emit(message: Message, source: bytes, destination: bytes) -> bytes:
    """Return the message's bytes with their checksum, which covers the addresses of its packet."""
    kind, code, word, body = message
    bare = _HEADER.pack(kind, code, 0, word) + body
    value = checksum(bare, pseudo_header(source, destination, PROTOCOL, len(bare)))
    return bare[:2] + value.to_bytes(2, "big") + bare[4:]


def echo(identifier: int, sequence: int, data: bytes = b"") -> Message:
    """Return a question that asks for `data` back."""
    return Message(ECHO, 0, identifier << 16 | sequence, data)


def packet_too_big(mtu: int, packet: bytes | memoryview) -> Message:
    """Return the complaint that `packet` is longer than `mtu` bytes."""
    return Message(PACKET_TOO_BIG, 0, mtu, packet[:QUOTED_MAX])


def error(kind: int, code: int, packet: bytes | memoryview, pointer: int = 0) -> Message:
    """Return a complaint about `packet`; `pointer` is where a parameter problem is, in bytes from its start."""
    return Message(kind, code, pointer, packet[:QUOTED_MAX])


def line(message: Message) -> str:
    """Return one line for a person."""
    kind, code, word, body = message
    words = f"icmp6 {_NAMES.get(kind, str(kind))}"
    if kind in (ECHO, ECHO_REPLY):
        return f"{words} id {word >> 16} seq {word & 0xFFFF} ({len(body)})"
    if kind == PACKET_TOO_BIG:
        return f"{words} mtu {word}"
    return f"{words} code {code}"
