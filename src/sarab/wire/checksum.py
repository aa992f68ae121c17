"""The internet checksum (RFC 1071), pseudo-headers (RFC 9293 section 3.1, RFC 8200 section 8.1).

Sums are numbers 0..65535 in network byte order. A big integer modulo 65535 is the ones' complement sum of its 16-bit
words, and four times faster in CPython than adding them up; zero stands for both 0 and 0xffff.
"""

from __future__ import annotations

Buffer = bytes | bytearray | memoryview


def partial(data: Buffer) -> int:
    """Return the ones' complement sum of the 16-bit words of `data`, padded with a zero byte; not complemented."""
    value = int.from_bytes(data, "big")
    if len(data) & 1:
        value <<= 8
    return value % 65535


def checksum(data: Buffer, initial: int = 0) -> int:
    """Return the checksum to be stored: the complement of the sum of `data` and `initial`."""
    return 65535 - (partial(data) + initial) % 65535


def verified(data: Buffer, initial: int = 0) -> bool:
    """Say whether `data`, its checksum included, sums up to what an intact packet does.

    That is 0xffff. Zero is the same number here but not in ones' complement: nothing but zeros sums up to it.
    """
    value = int.from_bytes(data, "big")
    if len(data) & 1:
        value <<= 8
    value += initial
    return value % 65535 == 0 and value != 0


def update(stored: int, old: int, new: int) -> int:
    """Return what becomes of a stored checksum when words with the sum `old` change to ones with `new` (RFC 1624).

    The words begin at an even place of the packet; `partial` gives their sums.
    """
    return 65535 - (65535 - stored - old + new) % 65535


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """Return the sum of the pseudo-header of IPv4 or IPv6, not complemented.

    It is also what a card with checksum offload wants to find in the checksum's place (virtio 1.3 section 5.1.6.2).
    `length` is that of the transport header and its payload.
    """
    return (int.from_bytes(source, "big") + int.from_bytes(destination, "big") + protocol + length) % 65535
