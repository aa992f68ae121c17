"""A TCP connection as asyncio's transport, straight over a flow of the stack."""

from __future__ import annotations

import asyncio
import sys
import warnings
from asyncio import constants, events, transports, trsock
from collections import deque
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from sarab.aio.faces import Face, change, error_of
from sarab.aio.network import monotonic_ns
from sarab.net.endpoints import Flow

if TYPE_CHECKING:
    from sarab.aio.loop import Loop
    from sarab.net.endpoints import Endpoint

READ_MAX = 256 * 1024
"""Bytes given to a protocol at once, as asyncio does: then the others have their turn."""
BYTES = (bytes, bytearray, memoryview)
"""Not a union: each look at one makes it anew, and costs as much as the rest of write()."""
WARN_AFTER = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES
_ATTACH_TAKES_TRANSPORT = sys.version_info >= (3, 13)


class StreamTransport(transports._FlowControlMixin, asyncio.Transport):
    """Made by the loop. Every method is the loop's thread's, but notify()."""

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
        self._server = server
        self._buffer: deque[bytes] = deque()
        """What the flow did not take."""
        self._buffered = 0
        self._paused = False
        self._eof_seen = False
        self._eof_written = False
        self._closing = False
        self._lost = 0
        """Not 0: connection_lost() was called or is about to be; beyond 1: writes since then."""
        context: Context = copy_context()
        self._context = context
        self._handle: Any = events.Handle(self._on_ready, (), loop, context)
        self._scheduled = True
        self._protocol: Any
        self.set_protocol(protocol)
        loop.open_transports.add(self)
        change(self._flow, "nagle", False)
        self._flow.owner = self
        if server is not None:
            server._attach(self) if _ATTACH_TAKES_TRANSPORT else server._attach()
        loop.call_soon(protocol.connection_made, self, context=context)
        # Behind connection_made(): what came before we owned the flow is found then.
        loop._ready.append(self._handle)
        if waiter is not None:
            loop.call_soon(wake, waiter)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<StreamTransport {state} {self._face.getsockname()} -> {self._flow.remote}>"

    def __del__(self) -> None:
        if not self._lost and not self._closing:
            warnings.warn(f"unclosed transport {self!r}", ResourceWarning, source=self, stacklevel=2)

    # ---- events --------------------------------------------------------------------------------------------------

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """The flow has news: look at it in the loop."""
        if not self._scheduled and not self._flow.closed:
            self._scheduled = True
            self._loop.schedule(self._handle)

    def _on_ready(self) -> None:
        self._scheduled = False
        if self._lost:
            return
        flow = self._flow
        machine = flow.machine
        if not self._paused and not self._closing and machine.rx.readable:
            self._read()
            if self._lost or flow is not self._flow:
                return
        if self._buffer:
            self._write_more()
        if machine.rx.readable and not self._closing:
            if not self._paused:
                self.notify(flow, machine.error)
        elif machine.error:
            self._fail(error_of(machine.error))
        elif machine.eof and not self._eof_seen and not self._paused and not self._closing:
            self._read_eof()

    def _read(self) -> None:
        now = monotonic_ns()
        flow, protocol = self._flow, self._protocol
        self._driver.dirty = True
        if self._is_buffered:
            try:
                buffer = protocol.get_buffer(-1)
                view = memoryview(buffer)
                if not view.nbytes:
                    raise RuntimeError("get_buffer() returned an empty buffer")
                with self._lock:
                    size = flow.read_into(now, view)
                view.release()
                if size:
                    protocol.buffer_updated(size)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal(error, "Fatal error: protocol.get_buffer() or buffer_updated() call failed.")
            return
        with self._lock:
            data = flow.read(now, READ_MAX)
        if data:
            try:
                protocol.data_received(data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal(error, "Fatal error: protocol.data_received() call failed.")

    def _read_eof(self) -> None:
        self._eof_seen = True
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()

    # ---- reading -------------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Leave in the stack what comes: its window closes when it is full."""
        self._paused = True

    def resume_reading(self) -> None:
        """Hand out again what comes."""
        if self._paused and not self._closing and not self._lost:
            self._paused = False
            self.notify(self._flow, self._flow.error)

    def is_reading(self) -> bool:
        """Say whether data is handed out."""
        return not self._paused and not self._closing and not self._lost

    # ---- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send; what the flow does not take waits here."""
        if not isinstance(data, BYTES):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data:
            return
        if self._lost:
            if self._lost >= WARN_AFTER:
                _log().warning("socket.send() raised exception.")
            self._lost += 1
            return
        if not self._buffer:
            with self._lock:
                taken = self._flow.write(monotonic_ns(), data)
            self._driver.dirty = True
            if taken == len(data):
                return
            if self._flow.error:
                self.notify(self._flow, self._flow.error)
            data = memoryview(data)[taken:]
        rest = bytes(data)
        self._buffer.append(rest)
        self._buffered += len(rest)
        self._maybe_pause_protocol()  # type: ignore[attr-defined]

    def writelines(self, list_of_data: Any) -> None:
        """Send pieces as one."""
        self.write(b"".join(list_of_data))

    def _write_more(self) -> None:
        """The flow has room: hand on what waits."""
        buffer, flow = self._buffer, self._flow
        now = monotonic_ns()
        self._driver.dirty = True
        with self._lock:
            while buffer:
                data = buffer[0]
                taken = flow.write(now, data)
                self._buffered -= taken
                if taken < len(data):
                    buffer[0] = data[taken:]
                    break
                buffer.popleft()
        self._maybe_resume_protocol()  # type: ignore[attr-defined]
        if not buffer:
            if self._closing:
                self._lose(None)
            elif self._eof_written:
                with self._lock:
                    flow.shutdown_write(now)

    def can_write_eof(self) -> bool:
        """TCP closes each direction by itself."""
        return True

    def write_eof(self) -> None:
        """Close our direction behind what was written."""
        if self._closing or self._eof_written:
            return
        self._eof_written = True
        if not self._buffer and not self._lost:
            with self._lock:
                self._flow.shutdown_write(monotonic_ns())
            self._driver.dirty = True

    def get_write_buffer_size(self) -> int:
        """Bytes that the stack has not taken."""
        return self._buffered

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Read no more; send what was written, and FIN."""
        if self._closing:
            return
        self._closing = True
        if not self._buffer and not self._lost:
            self._lose(None)

    def is_closing(self) -> bool:
        """Say whether close() or abort() was called, or the connection is lost."""
        return self._closing

    def abort(self) -> None:
        """Close now. As with Linux's asyncio, what the stack has taken still leaves; what waits here does not."""
        self._fail(None)

    def _fail(self, error: BaseException | None) -> None:
        """The connection is lost: forget what was not sent."""
        if self._lost:
            return
        self._buffer.clear()
        self._buffered = 0
        self._closing = True
        self._lose(error)

    def _fatal(self, error: BaseException, message: str) -> None:
        """As asyncio: what is no OSError is a fault of the protocol, and told."""
        if not isinstance(error, OSError):
            context = {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            self._loop.call_exception_handler(context)
        elif self._loop.get_debug():
            _log().debug("%r: %s", self, message, exc_info=True)
        self._fail(error)

    _force_close = _fail  # asyncio.sslproto and StreamWriter call it so

    def _lose(self, error: BaseException | None) -> None:
        self._lost = 1
        self._loop.call_soon(self._connection_lost, error, context=self._context)

    def _connection_lost(self, error: BaseException | None) -> None:
        if self._protocol is None:
            return  # the loop was closed in between
        try:
            self._protocol.connection_lost(error)
        finally:
            self._release()

    def _release(self) -> None:
        """Give the flow back to the stack."""
        self._lost = self._lost or 1
        self._closing = True
        self._loop.open_transports.discard(self)
        if not self._flow.closed:
            with self._lock:
                self._flow.close(monotonic_ns())
            self._driver.dirty = True
        # No cycles: a protocol's contexts and buffers go now, and not when the collector comes.
        self._protocol = None
        self._handle.cancel()
        self._handle = None
        server, self._server = self._server, None
        if server is not None:
            server._detach(self) if _ATTACH_TAKES_TRANSPORT else server._detach()

    # ---- what it is ----------------------------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand out to another protocol."""
        self._protocol = protocol
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is handed what comes."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername`, `sockname`, `socket`, and `flow`, the stack's own."""
        if name == "peername":
            return self._face.getpeername()
        if name == "sockname":
            return self._face.getsockname()
        if name == "socket":
            return trsock.TransportSocket(self._face)  # type: ignore[arg-type]
        return self._flow if name == "flow" else default


def wake(waiter: asyncio.Future[None]) -> None:
    """End a wait, if it has not."""
    if not waiter.done():
        waiter.set_result(None)


def _log() -> Any:
    from asyncio.log import logger

    return logger
