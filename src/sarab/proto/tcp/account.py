"""One account of the bytes that all connections of a stack hold: to send, to be read, and out of order.

Each connection has bounds of its own; this one is for their sum (as Linux's tcp_mem is). Above `high` windows and
writes are down to MINIMUM a connection, and nothing more is kept out of order. At the limit what is out of order goes,
whoever's it is (RFC 2018 section 8 allows it: what was only selectively acknowledged may be dropped), and then what
comes is not taken. But MINIMUM a connection may always hold, each way: who reads what comes, and whose data is
acknowledged, goes on. So the sum is at most the limit and twice MINIMUM times as many connections as there may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sarab.proto.tcp.receive import Receiver

MINIMUM: Final = 4096
"""Bytes that a connection may hold each way whatever others do: two full frames, so that no acknowledgement is delayed
(RFC 9293 section 3.8.6.3), and Linux's tcp_rmem[0]."""
PIECE_SIZE: Final = 256
"""What a piece out of order costs beside its bytes: 512 pieces of a byte each would be an attack on memory too."""
UNLIMITED: Final = 1 << 62


class Account:
    """Bytes held by everybody, and how many there may be."""

    __slots__ = ("high", "keepers", "limit", "pruned", "refused", "used")

    def __init__(self, limit: int = UNLIMITED) -> None:
        self.limit = limit
        self.high = limit - limit // 4
        """Above it nobody grows. The last quarter is for what the windows of before still let in."""
        self.used = 0
        self.keepers: dict[Receiver, None] = {}
        """Who holds something out of order, the longest first."""
        self.pruned = 0
        """Bytes dropped that were out of order."""
        self.refused = 0
        """Segments not taken, or not as a whole."""

    def make_room(self, size: int) -> int:
        """Drop what is out of order until `size` more bytes fit; return how many of them do."""
        while self.used + size > self.limit and self.keepers:
            keeper = next(iter(self.keepers))
            self.pruned += keeper.kept
            keeper.forget_pieces()
        return min(size, max(self.limit - self.used, 0))
