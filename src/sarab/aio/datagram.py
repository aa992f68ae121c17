"""A UDP port as asyncio's transport."""

from __future__ import annotations

import asyncio
from asyncio import events, trsock
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from sarab.aio.faces import Face, endpoint_address, error_of
from sarab.aio.network import RECEIVE_MAX, monotonic_ns
from sarab.aio.stream import wake
from sarab.aio.traffic import BYTES
from sarab.net.endpoints import Datagrams
from sarab.proto.tcp.values import Event
from sarab.wire.address import MAPPED

if TYPE_CHECKING:
    from sarab.aio.loop import Loop
    from sarab.net.endpoints import Endpoint

DATAGRAMS_AT_ONCE = RECEIVE_MAX
"""Handed to the protocol before others have their turn: all that a look at the cards may bring, or the port's queue
would overflow while a burst comes in."""
HIGH_WATER = 64 * 1024


class DatagramTransport(asyncio.DatagramTransport, asyncio.Transport):
    """Made by the loop. The stack takes a datagram at once or refuses it: nothing waits here."""

    def __init__(
        self, loop: Loop, face: Face, protocol: asyncio.BaseProtocol, waiter: asyncio.Future[None] | None = None
    ) -> None:
        super().__init__()
        assert isinstance(face.endpoint, Datagrams)
        self._loop, self._driver, self._lock = loop, loop.driver, loop.driver.lock
        self._face = face
        self._socket: Any = None
        self._endpoint = face.endpoint
        self._protocol = protocol
        self._closing = self._is_lost = False
        context = copy_context()
        self._handle = events.Handle(self._on_ready, (), loop, context)
        self._scheduled = True
        self._endpoint.owner = self
        loop.open_transports.add(self)
        loop.call_soon(protocol.connection_made, self, context=context)
        loop._ready.append(self._handle)
        if waiter is not None:
            loop.call_soon(wake, waiter)

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """The port has news: look at it in the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.schedule(self._handle)

    def _on_ready(self) -> None:
        self._scheduled = False
        protocol: Any = self._protocol
        endpoint = self._endpoint
        for _ in range(DATAGRAMS_AT_ONCE):
            if self._closing:
                return
            with self._lock:
                found = endpoint.receive_from()
                error = None
                if found is None and endpoint.error:
                    error, endpoint.error = error_of(endpoint.error), Event.NONE
            if error is not None:
                protocol.error_received(error)
            if found is None:
                return
            protocol.datagram_received(found[0], self._face.name(found[1], found[2]))
        self.notify(endpoint, Event.NONE)

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        """Send a datagram, to the peer or to `addr`."""
        if not isinstance(data, BYTES):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        remote = self._endpoint.remote
        if remote is not None:
            if addr is not None and endpoint_address(addr) != remote:
                raise ValueError(f"Invalid address: must be None or {self._face.name(*remote)}")
            target = remote
        elif addr is None:
            raise ValueError("a datagram needs an address, for the endpoint has no peer")
        else:
            target = endpoint_address(addr)
            if target[0][:12] == MAPPED:
                target = target[0][12:], target[1]
        if self._is_lost:
            return
        try:
            with self._lock:
                self._endpoint.send_to(monotonic_ns(), bytes(data), *target)
            self._driver.dirty = True
        except OSError as error:
            self._protocol.error_received(error)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Give the port back."""
        if not self._closing:
            self._lose(None)

    def abort(self) -> None:
        """The same: nothing waits."""
        self.close()

    def _lose(self, error: Exception | None) -> None:
        self._closing = self._is_lost = True
        self._loop.call_soon(self._connection_lost, error)

    def _connection_lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._release()

    def _release(self) -> None:
        self._closing = self._is_lost = True
        self._loop.open_transports.discard(self)
        with self._lock:
            self._endpoint.close(monotonic_ns())

    def is_closing(self) -> bool:
        """Say whether close() was called."""
        return self._closing

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """asyncio's, for whoever asks."""
        return HIGH_WATER // 4, HIGH_WATER

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand out to another protocol."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is handed what comes."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername` (None without a peer), `sockname`, `socket`."""
        if name == "peername":
            return None if self._endpoint.remote is None else self._face.getpeername()
        if name == "sockname":
            return self._face.getsockname()
        if name == "socket":
            if self._socket is None:  # always the same, as asyncio's
                self._socket = trsock.TransportSocket(self._face)  # type: ignore[arg-type]
            return self._socket
        return default
