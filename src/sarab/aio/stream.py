"""A TCP connection as asyncio's transport, straight over a flow of the stack."""

from __future__ import annotations

import asyncio
import sys
import warnings
from asyncio import constants, transports, trsock
from asyncio.log import logger
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from sarab.aio.faces import Face, change
from sarab.aio.network import monotonic_ns
from sarab.aio.traffic import NOTHING, Traffic
from sarab.net.endpoints import Flow

if TYPE_CHECKING:
    from sarab.aio.loop import Loop

_ATTACH_TAKES_TRANSPORT = sys.version_info >= (3, 13)


class StreamTransport(transports._FlowControlMixin, asyncio.Transport):
    """Made by the loop. Every method is the loop's thread's. What happens for each segment is in Traffic."""

    _sendfile_compatible = constants._SendfileMode.FALLBACK
    _start_tls_compatible = True

    def __init__(
        self,
        loop: Loop,
        face: Face,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        server: Any = None,
    ) -> None:
        super().__init__(None, loop)
        assert isinstance(face.endpoint, Flow)
        self._loop = loop
        self._driver = loop.driver
        self._lock = loop.driver.lock
        self._flow = face.endpoint
        self._face = face
        self._socket: Any = None
        self._server = server
        self._context = context = copy_context()
        self._traffic = traffic = Traffic(loop, self, self._flow, context)
        self.write = traffic.write  # type: ignore[method-assign]  # one call less
        traffic.set_protocol(protocol)
        loop.open_transports.add(self)
        change(self._flow, "nagle", False)
        if server is not None:
            server._attach(self) if _ATTACH_TAKES_TRANSPORT else server._attach()
        loop.call_soon(protocol.connection_made, self, context=context)
        traffic.begin()
        if waiter is not None:
            loop.call_soon(wake, waiter)

    def __repr__(self) -> str:
        traffic = self._traffic
        state = "closed" if traffic.lost else "closing" if traffic.closing else "open"
        return f"<StreamTransport {state} {self._face.getsockname()} -> {self._flow.remote}>"

    def __del__(self) -> None:
        traffic = self._traffic
        if not traffic.lost and not traffic.closing:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)

    # ---- reading -------------------------------------------------------------------------------------------------

    def _read_eof(self) -> None:
        self._traffic.eof_seen = True
        try:
            keep_open = self._traffic.protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()

    def pause_reading(self) -> None:
        """Leave in the stack what comes: its window closes when it is full."""
        self._traffic.paused = True

    def resume_reading(self) -> None:
        """Hand out again what comes."""
        traffic = self._traffic
        if traffic.paused and not traffic.closing and not traffic.lost:
            traffic.paused = False
            traffic.look_again()

    def is_reading(self) -> bool:
        """Say whether data is handed out."""
        traffic = self._traffic
        return not traffic.paused and not traffic.closing and not traffic.lost

    # ---- writing -------------------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        def write(self, data: bytes | bytearray | memoryview) -> None:
            """Traffic.write()."""

    def _keep(self, data: bytes) -> None:
        """For Traffic: the flow has no room for this."""
        traffic = self._traffic
        if traffic.buffer is NOTHING:
            traffic.buffer = deque()
        traffic.buffer.append(data)
        traffic.buffered += len(data)
        self._maybe_pause_protocol()  # type: ignore[attr-defined]

    def writelines(self, list_of_data: Any) -> None:
        """Send pieces as one."""
        self.write(b"".join(list_of_data))

    def _write_more(self) -> None:
        """The flow has room: hand on what waits."""
        traffic, flow = self._traffic, self._flow
        buffer = traffic.buffer
        now = monotonic_ns()
        self._driver.dirty = True
        with self._lock:
            while buffer:
                data = buffer[0]
                taken = flow.write(now, data)
                traffic.buffered -= taken
                if taken < len(data):
                    buffer[0] = data[taken:]
                    break
                buffer.popleft()
        self._maybe_resume_protocol()  # type: ignore[attr-defined]
        if not buffer:
            if traffic.closing:
                self._lose(None)
            elif traffic.eof_written:
                with self._lock:
                    flow.shutdown_write(now)

    def can_write_eof(self) -> bool:
        """TCP closes each direction by itself."""
        return True

    def write_eof(self) -> None:
        """Close our direction behind what was written."""
        traffic = self._traffic
        if traffic.closing or traffic.eof_written:
            return
        traffic.eof_written = True
        if not traffic.buffer and not traffic.lost:
            with self._lock:
                self._flow.shutdown_write(monotonic_ns())
            self._driver.dirty = True

    def get_write_buffer_size(self) -> int:
        """Bytes that the stack has not taken."""
        return self._traffic.buffered

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Read no more; send what was written, and FIN."""
        traffic = self._traffic
        if traffic.closing:
            return
        traffic.closing = True
        if not traffic.buffer and not traffic.lost:
            self._lose(None)

    def is_closing(self) -> bool:
        """Say whether close() or abort() was called, or the connection is lost."""
        return self._traffic.closing

    def abort(self) -> None:
        """Close now. As with Linux's asyncio, what the stack has taken still leaves; what waits here does not."""
        self._fail(None)

    def _fail(self, error: BaseException | None) -> None:
        """The connection is lost: forget what was not sent."""
        traffic = self._traffic
        if traffic.lost:
            return
        traffic.buffer.clear()
        traffic.buffered = 0
        traffic.closing = True
        self._lose(error)

    def _fatal(self, error: BaseException, message: str) -> None:
        """As asyncio: what is no OSError is a fault of the protocol, and told."""
        if not isinstance(error, OSError):
            context = {"message": message, "exception": error, "transport": self, "protocol": self._traffic.protocol}
            self._loop.call_exception_handler(context)
        elif self._loop.get_debug():
            logger.debug("%r: %s", self, message, exc_info=True)
        self._fail(error)

    _force_close = _fail  # asyncio.sslproto and StreamWriter call it so

    def _lose(self, error: BaseException | None) -> None:
        self._traffic.lost = 1
        self._loop.call_soon(self._connection_lost, error, context=self._context)

    def _connection_lost(self, error: BaseException | None) -> None:
        protocol = self._traffic.protocol
        if protocol is None:
            return  # the loop was closed in between
        try:
            protocol.connection_lost(error)
        finally:
            self._release()

    def _release(self) -> None:
        """Give the flow back to the stack."""
        traffic = self._traffic
        traffic.lost = traffic.lost or 1
        traffic.closing = True
        self._loop.open_transports.discard(self)
        if not self._flow.closed:
            with self._lock:
                self._flow.close(monotonic_ns())
            self._driver.dirty = True
        traffic.end()
        server, self._server = self._server, None
        if server is not None:
            server._detach(self) if _ATTACH_TAKES_TRANSPORT else server._detach()

    # ---- what it is ----------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand out to another protocol."""
        self._traffic.set_protocol(protocol)

    @property
    def _protocol(self) -> Any:
        """For asyncio's own classes, which name it in what they report."""
        return self._traffic.protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is handed what comes."""
        protocol: asyncio.BaseProtocol = self._traffic.protocol
        return protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername`, `sockname`, `socket`, and `flow`, the stack's own."""
        if name == "peername":
            return self._face.getpeername()
        if name == "sockname":
            return self._face.getsockname()
        if name == "socket":
            if self._socket is None:  # always the same, as asyncio's
                self._socket = trsock.TransportSocket(self._face)  # type: ignore[arg-type]
            return self._socket
        return self._flow if name == "flow" else default


def wake(waiter: asyncio.Future[None]) -> None:
    """End a wait, if it has not."""
    if not waiter.done():
        waiter.set_result(None)
