"""The receiving half: reassembly, the window and its size, selective acknowledgements (RFC 9293 3.8.6, RFC 2018)."""

from __future__ import annotations

from collections import deque
from typing import Final

from sarab.proto.tcp.account import MINIMUM, PIECE_SIZE, Account
from sarab.proto.tcp.values import REASSEMBLY_PIECES_MAX

Payload = bytes | bytearray | memoryview
NOTHING: Final[deque[Payload]] = deque()
"""Of all those for whom nothing came yet: a deque is 600 bytes when it is empty."""
SMALL: Final = 1024
"""A payload below this joins the one before it: else a peer that sends byte by byte has us keep a frame for each."""
JOINED_MAX: Final = 8192


LATEST_MAX = 4
"""As many blocks as a segment tells of (RFC 2018 section 3)."""


class Piece:
    """Bytes out of order: sequence numbers `start` to `end` (exclusive)."""

    __slots__ = ("chunks", "end", "start")

    def __init__(self, start: int, data: Payload) -> None:
        self.start, self.end = start, start + len(data)
        self.chunks: list[Payload] = [_own(data)]

    def join(self, other: Piece) -> None:
        """Take over what lies right behind; `other` is none any more."""
        ours, theirs = self.chunks, other.chunks
        if len(ours[-1]) + len(theirs[0]) <= JOINED_MAX:  # else bytes that come backwards would be a chunk each
            theirs[0] = bytearray(ours.pop()) + theirs[0]
        theirs[:0] = ours
        self.chunks, self.end = theirs, other.end
        other.start = other.end = -1


