"""The bytes of a StreamTransport on their way: what happens for each segment, apart from all that happens but once.

It is a class of its own, and not a part of the transport, because mypyc makes no native class of one that derives from
asyncio's (decision 0045), and here is most of what asyncio costs a request.
"""

from __future__ import annotations

import asyncio
from asyncio import constants, events
from asyncio.log import logger
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from sarab.aio.faces import error_of
from sarab.net.endpoints import Endpoint, Flow

if TYPE_CHECKING:
    from sarab.aio.loop import Loop

READ_MAX = 256 * 1024
"""Bytes given to a protocol at once, as asyncio does: then the others have their turn."""
BYTES = (bytes, bytearray, memoryview)
"""Not a union: each look at one makes it anew, and costs as much as the rest of write()."""
NOTHING: Final[deque[bytes]] = deque()
"""Of all those for whom nothing waits: a deque is 600 bytes when it is empty."""
WARN_AFTER = constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES


class Turn:
    """Those whom one look at the cards brought news, in order: one handle of the loop for all of them.

    asyncio's own loop has a handle for each, one behind the other: the order of callbacks is the same.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop: Any = loop
        self._handle = events.Handle(self._run, (), loop)
        self._waiting: deque[Traffic] = deque()
        self._scheduled = False

    def add(self, traffic: Traffic) -> None:
        """Look at a flow in the loop. Any thread may ask."""
        self._waiting.append(traffic)
        if not self._scheduled:
            self._scheduled = True
            self._loop.schedule(self._handle)

    def _run(self) -> None:
        self._scheduled = False
        waiting = self._waiting
        try:
            for _ in range(len(waiting)):
                traffic = waiting.popleft()
                look = traffic.look
                if look is None:
                    continue  # it has given its flow back since it was added
                try:
                    traffic.context.run(look)
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    context = {"message": "Exception in a callback of the network", "exception": error}
                    self._loop.call_exception_handler(context)
        finally:
            if waiting and not self._scheduled:  # somebody ends the loop: the others wait for its next run
                self._scheduled = True
                self._loop.schedule(self._handle)


class Traffic:
    """Owner of a flow's events. Every method is the loop's thread's, but notify()."""

    def __init__(self, loop: Loop, transport: Any, flow: Flow, context: Context) -> None:
        self.transport: Any = transport
        """None: it has given the flow back."""
        self.flow = flow
        self.context = context
        self.buffer: deque[bytes] = NOTHING
        """What the flow did not take."""
        self.buffered = 0
        self.paused = False
        self.eof_seen = False
        self.eof_written = False
        self.closing = False
        self.lost = 0
        """Not 0: connection_lost() was called or is about to be; beyond 1: writes since then."""
        self.protocol: Any = None
        self.is_buffered = False
        """The protocol gives the buffer into which is read."""
        self.look: Any = self._look
        """Not made anew each time."""
        self.scheduled = True
        self._loop: Any = loop
        self._driver = loop.driver
        self._turn = loop.turn()
        self._handle: Any = events.Handle(self.look, (), loop, context)

    def begin(self) -> None:
        """Own the flow. Called behind connection_made(): what came before is found at once."""
        self.flow.owner = self
        self._loop._ready.append(self._handle)

    def end(self) -> None:
        """The flow is no more ours. No cycle is left: what the protocol holds goes now, and not with the collector."""
        self.transport = self.protocol = None
        self._handle.cancel()
        self._handle = self.look = None

    # ---- events --------------------------------------------------------------------------------------------------

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """The flow has news: look at it in the loop."""
        if not self.scheduled and not self.flow.closed:
            self.scheduled = True
            if self._loop._debug:  # a handle that says who was slow
                self._loop.schedule(self._handle)
            else:
                self._turn.add(self)

    def look_again(self) -> None:
        """Look at the flow behind all that is scheduled already."""
        if not self.scheduled and not self.flow.closed:
            self.scheduled = True
            self._loop.schedule(self._handle)

    def _look(self) -> None:
        self.scheduled = False
        if self.lost:
            return
        machine = self.flow.machine
        rx = machine.rx
        if rx.readable and not self.paused and not self.closing:
            self._read()
            if self.lost:
                return
        if self.buffer:
            self.transport._write_more()
        if rx.readable and not self.closing:
            if not self.paused:
                self.look_again()
        elif machine.error:
            self.transport._fail(error_of(machine.error))
        elif machine.eof and not self.eof_seen and not self.paused and not self.closing:
            self.transport._read_eof()

    def _read(self) -> None:
        driver = self._driver
        driver.dirty = True
        now = driver.moment
        if self.is_buffered:
            self._read_buffered(now)
            return
        self._driver.acquire()
        try:
            data = self.flow.read(now, READ_MAX)
        finally:
            self._driver.release()
        if data:
            try:
                self.protocol.data_received(data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.transport._fatal(error, "Fatal error: protocol.data_received() call failed.")

    def _read_buffered(self, now: int) -> None:
        try:
            view = memoryview(self.protocol.get_buffer(-1))
            if not view.nbytes:
                raise RuntimeError("get_buffer() returned an empty buffer")
            self._driver.acquire()
            try:
                size = self.flow.read_into(now, view)
            finally:
                self._driver.release()
            view.release()
            if size:
                self.protocol.buffer_updated(size)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.transport._fatal(error, "Fatal error: protocol.get_buffer() or buffer_updated() call failed.")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand out to another protocol."""
        self.protocol = protocol
        self.is_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    # ---- writing -------------------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send; what the flow does not take waits here."""
        if type(data) is not bytes:
            if not isinstance(data, BYTES):
                raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
            if isinstance(data, memoryview) and (data.itemsize != 1 or not data.c_contiguous or data.ndim != 1):
                data = data.tobytes()  # whose length would not be its bytes
        if self.eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        size = len(data)
        if not size:
            return
        if self.lost:
            if self.lost >= WARN_AFTER:
                logger.warning("socket.send() raised exception.")
            self.lost += 1
            return
        taken = 0
        if not self.buffer:
            self._driver.acquire()
            try:
                taken = self.flow.write(self._driver.moment, data)  # when it is asked to send, it is told the time
            finally:
                self._driver.release()
            self._driver.dirty = True
            if taken == size:
                return
            if self.flow.machine.error:
                self.look_again()
        self.transport._keep(bytes(memoryview(data)[taken:]))
