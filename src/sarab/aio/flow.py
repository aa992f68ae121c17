"""A connection as an application asks for it (device.stack.Flow and Listener), over any of asyncio's event loops.

It is a protocol of asyncio itself, with its own bounded buffers: a StreamReader would copy everything once more.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections import deque
from collections.abc import AsyncIterator
from math import ceil
from typing import Any

from sarab.aio.closing import Closing
from sarab.device.network import Buffer
from sarab.device.stack import Address, IPAddress

READ_HIGH, READ_LOW = 256 * 1024, 64 * 1024
"""Bytes that wait to be read: above the first nothing more is taken from the network, until below the second."""
CLOSE_SECONDS = 10.0
"""How long close() waits until what was written has left this program; the rest leaves, or not, without anybody."""
KEEPALIVE_COUNT = 4
KEEPALIVE_MAX = 32767
"""Seconds: Linux takes no more."""
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def address_of(name: Any) -> Address:
    """Return a socket's address as a value; an IPv4 address that is written as an IPv6 one is an IPv4 address."""
    host: IPAddress = ipaddress.ip_address(name[0])
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return Address(host, name[1])


def wake(future: asyncio.Future[None] | None) -> None:
    """End a wait, if it has not ended."""
    if future is not None and not future.done():
        future.set_result(None)


class Flow(Closing, asyncio.Protocol):
    """device.stack.Flow."""

    def __init__(self, listener: Listener | None = None) -> None:
        """`listener` is told when the connection is there."""
        self._listener = listener
        self._transport: Any = None
        self._local = self._remote = Address(ipaddress.IPv4Address(0), 0)
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._is_paused = False
        """Nothing more is taken from the network."""
        self._ended = False
        """The peer has written its last."""
        self._lost = False
        self._error: OSError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._is_full = False
        """What was written waits."""
        self._writers: deque[asyncio.Future[None]] = deque()
        self._is_shut = False
        self._closed: asyncio.Future[None] | None = None

    # ---- what asyncio tells --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport
        self._local = address_of(transport.get_extra_info("sockname"))
        self._remote = address_of(transport.get_extra_info("peername"))
        if self._listener is not None:
            self._pause()  # until somebody has it
            if type(transport).__module__ == "asyncio.selector_events":
                asyncio.get_running_loop().call_soon(self._pause_again)
            self._listener._made(self)

    def _pause_again(self) -> None:
        """Python 3.11.2 begins to read behind connection_made(), paused or not."""
        if self._is_paused and not self._lost and not self._transport.is_closing():
            self._transport.resume_reading()
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size > READ_HIGH:
            self._pause()
        wake(self._reader)

    def eof_received(self) -> bool:
        """See asyncio.Protocol; our direction stays open."""
        self._ended = True
        wake(self._reader)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._lost = True
        if isinstance(error, OSError):
            self._error = error
        elif error is not None:
            self._error = OSError(errno.EIO, str(error))
        wake(self._reader)
        wake(self._closed)
        for writer in self._writers:
            wake(writer)
        if self._listener is not None:
            self._listener._gone(self)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._is_full = False
        for writer in self._writers:
            wake(writer)

    def _pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_paused and self._size <= READ_LOW:
            self._is_paused = False
            if not self._lost and not self._transport.is_closing():
                self._transport.resume_reading()

    # ---- what an application asks for ----------------------------------------------------------------------------

    @property
    def local(self) -> Address:
        """See device.stack.Flow."""
        return self._local

    @property
    def remote(self) -> Address:
        """See device.stack.Flow."""
        return self._remote

    async def _more(self) -> bool:
        """Wait for more than there is; False: nothing more comes. Raises as read()."""
        size = self._size
        while self._size == size:
            if self._error is not None:
                raise self._error
            if self._ended or self._lost or self._closed is not None:
                return False
            if self._reader is not None:
                raise RuntimeError("another task reads this connection already")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return True

    def _take(self, count: int) -> bytes:
        """Return the first `count` of the bytes that wait."""
        chunks = self._chunks
        first = chunks[0]
        self._size -= count
        if len(first) == count:
            chunks.popleft()
            data = first
        elif len(first) > count:
            data = first[:count]
            chunks[0] = first[count:]
        else:
            pieces = []
            while count:
                piece = chunks.popleft()
                if len(piece) > count:
                    chunks.appendleft(piece[count:])
                    piece = piece[:count]
                pieces.append(piece)
                count -= len(piece)
            data = b"".join(pieces)
        self._resume()
        return data

    async def read(self, limit: int = 65536) -> bytes:
        """See device.stack.Flow."""
        if limit < 1:
            raise ValueError("a read takes at least one byte")
        if not self._size and not await self._more():
            return b""
        return self._take(min(limit, len(self._chunks[0])))

    async def read_exactly(self, count: int) -> bytes:
        """See device.stack.Flow."""
        if count < 1:
            return b""
        if count <= READ_LOW:
            while self._size < count:
                if not await self._more():
                    raise EOFError(f"the connection ended after {self._size} of {count} bytes")
            return self._take(count)
        pieces: list[bytes] = []
        left = count
        while left:  # more than may wait at once
            if not self._size and not await self._more():
                raise EOFError(f"the connection ended after {count - left} of {count} bytes")
            pieces.append(self._take(min(left, self._size)))
            left -= len(pieces[-1])
        return b"".join(pieces)

    async def read_until(self, separator: bytes = b"\n", limit: int = 65536) -> bytes:
        """See device.stack.Flow."""
        if not separator:
            raise ValueError("a separator is at least one byte")
        seen = 0
        while True:
            if len(self._chunks) > 1:
                self._chunks = deque((b"".join(self._chunks),))
            data = self._chunks[0] if self._chunks else b""
            found = data.find(separator, max(seen - len(separator) + 1, 0))
            if found >= 0 and found + len(separator) <= limit:
                return self._take(found + len(separator))
            if found >= 0 or len(data) >= limit:
                raise ValueError(f"{separator!r} is not within {limit} bytes")
            seen = len(data)
            if seen > READ_LOW and self._is_paused:
                self._is_paused = False  # `limit` is what bounds it here
                self._transport.resume_reading()
            if not await self._more():
                return self._take(self._size) if self._size else b""

    async def write(self, data: Buffer) -> None:
        """See device.stack.Flow."""
        self._check_writable()
        if not isinstance(data, bytes):
            data = bytes(data)  # it is the caller's again when this returns
        self._transport.write(data)
        while self._is_full and not self._lost:
            future = asyncio.get_running_loop().create_future()
            self._writers.append(future)
            try:
                await future
            finally:
                self._writers.remove(future)
        if self._lost:
            self._check_writable()

    def _check_writable(self) -> None:
        if self._error is not None:
            raise self._error
        if self._lost or self._is_shut or self._closed is not None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    async def shutdown_write(self) -> None:
        """See device.stack.Flow."""
        if not self._is_shut and not self._lost and self._closed is None:
            self._is_shut = True
            self._transport.write_eof()

    def keep_alive(self, idle: float | None) -> None:
        """See device.stack.Flow."""
        if idle is not None and not 0 < idle <= KEEPALIVE_MAX:
            raise ValueError(f"a silent peer is asked after more than 0 and at most {KEEPALIVE_MAX} seconds")
        if self._lost or self._closed is not None:
            return
        options = self._transport.get_extra_info("socket")
        if idle is not None:
            options.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ceil(idle))
            options.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ceil(idle / KEEPALIVE_COUNT))
            options.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
        options.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(idle is not None))

    async def close(self) -> None:
        """See device.stack.Flow."""
        loop = asyncio.get_running_loop()
        if self._closed is None:
            self._closed = loop.create_future()
            self._transport.close()
            self._chunks.clear()
            self._size = 0
            wake(self._reader)
            for writer in self._writers:
                wake(writer)
        if not self._lost:
            await asyncio.wait((self._closed,), timeout=CLOSE_SECONDS)


