"""ICMP for IPv4 (RFC 792; RFC 1191 for the MTU in "fragmentation needed")."""

from struct import Struct
from typing import NamedTuple

from sarab.wire.checksum import checksum, verified
from sarab.wire.errors import Malformed

HEADER_SIZE = 8
ECHO_REPLY, UNREACHABLE, REDIRECT, ECHO, TIME_EXCEEDED, PARAMETER_PROBLEM = 0, 3, 5, 8, 11, 12
NET, HOST, PROTOCOL, PORT, FRAGMENTATION_NEEDED, ADMINISTRATIVELY_PROHIBITED = 0, 1, 2, 3, 4, 13
REASSEMBLY = 1
HARD = frozenset((NET, HOST, PROTOCOL, PORT))
"""Codes of UNREACHABLE that end an attempt to connect (RFC 5927; Linux takes them so)."""
ERRORS = frozenset((UNREACHABLE, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM))

_HEADER = Struct("!BBHHH")
_NAMES = {
    ECHO_REPLY: "echo reply",
    UNREACHABLE: "unreachable",
    REDIRECT: "redirect",
    ECHO: "echo request",
    TIME_EXCEEDED: "time exceeded",
    PARAMETER_PROBLEM: "parameter problem",
}


class Message(NamedTuple):
    """A message. `first` and `second` are the two words of the header's rest.

    Echo: identifier and sequence number. Fragmentation needed: unused and the next hop's MTU.
    """

    type: int
    code: int
    first: int = 0
    second: int = 0
    body: bytes | memoryview = b""
    """Echo: the data. An error: the packet that it is about, cut."""

    @property
    def gateway(self) -> bytes:
        """A redirect's: through whom the packet should have gone."""
        return (self.first << 16 | self.second).to_bytes(4, "big")

    @property
    def pointer(self) -> int:
        """A parameter problem's: where it is, in bytes from the packet's start."""
        return self.first >> 8


def parse(view: bytes | memoryview) -> Message:
    """Return the message, its checksum verified. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("an ICMP message has 8 bytes at least")
    if not verified(view):
        raise Malformed("ICMP's checksum is wrong")
    kind, code, _, first, second = _HEADER.unpack_from(view)
    return Message(kind, code, first, second, view[HEADER_SIZE:])


def emit(message: Message) -> bytes:
    """Return the message's bytes with their checksum."""
    kind, code, first, second, body = message
    bare = _HEADER.pack(kind, code, 0, first, second) + body
    return bare[:2] + checksum(bare).to_bytes(2, "big") + bare[4:]


def echo(identifier: int, sequence: int, data: bytes = b"") -> Message:
    """Return a question that asks for `data` back."""
    return Message(ECHO, 0, identifier, sequence, data)


def fragmentation_needed(mtu: int, packet: bytes | memoryview) -> Message:
    """Return the complaint that `packet`, already cut, may not be cut and is longer than `mtu` (RFC 1191 section 4)."""
    return Message(UNREACHABLE, FRAGMENTATION_NEEDED, 0, mtu, packet)


def parameter_problem(pointer: int, packet: bytes | memoryview) -> Message:
    """Return the complaint that byte `pointer` of `packet`, already cut, is wrong."""
    return Message(PARAMETER_PROBLEM, 0, pointer << 8, 0, packet)


def redirect(gateway: bytes, packet: bytes | memoryview) -> Message:
    """Return the advice to send what `packet` was sent to, already cut, through `gateway`."""
    return Message(REDIRECT, HOST, gateway[0] << 8 | gateway[1], gateway[2] << 8 | gateway[3], packet)


def line(message: Message) -> str:
    """Return one line for a person."""
    kind, code, first, second, body = message
    words = f"icmp {_NAMES.get(kind, str(kind))}"
    if kind in (ECHO, ECHO_REPLY):
        return f"{words} id {first} seq {second} ({len(body)})"
    if kind == UNREACHABLE and code == FRAGMENTATION_NEEDED:
        return f"{words} mtu {second}"
    return f"{words} code {code}"
