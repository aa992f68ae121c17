"""What the socket module's class does for UDP over our stack.

In a socket's pair each datagram has its sender before it; sending needs no descriptor. Each function takes the socket
and its link, and then what the method of that name takes.
"""

from __future__ import annotations

import _socket
import errno
import operator
import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sarab.aio.network import monotonic_ns
from sarab.aio.service import ERROR, PREFIX_SIZE, DatagramLink
from sarab.net.endpoints import Datagrams
from sarab.wire import address as wire

if TYPE_CHECKING:
    from sarab.aio.sockets import Socket

C: Any = _socket.socket


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _bytes(data: Any) -> bytes:
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None


def _port(sock: Socket, link: DatagramLink, local: tuple[bytes, int] | None = None) -> Datagrams:
    """Return the port, opened where it is not yet."""
    sock._check_open()
    with link.driver.lock:
        if link.port is None:
            host, number = local or sock._local(("", 0))
            reuse = bool(
                link.options.get((socket.SOL_SOCKET, socket.SO_REUSEADDR))
                or link.options.get((socket.SOL_SOCKET, socket.SO_REUSEPORT))
            )
            link.open(link.driver.stack.udp_open(monotonic_ns(), host, number, reuse_address=reuse))
        assert link.port is not None
        return link.port


def bind(sock: Socket, link: DatagramLink, address: Any) -> None:
    """Take a port."""
    if link.port is not None:
        raise _error(errno.EINVAL)
    _port(sock, link, sock._local(address))


def connect(sock: Socket, link: DatagramLink, address: Any) -> None:
    """Speak with one peer only; AF_UNSPEC, to speak with all again, is not offered."""
    target = sock._address(address)
    if not any(target[0]):
        target = wire.LOOPBACK4, target[1]
    port = _port(sock, link)
    with link.driver.lock:
        port.connect(*target)


def check_connected(link: DatagramLink) -> None:
    """Raise ENOTCONN if there is no peer."""
    if link.port is None or link.port.remote is None:
        raise _error(errno.ENOTCONN)


# ---- sending ---------------------------------------------------------------------------------------------------------


def sendto(sock: Socket, link: DatagramLink, data: Any, *rest: Any) -> int:
    """sendto(data, address) or sendto(data, flags, address)."""
    if not 1 <= len(rest) <= 2:
        raise TypeError(f"sendto() takes 2 or 3 arguments ({1 + len(rest)} given)")
    body = _bytes(data)
    if len(rest) == 2:
        operator.index(rest[0])
    return _send(sock, link, body, sock._address(rest[-1]))


def send(sock: Socket, link: DatagramLink, data: Any, flags: int = 0) -> int:
    """Send to the peer."""
    del flags
    return _send(sock, link, _bytes(data), None)


def sendmsg(
    sock: Socket, link: DatagramLink, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None
) -> int:
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
    return _send(sock, link, body, None if address is None else sock._address(address))


def _send(sock: Socket, link: DatagramLink, body: bytes, target: tuple[bytes, int] | None) -> int:
    port = _port(sock, link)
    with link.driver.lock:
        target = target or port.remote
        if target is None:
            raise _error(errno.EDESTADDRREQ)
        if link.error or port.error:
            number, link.error = link.error, 0
            if number:
                raise _error(number)
        if not any(target[0]):
            target = wire.LOOPBACK4, target[1]
        port.send_to(monotonic_ns(), body, *target)
        link.driver.flush()
    return len(body)


# ---- receiving -------------------------------------------------------------------------------------------------------


def _receive(sock: Socket, link: DatagramLink, size: int, ancillary: int, flags: int) -> tuple[bytes, int, Any]:
    """Return a datagram's first `size` bytes, MSG_TRUNC if there were more, and who sent it."""
    if size < 0:
        raise ValueError("negative buffer size")
    _port(sock, link)
    whole, _, seen, _ = C.recvmsg(sock, size + PREFIX_SIZE, ancillary, flags)
    if not whole:
        return b"", 0, None
    with link.driver.lock:
        link.carry()
    length, number = whole[0], int.from_bytes(whole[1:3], "big")
    if length == ERROR:
        link.error = 0
        raise _error(number)
    # That the pair keeps one datagram apart from the next (MSG_EOR) is not the network's to say.
    return whole[PREFIX_SIZE:], seen & ~socket.MSG_EOR, sock._name(whole[3 : 3 + length], number)


def recvfrom(sock: Socket, link: DatagramLink, size: int, flags: int = 0) -> tuple[bytes, Any]:
    """Receive a datagram, and who sent it."""
    data, _, name = _receive(sock, link, size, 0, flags)
    return data, name


def recvfrom_into(sock: Socket, link: DatagramLink, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Any]:
    """Receive a datagram into memory."""
    view = memoryview(buffer).cast("B")
    if nbytes > len(view):
        raise ValueError("buffer too small for requested bytes")
    data, _, name = _receive(sock, link, nbytes or len(view), 0, flags)
    view[: len(data)] = data
    return len(data), name


def recvmsg(
    sock: Socket, link: DatagramLink, bufsize: int, ancbufsize: int = 0, flags: int = 0
) -> tuple[bytes, list[Any], int, Any]:
    """Receive a datagram; there is nothing beside it."""
    data, seen, name = _receive(sock, link, bufsize, ancbufsize, flags)
    return data, [], seen, name


def recvmsg_into(
    sock: Socket, link: DatagramLink, buffers: Any, ancbufsize: int = 0, flags: int = 0
) -> tuple[int, list[Any], int, Any]:
    """Receive a datagram into pieces of memory, one after the other; there is nothing beside it."""
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    if any(view.readonly for view in views):
        raise TypeError("recvmsg_into() argument 1 must be an iterable of single-segment read-write buffers")
    data, seen, name = _receive(sock, link, sum(map(len, views)), ancbufsize, flags)
    start = 0
    for view in views:
        piece = data[start : start + len(view)]
        view[: len(piece)] = piece
        start += len(piece)
    return len(data), [], seen, name