class Listener(Closing):
    """device.stack.Listener. Made by listen()."""

    def __init__(self, backlog: int) -> None:
        self._backlog = max(backlog, 1)
        self._servers: list[asyncio.Server] = []
        self._ready: deque[Flow] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_closed = False
        self._local = Address(ipaddress.IPv4Address(0), 0)
        self.refused = 0
        """Connections that were closed again, for nobody accepted the others."""

    async def _open(self, host: str | None, port: int) -> None:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        first = await loop.create_server(lambda: Flow(self), host or "0.0.0.0", port, backlog=self._backlog)
        self._servers.append(first)
        name = first.sockets[0].getsockname()
        self._local = Address(ipaddress.ip_address(name[0]), name[1])
        if host is None:
            try:
                # The same port of the other family, which is a socket of its own everywhere (IPV6_V6ONLY).
                second = await loop.create_server(lambda: Flow(self), "::", name[1], backlog=self._backlog)
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    await self.close()
                    raise
            else:
                self._servers.append(second)
                self._local = Address(ipaddress.IPv6Address(0), name[1])

    def _made(self, flow: Flow) -> None:
        if self._is_closed or len(self._ready) >= self._backlog:
            self.refused += 1
            flow._transport.abort()
            return
        self._ready.append(flow)
        self._wake()

    def _gone(self, flow: Flow) -> None:
        """A connection ended; what it brought can still be read, if anybody asks."""
        if flow in self._ready and flow._error is not None:
            self._ready.remove(flow)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
                return

    @property
    def local(self) -> Address:
        """See device.stack.Listener; the address is `::` for every one of both families."""
        return self._local

    async def accept(self) -> Flow:
        """See device.stack.Listener."""
        while not self._ready:
            if self._is_closed:
                raise OSError(errno.EBADF, "the listener is closed")
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                self._waiting.remove(future)
                if self._ready:
                    self._wake()  # a wait that was cancelled passes on what it was woken for
        flow = self._ready.popleft()
        flow._listener = None
        flow._resume()
        return flow

    async def __aiter__(self) -> AsyncIterator[Flow]:
        """See device.stack.Listener."""
        while not self._is_closed:
            try:
                flow = await self.accept()
            except OSError:
                return
            yield flow

    async def close(self) -> None:
        """See device.stack.Listener; connections that nobody accepted are reset."""
        if self._is_closed:
            return
        self._is_closed = True
        for server in self._servers:
            server.close()
        while self._ready:
            self._ready.popleft()._transport.abort()
        for future in self._waiting:
            wake(future)


async def listen(host: str | None, port: int, backlog: int) -> Listener:
    """Return a listener; `host` is a numeric address, None: all of both families. Raises OSError."""
    listener = Listener(backlog)
    await listener._open(host, port)
    return listener
