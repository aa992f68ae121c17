"""Which of a name's addresses to try first (RFC 6724 section 6).

Rule 9 is kept to IPv6: among IPv4 addresses a long common prefix says nothing, and would undo a server's rotation
(RFC 6724 section 10.5 lets a host do so). Rules 4 (mobile addresses) and 7 (tunnels) have nothing to tell apart here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sarab.wire.address import MAPPED, in_network, is_link_local, is_loopback, is_multicast

LINK_LOCAL, SITE_LOCAL, GLOBAL = 2, 5, 14
"""Scopes as a multicast address has them (RFC 4291 section 2.7)."""
POLICY = (
    (bytes(15) + b"\x01", 128, 50, 0),
    (bytes(16), 0, 40, 1),
    (MAPPED + bytes(4), 96, 35, 4),
    (b"\x20\x02" + bytes(14), 16, 30, 2),
    (b"\x20\x01" + bytes(14), 32, 5, 5),
    (b"\xfc" + bytes(15), 7, 3, 13),
    (bytes(16), 96, 1, 3),
    (b"\xfe\xc0" + bytes(14), 10, 1, 11),
    (b"\x3f\xfe" + bytes(14), 16, 1, 12),
)
"""Prefix, its length, precedence, label (section 2.1)."""
_LONGEST_FIRST = tuple(sorted(POLICY, key=lambda entry: -entry[1]))


def policy(address: bytes) -> tuple[int, int]:
    """Return precedence and label of an address, of the longest prefix that fits."""
    whole = address if len(address) == 16 else MAPPED + address
    for prefix, length, precedence, label in _LONGEST_FIRST:
        if in_network(whole, prefix, length):
            return precedence, label
    return 40, 1


def scope(address: bytes) -> int:
    """Return how far an address is valid (sections 3.1 and 3.2)."""
    if len(address) == 16:
        if is_multicast(address):
            return address[1] & 15
        if address[:12] == MAPPED:
            return scope(address[12:])
        if address[0] == 0xFE and address[1] & 0xC0 == 0xC0:
            return SITE_LOCAL
    return LINK_LOCAL if is_link_local(address) or is_loopback(address) else GLOBAL


def common_prefix(one: bytes, other: bytes) -> int:
    """Return how many bits two IPv6 addresses share, of the 64 that name networks (section 2.2)."""
    return 64 - (int.from_bytes(one[:8], "big") ^ int.from_bytes(other[:8], "big")).bit_length()


def sort_destinations(
    candidates: Sequence[bytes],
    source_of: Callable[[bytes], bytes | None],
    deprecated: Iterable[bytes] = (),
) -> list[bytes]:
    """Return the candidates, the best first; among equals in the order in which they came (rule 10).

    `source_of` says from which address of ours one would be reached, None: not at all. `deprecated` are those of ours
    that should begin nothing new (rule 3).
    """
    old = frozenset(deprecated)

    def rank(destination: bytes) -> tuple[int, ...]:
        source = source_of(destination)
        if source is None:
            return (1,)  # rule 1
        reach = scope(destination)
        precedence, label = policy(destination)
        return (
            0,
            reach != scope(source),  # rule 2
            source in old,  # rule 3
            label != policy(source)[1],  # rule 5
            -precedence,  # rule 6
            reach,  # rule 8
            # Rule 9 compares addresses of one family only. Two families differ in their precedence.
            -common_prefix(destination, source) if len(destination) == len(source) == 16 else 0,
        )

    return sorted(candidates, key=rank)
