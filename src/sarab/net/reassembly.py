"""Fragments to packets (RFC 791, RFC 815; RFC 5722: what overlaps is dropped whole, in both families).

Of a packet that was dropped the name is kept until its time is over, so that the fragments which are still to come are
dropped too: else they could make a packet of what was left out.
"""

from __future__ import annotations

SECOND = 1_000_000_000
TIMEOUT = 30 * SECOND
"""RFC 1122 and 8200 say 60 s; identifiers repeat sooner than that (RFC 4963), so Linux takes 30."""
BYTES_MAX = 1 << 20
"""Of all packets in the making. Linux: 4 MiB."""
PACKETS_MAX = 256
FRAGMENTS_MAX = 64
"""Of one packet: 64 KiB in pieces of 1480 bytes are 45."""
PAYLOAD_MAX = 65535

Key = tuple[bytes, bytes, int, int]
"""Source, destination, protocol (0 in IPv6), identification."""


class _Packet:
    __slots__ = ("bytes", "expires", "pieces", "refused", "total")

    def __init__(self, now: int) -> None:
        self.expires = now + TIMEOUT
        self.pieces: list[tuple[int, bytes]] = []
        self.total = -1
        self.bytes = 0
        self.refused = False
        """Its fragments contradict each other: nothing will come of it."""


class Reassembly:
    """The packets in the making of one family."""

    def __init__(self) -> None:
        self._packets: dict[Key, _Packet] = {}
        self._bytes = 0
        self.timed_out = self.overlapping = self.dropped = 0
        """Packets given up; packets whose fragments overlap; and fragments of which nothing came, those of both too."""

    def add(self, now: int, key: Key, offset: int, more: bool, data: bytes) -> bytes | None:
        """Take a fragment; return the whole payload when it was the last one that was missing."""
        self._expire(now)
        packet = self._packets.get(key)
        if not data or (packet is not None and packet.refused):
            self.dropped += 1
            return None
        if packet is None:
            if len(self._packets) >= PACKETS_MAX or self._bytes + len(data) > BYTES_MAX:
                self._drop_oldest()
            packet = self._packets[key] = _Packet(now)
        end = offset + len(data)
        wrong = (more and len(data) % 8) or end > PAYLOAD_MAX or len(packet.pieces) >= FRAGMENTS_MAX
        if not more:
            wrong = wrong or packet.total not in (-1, end)
            # What lies behind the end would count as what is missing before it.
            wrong = wrong or any(at + len(piece) > end for at, piece in packet.pieces)
            packet.total = end
        if wrong or (packet.total >= 0 and end > packet.total):
            self._refuse(packet)
            return None
        for at, piece in packet.pieces:
            if at < end and offset < at + len(piece):
                if at == offset and piece == data:
                    self.dropped += 1
                    return None  # the same again
                self.overlapping += 1
                self._refuse(packet)
                return None
        packet.pieces.append((offset, data))
        packet.bytes += len(data)
        self._bytes += len(data)
        while self._bytes > BYTES_MAX:
            self._drop_oldest()
        if packet.total == packet.bytes:
            whole = b"".join(piece for _, piece in sorted(packet.pieces))
            self._forget(key)
            return whole
        return None

    def deadline(self) -> int | None:
        """Return when a packet is given up; packets are in order of their beginnings."""
        for packet in self._packets.values():
            return packet.expires
        return None

    def poll(self, now: int) -> None:
        """Give up what took too long."""
        self._expire(now)

    def _expire(self, now: int) -> None:
        while self._packets:
            key, packet = next(iter(self._packets.items()))
            if packet.expires > now:
                return
            self.timed_out += not packet.refused
            self.dropped += len(packet.pieces)
            self._forget(key)

    def _refuse(self, packet: _Packet) -> None:
        """Drop a packet and the fragment that has shown it to be wrong, and keep its name."""
        self.dropped += 1 + len(packet.pieces)
        self._bytes -= packet.bytes
        packet.pieces, packet.bytes, packet.total, packet.refused = [], 0, -1, True

    def _drop_oldest(self) -> None:
        if self._packets:
            key, packet = next(iter(self._packets.items()))
            self.dropped += len(packet.pieces)
            self._forget(key)

    def _forget(self, key: Key) -> None:
        packet = self._packets.pop(key, None)
        if packet is not None:
            self._bytes -= packet.bytes
