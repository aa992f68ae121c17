"""Initial sequence numbers (RFC 6528) and SYN cookies (RFC 4987 section 3.6), both keyed with a secret of this boot."""

from __future__ import annotations

from _blake2 import blake2s  # hashlib would load OpenSSL

from sarab.proto.tcp.seq import MASK
from sarab.proto.tcp.values import SECOND

COOKIE_MSS = (536, 1024, 1220, 1300, 1380, 1440, 1460, 8960)
"""What three bits of a cookie remember: the largest of these that the peer's MSS allows."""
COOKIE_PERIOD = 64 * SECOND
COOKIE_PERIODS_VALID = 2
"""A cookie is good for one to two minutes."""

_BEHIND_COOKIES = 1 << 64
"""A salt that no cookie has."""

Tuple4 = tuple[bytes, int, bytes, int]
"""Local address and port, remote address and port."""


class Secrets:
    """Numbers that only we can tell from chance."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """`key` is 32 random bytes."""
        self._key = key

    def _hash(self, connection: Tuple4, salt: int) -> int:
        local, local_port, remote, remote_port = connection
        words = salt.to_bytes(9, "big") + local_port.to_bytes(2, "big") + remote_port.to_bytes(2, "big")
        return int.from_bytes(blake2s(words + local + remote, key=self._key, digest_size=8).digest(), "big")

    def isn(self, now: int, connection: Tuple4) -> int:
        """Return an initial sequence number: a 4 microsecond clock, from a start of this connection's own."""
        return (now // 4000 + self._hash(connection, 0)) & MASK

    def port_offset(self, connection: Tuple4) -> int:
        """Return where to begin to look for a free port towards a destination (RFC 6056 section 3.3.3)."""
        return self._hash(connection, 1)

    def identification(self, source: bytes, destination: bytes, protocol: int) -> int:
        """Return 64 bits of which IPv4 makes where its identifications begin towards a destination (RFC 7739)."""
        return self._hash((source, 0, destination, protocol), _BEHIND_COOKIES)

    def cookie(self, now: int, connection: Tuple4, peer_isn: int, mss: int) -> int:
        """Return the sequence number of a SYN-ACK that remembers all we need to know."""
        period = now // COOKIE_PERIOD
        index = max(i for i, known in enumerate(COOKIE_MSS) if known <= mss or i == 0)
        return self._cookie(connection, peer_isn, period, index)

    def _cookie(self, connection: Tuple4, peer_isn: int, period: int, index: int) -> int:
        proof = self._hash(connection, 2 + (peer_isn << 32 | (period & 0xFFFFFF) << 4 | index)) & 0xFFFFFF
        return (period & 0x1F) << 27 | index << 24 | proof

    def check_cookie(self, now: int, connection: Tuple4, peer_isn: int, cookie: int) -> int | None:
        """Return the MSS that `cookie` remembers, or None if it is not one of ours or too old."""
        current = now // COOKIE_PERIOD
        index = cookie >> 24 & 7
        for age in range(COOKIE_PERIODS_VALID):
            if self._cookie(connection, peer_isn, current - age, index) == cookie:
                return COOKIE_MSS[index]
        return None