class Receiver:
    """Bytes in order for the user, pieces out of order for later. Sequence numbers do not wrap (seq.py)."""

    __slots__ = (
        "_chunks",
        "_latest",
        "_measured_at",
        "_read_since",
        "account",
        "buffer_max",
        "buffer_size",
        "dropped",
        "duplicate",
        "fin_at",
        "kept",
        "pieces",
        "rcv_adv",
        "rcv_nxt",
        "readable",
    )

    def __init__(self, rcv_nxt: int, buffer_size: int, buffer_max: int, account: Account | None = None) -> None:
        self.account = account or Account()
        self.rcv_nxt = rcv_nxt
        self.rcv_adv = rcv_nxt
        """The right edge of the window that the peer was told."""
        self.buffer_size, self.buffer_max = buffer_size, buffer_max
        self.readable = 0
        self.pieces: list[Piece] = []
        """Out of order, sorted, not overlapping and not touching each other."""
        self.kept = 0
        """What the pieces cost, in bytes."""
        self.dropped = 0
        self.duplicate = (0, 0)
        """What came twice and was not reported yet (RFC 2883); (0, 0): nothing."""
        self.fin_at = -1
        """The sequence number of a FIN that came before what it ends."""
        self._latest: list[Piece] = []
        """Those to which something was added last, the last one first; some may be none any more."""
        self._chunks: deque[Payload] = NOTHING
        self._read_since = 0
        self._measured_at = 0

    @property
    def size(self) -> int:
        """How much the user may leave unread before the window shuts; little while memory is short."""
        account = self.account
        return self.buffer_size if account.used <= account.high else min(self.buffer_size, MINIMUM)

    def admit(self, start: int, size: int) -> int:
        """Return how many of `size` bytes from `start` on, which lie inside the window, there is memory for."""
        account = self.account
        if start > self.rcv_nxt:
            if account.used + size <= account.high:
                return size
        else:
            room = account.make_room(size)
            if room == size:
                return size
            room = max(room, min(MINIMUM - self.readable, size))
            if room > 0:
                account.refused += room < size
                return room
        account.refused += 1
        return 0

    def take(self, start: int, data: Payload) -> int:
        """Accept what begins at `start` and lies inside the window; return how many bytes became readable."""
        rcv_nxt = self.rcv_nxt
        if start > rcv_nxt:
            self._keep(start, data)
            return 0
        if start < rcv_nxt:
            data = data[rcv_nxt - start :]
        if data:
            self.append(data, len(data))
        if self.pieces:
            self._join()
        return self.rcv_nxt - rcv_nxt

    def append(self, data: Payload, size: int) -> None:
        """Take the next `size` bytes: all of `data`, which is not empty."""
        chunks = self._chunks
        if chunks is NOTHING:
            chunks = self._chunks = deque()
        if size < SMALL and chunks:
            _put(chunks, data)
        elif type(data) is bytes:
            chunks.append(data)
        elif size < SMALL:
            chunks.append(bytes(data))
        else:
            chunks.append(_own(data))
        self.readable += size
        self.account.used += size
        self.rcv_nxt += size

    def _join(self) -> None:
        pieces = self.pieces
        used = 0
        for piece in pieces:
            at = piece.start
            if at > self.rcv_nxt:
                break
            used += 1
            self._keep_more(at - piece.end - PIECE_SIZE)
            for data in piece.chunks:
                size = len(data)
                skip = max(self.rcv_nxt - at, 0)
                at += size
                if skip < size:
                    self.append(data[skip:] if skip else data, size - skip)
        del pieces[:used]

    def _keep(self, start: int, data: Payload) -> None:
        """Put data among the pieces; where it overlaps, what came first stays."""
        pieces = self.pieces
        end = start + len(data)
        index = len(pieces)
        if index and pieces[-1].end > start:
            from bisect import bisect_right  # a shared object, for what seldom happens

            index = bisect_right(pieces, start, key=_end_of)
            if pieces[index].start <= start and end <= pieces[index].end:
                self.duplicate = start, end
        while start < end:
            before = pieces[index - 1] if index else None
            if before is not None and before.end > start:
                skip = min(before.end, end) - start
                data, start = data[skip:], start + skip
                continue
            if index < len(pieces) and pieces[index].start <= start:
                index += 1
                continue
            stop = end if index == len(pieces) else min(end, pieces[index].start)
            fresh = data[: stop - start] if stop < end else data
            if before is not None and before.end == start:
                _put(before.chunks, fresh)
                before.end = stop
                piece = before
                self._keep_more(stop - start)
            elif len(pieces) < REASSEMBLY_PIECES_MAX:
                piece = Piece(start, fresh)
                pieces.insert(index, piece)
                index += 1
                self._keep_more(stop - start + PIECE_SIZE)
            else:
                self.dropped += 1
                return
            if index < len(pieces) and pieces[index].start == stop:
                piece.join(pieces.pop(index))
                self._keep_more(-PIECE_SIZE)
            self._note(piece)
            data, start = data[stop - start :], stop

    def _keep_more(self, size: int) -> None:
        """The pieces cost so many bytes more, or less."""
        account = self.account
        if not self.kept:
            account.keepers[self] = None
        self.kept += size
        account.used += size
        if not self.kept:
            del account.keepers[self]

    def _note(self, piece: Piece) -> None:
        """Something was added to a piece."""
        latest = self._latest
        if piece in latest:
            latest.remove(piece)
        latest.insert(0, piece)
        del latest[LATEST_MAX:]

    def sack_blocks(self, most: int) -> list[tuple[int, int]]:
        """Return ranges held out of order, the latest first (RFC 2018 section 4), before them what came twice."""
        told = [piece for piece in self._latest if piece.end > self.rcv_nxt]
        if len(told) < most:
            told += [piece for piece in self.pieces[: most + LATEST_MAX] if piece not in told]
        blocks = [(piece.start, piece.end) for piece in told[:most]]
        if self.duplicate[1]:
            blocks.insert(0, self.duplicate)
            self.duplicate = (0, 0)
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
                data = first if type(first) is bytes else bytes(first)
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
        self._left(len(data))
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
        self._left(done)
        return done

    def _left(self, size: int) -> None:
        """The user has taken so many bytes."""
        self.readable -= size
        self._read_since += size
        self.account.used -= size

    def discard(self) -> None:
        """Nobody will read any more."""
        self._chunks.clear()
        self._left(self.readable)

    def tune(self, now: int, rtt: int) -> None:
        """Grow the buffer when the user has read most of it in one round trip: the path is longer than the window."""
        if now - self._measured_at < rtt:
            return
        grows = self.buffer_size < self.buffer_max and self.account.used <= self.account.high
        if grows and self._read_since * 2 > self.buffer_size:
            self.buffer_size = min(self.buffer_size * 2, self.buffer_max)
        self._read_since = 0
        self._measured_at = now

    def release(self) -> None:
        """Nothing will come any more: keep only what is to be read."""
        self.forget_pieces()

    def forget_pieces(self) -> None:
        """Drop what is out of order: the peer has it still, for it was not acknowledged (RFC 2018 section 8)."""
        if self.kept:
            self._keep_more(-self.kept)
        self.pieces = []
        self._latest = []


def _end_of(piece: Piece) -> int:
    return piece.end


def _own(data: Payload) -> Payload:
    """Return data to be kept: copied, where it is the smaller part of a frame that would be kept for it."""
    if type(data) is memoryview and 2 * len(data) < len(data.obj):  # type: ignore[arg-type]  # bytes, of a frame
        return bytes(data)
    return data


def _put(chunks: deque[Payload] | list[Payload], data: Payload) -> None:
    """Append data, a small one to the end of a small one: else each byte would keep the frame in which it came."""
    if len(data) < SMALL and chunks:
        last = chunks[-1]
        if len(last) < SMALL and type(last) is bytes:
            last = chunks[-1] = bytearray(last)
        if type(last) is bytearray and len(last) < JOINED_MAX:
            last += data
            return
        data = bytes(data)
    chunks.append(_own(data))
