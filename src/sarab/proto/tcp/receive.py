"""The receiving half: reassembly, the window and its size, selective acknowledgements (RFC 9293 3.8.6, RFC 2018)."""

from __future__ import annotations

from collections import deque

from sarab.proto.tcp.values import REASSEMBLY_PIECES_MAX

Payload = bytes | bytearray | memoryview
SMALL = 1024
"""A payload below this joins the one before it: else a peer that sends byte by byte has us keep a frame for each."""
JOINED_MAX = 8192


class Receiver:
    """Bytes in order for the user, pieces out of order for later. Sequence numbers do not wrap (seq.py)."""

    __slots__ = (
        "_chunks",
        "_measured_at",
        "_read_since",
        "buffer_max",
        "buffer_size",
        "dropped",
        "pieces",
        "rcv_adv",
        "rcv_nxt",
        "readable",
        "recent",
    )

    def __init__(self, rcv_nxt: int, buffer_size: int, buffer_max: int) -> None:
        self.rcv_nxt = rcv_nxt
        self.rcv_adv = rcv_nxt
        """The right edge of the window that the peer was told."""
        self.buffer_size, self.buffer_max = buffer_size, buffer_max
        self.readable = 0
        self.pieces: list[tuple[int, int, Payload]] = []
        """(start, end, data) out of order, sorted, not overlapping."""
        self.recent = 0
        """Where the piece begins that came last: its block is reported first (RFC 2018 section 4)."""
        self.dropped = 0
        self._chunks: deque[Payload] = deque()
        self._read_since = 0
        self._measured_at = 0

    @property
    def window(self) -> int:
        """What may be advertised now: the free room, and never less than was advertised before."""
        return max(self.buffer_size - self.readable, self.rcv_adv - self.rcv_nxt, 0)

    def take(self, start: int, data: Payload) -> int:
        """Accept what begins at `start` and lies inside the window; return how many bytes became readable."""
        if start <= self.rcv_nxt:
            if start < self.rcv_nxt:
                data = data[self.rcv_nxt - start :]
            before = self.rcv_nxt
            if data:
                self._append(data)
            if self.pieces:
                self._join()
            return self.rcv_nxt - before
        self._keep(start, data)
        return 0

    def _append(self, data: Payload) -> None:
        size = len(data)
        chunks = self._chunks
        if size < SMALL and chunks:
            last = chunks[-1]
            if type(last) is bytearray and len(last) < JOINED_MAX:
                last += data
            else:
                chunks.append(bytearray(data))
        else:
            chunks.append(data)
        self.readable += size
        self.rcv_nxt += size

    def _join(self) -> None:
        pieces = self.pieces
        used = 0
        for start, end, data in pieces:
            if start > self.rcv_nxt:
                break
            if end > self.rcv_nxt:
                self._append(data[self.rcv_nxt - start :])
            used += 1
        del pieces[:used]

    def _keep(self, start: int, data: Payload) -> None:
        """Put a piece into the list; where it overlaps, what came first stays."""
        pieces = self.pieces
        end = start + len(data)
        index = 0
        while index < len(pieces) and pieces[index][1] <= start:
            index += 1
        self.recent = start
        while start < end:
            following = pieces[index] if index < len(pieces) else None
            if following is not None and following[0] <= start:
                skip = min(following[1], end) - start
                data, start = data[skip:], start + skip
                index += 1
                continue
            stop = end if following is None else min(end, following[0])
            if len(pieces) >= REASSEMBLY_PIECES_MAX:
                self.dropped += 1
                return
            pieces.insert(index, (start, stop, data[: stop - start]))
            data, start = data[stop - start :], stop
            index += 1

    def sack_blocks(self, most: int) -> list[tuple[int, int]]:
        """Return the ranges held out of order, the one that changed last first."""
        blocks: list[tuple[int, int]] = []
        for start, end, _ in self.pieces:
            if blocks and blocks[-1][1] == start:
                blocks[-1] = (blocks[-1][0], end)
            else:
                blocks.append((start, end))
        for index, (start, end) in enumerate(blocks):
            if start <= self.recent < end:
                blocks.insert(0, blocks.pop(index))
                break
        return blocks[:most]

    def read(self, limit: int) -> bytes:
        """Return at most `limit` bytes, in order."""
        chunks = self._chunks
        if not chunks or limit <= 0:
            return b""
        first = chunks[0]
        size = len(first)
        if size >= limit or len(chunks) == 1:
            if size > limit:
                chunks[0] = memoryview(first)[limit:]
                data = bytes(first[:limit])
            else:
                chunks.popleft()
                data = bytes(first)
        else:
            taken: list[Payload] = []
            left = limit
            while chunks and left:
                first = chunks[0]
                if len(first) > left:
                    taken.append(first[:left])
                    chunks[0] = memoryview(first)[left:]
                    left = 0
                else:
                    taken.append(first)
                    left -= len(first)
                    chunks.popleft()
            data = b"".join(taken)
        self.readable -= len(data)
        self._read_since += len(data)
        return data

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` as far as there is data; return how many bytes."""
        done, room = 0, len(buffer)
        chunks = self._chunks
        while chunks and done < room:
            first = chunks[0]
            size = min(len(first), room - done)
            buffer[done : done + size] = first[:size]
            done += size
            if size == len(first):
                chunks.popleft()
            else:
                chunks[0] = memoryview(first)[size:]
        self.readable -= done
        self._read_since += done
        return done

    def tune(self, now: int, rtt: int) -> None:
        """Grow the buffer when the user has read most of it in one round trip: the path is longer than the window."""
        if now - self._measured_at < rtt:
            return
        if self._read_since * 2 > self.buffer_size and self.buffer_size < self.buffer_max:
            self.buffer_size = min(self.buffer_size * 2, self.buffer_max)
        self._read_since = 0
        self._measured_at = now

    def discard(self) -> None:
        """Drop everything: the user will not read."""
        self._chunks.clear()
        self.pieces.clear()
        self.readable = 0
