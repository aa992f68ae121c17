"""What the user wrote and the peer has not acknowledged, in the chunks in which it came."""

from __future__ import annotations

from collections import deque
from typing import Final

from sarab.proto.tcp.account import Account

Payload = bytes | bytearray | memoryview
NOTHING: Final[deque[bytes | bytearray]] = deque()
"""Of all those to which nothing was written: a deque is 600 bytes when it is empty, and connections are many."""
SMALL: Final = 1024
"""A write below this is copied behind the one before it: else a user who writes byte by byte has an object for each."""
JOINED_MAX: Final = 16384
VIEW_MIN: Final = 4096
"""A slice below this is copied: two views cost more than the bytes."""


class SendBuffer:
    """Bytes with sequence numbers `start` to `end` (exclusive)."""

    __slots__ = ("_account", "_at", "_chunks", "_head", "_index", "end", "start")

    def __init__(self, start: int, account: Account | None = None) -> None:
        self.start = self.end = start
        self._account = account or Account()
        self._chunks: deque[bytes | bytearray] = NOTHING
        self._head = start
        """The sequence number of the first chunk's first byte: its front may be acknowledged already."""
        # Where the last take() ended: the number of a chunk and the sequence number of its first byte.
        self._index, self._at = 0, start

    def __len__(self) -> int:
        return self.end - self.start

    def append(self, data: Payload, size: int) -> None:
        """Queue the first `size` bytes of `data`. Only whole `bytes` are kept as they are; all else is copied."""
        chunks = self._chunks
        if chunks is NOTHING:
            chunks = self._chunks = deque()
        self.end += size
        self._account.used += size
        kept = data if type(data) is bytes and len(data) == size else bytes(memoryview(data)[:size])
        if size < SMALL and chunks:
            last = chunks[-1]
            if len(last) < SMALL and type(last) is bytes:
                last = chunks[-1] = bytearray(last)
            if type(last) is bytearray and len(last) < JOINED_MAX:
                last += kept
                return
        chunks.append(kept)

    def take(self, start: int, size: int) -> bytes | memoryview:
        """Return `size` bytes from sequence number `start` on; all of them are in the buffer."""
        chunks = self._chunks
        if start >= self._at and self._index < len(chunks):
            index, at = self._index, self._at
        else:
            index, at = 0, self._head
        chunk = chunks[index]
        while start >= at + len(chunk):
            at += len(chunk)
            index += 1
            chunk = chunks[index]
        self._index, self._at = index, at
        offset = start - at
        if offset + size <= len(chunk):
            if type(chunk) is bytes:
                if size == len(chunk):
                    return chunk
                if size >= VIEW_MIN:
                    return memoryview(chunk)[offset : offset + size]
                return chunk[offset : offset + size]
            return bytes(memoryview(chunk)[offset : offset + size])
        pieces = [memoryview(chunk)[offset:]]
        left = size - len(pieces[0])
        while left > 0:
            at += len(chunk)
            index += 1
            chunk = chunks[index]
            pieces.append(memoryview(chunk)[:left])
            left -= len(chunk)
        self._index, self._at = index, at
        data = b"".join(pieces)
        pieces.clear()  # a view would forbid the last chunk to grow
        return data

    def acknowledged(self, ack: int) -> None:
        """Forget what lies before `ack`."""
        ack = min(ack, self.end)
        if ack <= self.start:
            return
        self._account.used -= ack - self.start
        self.start = ack
        chunks = self._chunks
        if ack == self.end:
            chunks.clear()
            self._head = self._at = ack
            self._index = 0
            return
        while chunks:
            behind = self._head + len(chunks[0])
            if behind > ack:
                break
            self._head = behind
            chunks.popleft()
            self._index -= 1
        if self._index < 0:
            self._index, self._at = 0, self._head
