"""The socket module's class for UDP over our stack.

In a socket's pair each datagram has its sender before it; sending needs no descriptor.
"""

from __future__ import annotations

import errno
import operator
import os
import socket
from collections.abc import Iterable
from typing import Any

from sarab.aio.faces import Face
from sarab.aio.network import monotonic_ns
from sarab.aio.service import ERROR, PREFIX_SIZE, DatagramLink, Link
from sarab.aio.sockets import BACKLOG, C, Socket
from sarab.net.endpoints import Datagrams
from sarab.wire import address as wire


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _bytes(data: Any) -> bytes:
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None


class DatagramSocket(Socket):
    """A UDP socket."""

    __slots__ = ()

    def _port(self, *, local: tuple[bytes, int] | None = None) -> Datagrams:
        """Return the port, opened where it is not yet."""
        link = self._link
        assert isinstance(link, DatagramLink)
        self._check_open()
        with link.driver.lock:
            if link.port is None:
                host, number = local or self._local(("", 0))
                reuse = bool(
                    self._options.get((socket.SOL_SOCKET, socket.SO_REUSEADDR))
                    or self._options.get((socket.SOL_SOCKET, socket.SO_REUSEPORT))
                )
                link.open(link.driver.stack.udp_open(monotonic_ns(), host, number, reuse_address=reuse))
            assert link.port is not None
            return link.port

    def bind(self, address: Any) -> None:
        """Take a port."""
        if isinstance(self._link, DatagramLink) and self._link.port is not None:
            raise _error(errno.EINVAL)
        self._port(local=self._local(address))

    def connect(self, address: Any) -> None:
        """Speak with one peer only; AF_UNSPEC, to speak with all again, is not offered."""
        target = self._address(address)
        if not any(target[0]):
            target = wire.LOOPBACK4, target[1]
        port = self._port()
        link = self._link
        assert link is not None
        with link.driver.lock:
            if not any(port.local[0]):
                port.local = link.driver.stack.source_for(target[0]), port.local[1]
            port.connect(*target)

    def connect_ex(self, address: Any) -> int:
        """connect(), with an errno for an answer."""
        try:
            self.connect(address)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def listen(self, backlog: int = BACKLOG) -> None:
        """Nobody listens so."""
        raise _error(errno.EOPNOTSUPP)

    # ---- sending -------------------------------------------------------------------------------------------------

    def sendto(self, data: Any, *rest: Any) -> int:
        """sendto(data, address) or sendto(data, flags, address)."""
        if not 1 <= len(rest) <= 2:
            raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(rest)} given)")
        body = _bytes(data)
        if len(rest) == 2:
            operator.index(rest[0])
        return self._send(body, self._address(rest[-1]))

    def send(self, data: Any, flags: int = 0) -> int:
        """Send to the peer."""
        return self._send(_bytes(data), None)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send to the peer."""
        self._send(_bytes(data), None)

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """Send pieces as one datagram. What goes beside it is checked, and means nothing here."""
        if not isinstance(buffers, Iterable):
            raise TypeError("sendmsg(): argument 1 must be iterable")
        body = b"".join([_bytes(piece) for piece in buffers])
        for item in ancdata:
            if not isinstance(item, tuple) or len(item) != 3:
                raise TypeError("[sendmsg() ancillary data items] must be tuples of three")
            operator.index(item[0])
            operator.index(item[1])
            _bytes(item[2])
        operator.index(flags)
        return self._send(body, None if address is None else self._address(address))

    def _send(self, body: bytes, target: tuple[bytes, int] | None) -> int:
        port = self._port()
        link = self._link
        assert link is not None
        with link.driver.lock:
            target = target or port.remote
            if target is None:
                raise _error(errno.EDESTADDRREQ)
            if link.error or port.error:
                self._raise_pending(link)
            if not any(target[0]):
                target = wire.LOOPBACK4, target[1]
            port.send_to(monotonic_ns(), body, *target)
            link.driver.flush()
        return len(body)

    def _raise_pending(self, link: Link) -> None:
        number = self._take_error(link)
        if number:
            raise _error(number)

    # ---- receiving -----------------------------------------------------------------------------------------------

    def _receive(self, size: int, ancillary: int, flags: int) -> tuple[bytes, int, Any]:
        """Return a datagram's first `size` bytes, MSG_TRUNC if there were more, and who sent it."""
        if size < 0:
            raise ValueError("negative buffer size")
        link = self._link
        assert isinstance(link, DatagramLink)
        self._port()
        whole, _, seen, _ = C.recvmsg(self, size + PREFIX_SIZE, ancillary, flags)
        if not whole:
            return b"", 0, None
        with link.driver.lock:
            link.carry()
        length, number = whole[0], int.from_bytes(whole[1:3], "big")
        if length == ERROR:
            link.error = 0
            raise _error(number)
        # That the pair keeps one datagram apart from the next (MSG_EOR) is not the network's to say.
        return whole[PREFIX_SIZE:], seen & ~socket.MSG_EOR, self._name(whole[3 : 3 + length], number)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        """Receive a datagram, and who sent it."""
        data, _, name = self._receive(size, 0, flags)
        return data, name

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive a datagram."""
        return self._receive(size, 0, flags)[0]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
        """Receive a datagram into memory."""
        view = memoryview(buffer).cast("B")
        if nbytes > len(view):
            raise ValueError("buffer too small for requested bytes")
        data, _, name = self._receive(nbytes or len(view), 0, flags)
        view[: len(data)] = data
        return len(data), name

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive a datagram into memory."""
        return self.recvfrom_into(buffer, nbytes, flags)[0]

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """Receive a datagram; there is nothing beside it."""
        data, seen, name = self._receive(bufsize, ancbufsize, flags)
        return data, [], seen, name

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Any]:
        """Receive a datagram into pieces of memory, one after the other; there is nothing beside it."""
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        if any(view.readonly for view in views):
            raise TypeError("recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers")
        data, seen, name = self._receive(sum(map(len, views)), ancbufsize, flags)
        start = 0
        for view in views:
            piece = data[start : start + len(view)]
            view[: len(piece)] = piece
            start += len(piece)
        return len(data), [], seen, name

    # ---- the end -------------------------------------------------------------------------------------------------

    def shutdown(self, how: int) -> None:
        """Of the peer's connection only."""
        if getattr(self._link.endpoint if self._link else None, "remote", None) is None:
            raise _error(errno.ENOTCONN)
        C.shutdown(self, how)

    def _sarab_take(self) -> Face | None:
        """For our loop: the descriptor is read."""
        return None
