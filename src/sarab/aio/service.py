"""The thread that receives for blocking sockets, and carries bytes between their descriptors and the stack.

A socket's descriptor is the near end of a kernel's socket pair; a link here has the far end, which never blocks.
Everything below happens with the stack's lock held.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import weakref
from typing import TYPE_CHECKING, Any

from sarab.aio.faces import error_of
from sarab.aio.network import NetworkDriver, monotonic_ns
from sarab.net.endpoints import Datagrams, Endpoint, Flow, Listener
from sarab.proto.tcp.values import Event

if TYPE_CHECKING:
    import _socket

CHUNK = 256 * 1024
"""Bytes carried at once: what a pair holds."""
PREFIX_SIZE = 19
"""Before each datagram: the length of the address, the port, the address. A length of ERROR: an errno as the port."""
ERROR = 0xFF
QUIET = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Service:
    """Receives while anybody uses it. The thread is made once, and sleeps when nobody does."""

    def __init__(self, driver: NetworkDriver) -> None:
        self.driver = driver
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._cards: set[int] = set()
        self.links: dict[int, StreamLink] = {}
        """Far descriptor -> link."""
        self._users = 0
        self._thread: threading.Thread | None = None
        self._over = False

    def acquire(self) -> None:
        """One more needs somebody to receive."""
        with self.driver.lock:
            self._users += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sarab network", daemon=True)
                self._thread.start()
            if self._users == 1:
                self.driver.serve(self)

    def release(self) -> None:
        """One needs it no more."""
        with self.driver.lock:
            self._users -= 1
            if self._users == 0:
                self.driver.serve(None)

    def watch(self, descriptor: int) -> None:
        """For Network: wait for this card."""
        self._cards.add(descriptor)
        self._epoll.register(descriptor, select.EPOLLIN)

    def unwatch(self, descriptor: int) -> None:
        """For Network."""
        self._cards.discard(descriptor)
        self._epoll.unregister(descriptor)

    def wake(self) -> None:
        """Come out of waiting."""
        if threading.current_thread() is not self._thread:
            os.eventfd_write(self._wake, 1)

    def add(self, link: StreamLink) -> None:
        """Carry for a connection."""
        self.links[link.descriptor] = link
        self._epoll.register(link.descriptor, link.mask)

    def change(self, link: StreamLink) -> None:
        """Wait for other events of a link."""
        self._epoll.modify(link.descriptor, link.mask)

    def remove(self, link: StreamLink) -> None:
        """Wait for a link no more."""
        if self.links.pop(link.descriptor, None) is not None:
            self._epoll.unregister(link.descriptor)

    def _run(self) -> None:
        driver = self.driver
        while not self._over:
            with driver.lock:
                timeout = -1.0
                if driver.receiver is self:
                    driver.poll_if_due()
                    if driver.due is not None:
                        timeout = max(driver.due - monotonic_ns(), 0) / 1e9
                elif driver.dirty:
                    driver.flush()
            if timeout > 0:
                timeout += 0.0005  # epoll cuts to milliseconds, and a wait that ends early is a turn for nothing
            found = self._epoll.poll(timeout)
            came = False
            with driver.lock:
                for descriptor, events in found:
                    link = self.links.get(descriptor)
                    if link is not None:
                        link.ready(events)
                    elif descriptor == self._wake:
                        os.eventfd_read(self._wake)
                    else:
                        came = True
                if came and driver.receiver is self:
                    driver.receive()

    def drain(self) -> None:
        """Carry what programs have written into the stack, before the end, and end the thread.

        The interpreter would end it wherever it is, perhaps with the lock, for which a socket that is forgotten later
        would wait for ever.
        """
        with self.driver.lock:
            for link in tuple(self.links.values()):
                link.carry()
        self._over = True
        if self._thread is not None and self._thread is not threading.current_thread():
            os.eventfd_write(self._wake, 1)
            self._thread.join()


class Link:
    """The far end of a socket, of whatever kind."""

    far: _socket.socket
    descriptor = -1
    """Of the far end; -1: there is none yet."""

    def __init__(self, service: Service) -> None:
        self.service, self.driver = service, service.driver
        self.nears: dict[int, weakref.ref[Any]] = {}
        """Descriptor of the near end -> its socket, for as long as the program has it."""
        self.identity = (0, 0)
        """Of the file that the descriptors of the near end are open on: st_dev, st_ino."""
        self.options: dict[tuple[int, int], int | bytes] = {}
        """What setsockopt() said: to all descriptors alike."""
        self.error = 0
        """An errno that SO_ERROR gives once."""
        self.closed = False
        self.family = int(socket.AF_INET)
        self.taken: Listener | None = None
        """A listener that an event loop serves itself."""
        self.references = 1
        """Descriptors of the near end."""

    @property
    def endpoint(self) -> Endpoint | None:
        """What the stack has of it."""
        return None

    def stretch(self, far: _socket.socket) -> None:
        """From now on there is a far end."""
        far.setblocking(False)
        self.far, self.descriptor = far, far.fileno()

    def close(self) -> None:
        """The near end is closed."""
        self.closed = True


class StreamLink(Link):
    """A TCP socket: nothing yet, a listener, or a connection."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.listener: Listener | None = None
        self.listening = False
        self.flow: Flow | None = None
        self.connecting = False
        self.over = threading.Event()
        """Set when connecting has come to its end."""
        self.told = False
        """connect() has said that it came to a good one."""
        self.mask = select.EPOLLIN
        self._filled = 0
        """Bytes that keep the near end from being writable while it connects."""
        self._tokens = 0
        """Bytes in the pair, one a connection that waits: they make a listener readable."""
        self._inward = b""
        """Read from the flow, and not yet taken by the pair."""
        self._outward = b""
        """Read from the pair, and not yet taken by the flow."""
        self._eof_told = self._eof_seen = self._hung_up = False

    @property
    def endpoint(self) -> Endpoint | None:
        """Listener or flow."""
        return self.flow or self.listener or self.taken

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """As an owner."""
        if endpoint is self.flow:
            self.carry()
        elif endpoint is self.listener and self.listening:
            self.offer()

    # ---- a listener ----------------------------------------------------------------------------------------------

    def offer(self) -> None:
        """Make the near end readable once for each connection that waits."""
        assert self.listener is not None
        missing = self.listener.waiting - self._tokens
        if missing > 0:
            try:
                self._tokens += self.far.send(bytes(missing), QUIET)
            except OSError:
                pass  # enough are in the pair to be readable

    def take(self) -> Flow | None:
        """Accept, after a token was read."""
        self._tokens -= 1
        assert self.listener is not None
        return self.listener.accept()

    # ---- connecting ----------------------------------------------------------------------------------------------

    def connect(self, flow: Flow) -> None:
        """Begin to connect."""
        self.flow = flow
        self.connecting = True
        self.over.clear()
        self.told = False
        flow.owner = self

    def fill(self, near: Any) -> None:
        """Keep the near end, which does not block, from being writable until it is connected."""
        for part in (bytes(65536), b"\0"):
            try:
                while True:
                    self._filled += near.plain_send(part, QUIET)
            except BlockingIOError:
                continue

    def attach(self, flow: Flow) -> None:
        """Carry for a connection that is established."""
        self.flow, self.told = flow, True
        flow.owner = self
        self.service.add(self)
        self.carry()

    def _connected(self) -> None:
        flow = self.flow
        assert flow is not None
        self.connecting = False
        while self._filled:
            self._filled -= len(self.far.recv(min(self._filled, 65536)))
        if flow.established or flow.readable or flow.eof:
            self.service.add(self)
        else:
            error = error_of(flow.error)
            self.error = (error.errno or 0) if error is not None else 0
            flow.close(monotonic_ns())
            self.flow = None
            self.service.release()
        self.over.set()

    # ---- carrying ------------------------------------------------------------------------------------------------

    def ready(self, events: int) -> None:
        """epoll says so."""
        if events & select.EPOLLHUP:
            self._hung_up = True
        self.carry()

    def carry(self) -> None:
        """Move what can be moved, both ways."""
        flow = self.flow
        if flow is None or flow.closed:
            return
        if self.connecting:
            if not flow.established and not flow.error and not flow.eof:
                return
            self._connected()
            if self.flow is None:
                return
        self.driver.dirty = True
        now = monotonic_ns()
        self._carry_in(flow, now)
        self._carry_out(flow, now)
        if flow.error and not flow.readable and not self._inward:
            self._broken(flow, now)
            return
        if self._hung_up and self._eof_seen and not self._outward:
            self._end(flow, now)
            return
        mask = 0 if self._eof_seen or self._outward else select.EPOLLIN
        if self._inward:
            mask |= select.EPOLLOUT
        if self._hung_up:
            self.service.remove(self)  # epoll would tell of it again and again; the flow's events go on
        elif mask != self.mask:
            self.mask = mask
            self.service.change(self)

    def _carry_in(self, flow: Flow, now: int) -> None:
        far = self.far
        try:
            while True:
                data = self._inward or flow.read(now, CHUNK)
                if not data:
                    break
                self._inward = data
                self._inward = data[far.send(data, QUIET) :]
            if flow.eof and not self._eof_told:
                self._eof_told = True
                far.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            # Nobody will read it: the near end is closed, or shut for reading.
            self._inward = b""
            if flow.readable:
                flow.read(now, 1 << 30)

    def _carry_out(self, flow: Flow, now: int) -> None:
        try:
            while True:
                data = self._outward or (b"" if self._eof_seen else self.far.recv(CHUNK))
                if not data:
                    if not self._eof_seen:
                        self._eof_seen = True
                        flow.shutdown_write(now)
                    return
                taken = flow.write(now, data)
                self._outward = data[taken:]
                if self._outward:
                    if flow.error:
                        self._outward = b""
                    return
        except BlockingIOError:
            return
        except OSError:
            self._eof_seen = True

    def _broken(self, flow: Flow, now: int) -> None:
        """The connection failed: the near end reads ECONNRESET, for the far end goes with something unread in it."""
        error = error_of(flow.error)
        self.error = (error.errno or 0) if error is not None else 0
        near = next((near for each in tuple(self.nears.values()) if (near := each()) is not None), None)
        if near is not None and not self._hung_up and not select.select([self.far], [], [], 0)[0]:
            try:
                near.plain_send(b"\0", QUIET)
            except OSError:
                pass
        self._end(flow, now)

    def reset(self) -> None:
        """Reset the connection, behind what was written."""
        self.carry()
        self.driver.poll()
        if self.flow is not None and not self.flow.closed:
            self.flow.abort(monotonic_ns())
            self._end(self.flow, monotonic_ns())

    def _end(self, flow: Flow, now: int) -> None:
        self.service.remove(self)
        if not flow.closed:
            flow.close(now)
        self.driver.dirty = True
        self.far.close()
        self.service.release()

    def close(self) -> None:
        """The near end is closed. A connection's far end sees that itself, behind what was written."""
        self.closed = True
        if self.listener is not None and not self.listener.closed:
            self.listener.close(monotonic_ns())
            self.driver.dirty = True
            self.service.release()
        if self.flow is None:
            if self.descriptor >= 0:
                self.far.close()
        elif self.connecting:
            self.connecting = False
            self._end(self.flow, monotonic_ns())


class DatagramLink(Link):
    """A UDP socket. Sending needs no link; what comes goes through the pair."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.port: Datagrams | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        """The port."""
        return self.port

    def open(self, port: Datagrams) -> None:
        """Carry for a port."""
        self.port = port
        port.owner = self
        self.service.acquire()

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """As an owner."""
        self.carry()

    def carry(self) -> None:
        """Put into the pair what it takes; the rest stays with the stack, which bounds it."""
        port = self.port
        if port is None or port.closed:
            return
        try:
            if port.error:
                error = error_of(port.error)
                port.error = Event.NONE
                number = (error.errno or 0) if error is not None else 0
                self.far.send(bytes((ERROR,)) + number.to_bytes(2, "big") + bytes(16), QUIET)
            while port.waiting and select.select([], [self.far], [], 0)[1]:
                found = port.receive_from()
                if found is None:
                    return
                data, address, number = found
                head = bytes((len(address),)) + number.to_bytes(2, "big") + address.ljust(16, b"\0")
                self.far.send(head + data, QUIET)
        except OSError:
            pass

    def close(self) -> None:
        """Give the port back."""
        self.closed = True
        if self.port is not None and not self.port.closed:
            self.port.close(monotonic_ns())
            self.service.release()
        self.far.close()
