"""The socket module's class over our stack.

A socket is the near end of a kernel's pair, so that reading, writing, waiting and TLS stay C code on a real descriptor;
here is what needs addresses. sarab.aio.service has the far end.
"""

from __future__ import annotations

import _socket
import errno
import os
import socket
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sarab.aio import blocking, names, udp
from sarab.aio.faces import Face, Sockaddr, adapter, endpoint_address, set_flow_option, sockaddr, zone_of
from sarab.aio.network import monotonic_ns
from sarab.aio.service import DatagramLink, Link, Service, StreamLink
from sarab.net.endpoints import Flow, Listener
from sarab.proto.tcp.values import State
from sarab.wire import address as wire

if TYPE_CHECKING:
    from sarab.aio.network import NetworkDriver

KernelSocket: Any = socket.socket
"""The socket module's own class, as it was before anybody replaced it."""
C: Any = _socket.socket
BACKLOG = 128
FLAGS = int(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
FAMILIES = (socket.AF_INET, socket.AF_INET6)
# Options of the descriptor itself, which are the pair's.
KERNEL_OPTIONS = (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO) if hasattr(socket, "SO_RCVTIMEO") else (20, 21)


class Room:
    """The sockets of one network."""

    def __init__(self, driver: NetworkDriver) -> None:
        self.driver = driver
        self.service = Service(driver)
        driver.before_drain = self.service.drain
        self.links: dict[int, Link] = {}
        """Near descriptor -> link."""


_room: Room | None = None
_driver: Callable[[], NetworkDriver] | None = None


def install(driver: Callable[[], NetworkDriver]) -> None:
    """Make sockets over the network that `driver` returns, when the first is made."""
    global _driver, _room
    _driver, _room = driver, None


def room() -> Room:
    """Return where sockets belong to."""
    global _room
    if _room is None:
        assert _driver is not None, "install() comes first"
        _room = Room(_driver())
    return _room


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Socket(KernelSocket):  # type: ignore[misc]
    """socket.socket: AF_INET and AF_INET6 by our stack, and everything else by the kernel."""

    __slots__ = ("_link", "_options", "_peer", "_udp")

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:  # noqa: A002
        self._link: Link | None = None
        self._udp: DatagramLink | None = None
        """The link of a UDP socket. It is no class of its own: programs ask whether a socket's is socket.socket."""
        self._options: dict[tuple[int, int], int | bytes] = {}
        self._peer: tuple[bytes, int] | None = None
        if fileno is not None:
            link = _linked(fileno)
            if link is not None:
                if family == -1:
                    family = link.family
                if type == -1:
                    type = socket.SOCK_DGRAM if isinstance(link, DatagramLink) else socket.SOCK_STREAM  # noqa: A001
                proto = max(proto, 0)
            super().__init__(family, type, proto, fileno)
            if link is not None:
                self._adopt(link)
            return
        family = socket.AF_INET if family == -1 else family
        type = socket.SOCK_STREAM if type == -1 else type  # noqa: A001
        if family not in FAMILIES:
            super().__init__(family, type, proto)
            return
        kind = type & ~FLAGS
        here = room()
        if kind not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            raise _error(errno.ESOCKTNOSUPPORT)
        if proto not in (-1, 0, socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else socket.IPPROTO_UDP):
            raise _error(errno.EPROTONOSUPPORT)
        is_stream = kind == socket.SOCK_STREAM
        near: Any
        if is_stream:
            # Not connected, so that reading, writing and waiting do what they do with a socket that is not.
            near = C(socket.AF_UNIX, socket.SOCK_STREAM)
            link = StreamLink(here.service)
        else:
            near, far = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            link = DatagramLink(here.service)
            link.stretch(far)
        link.family = family
        descriptor = near.detach()
        here.links[descriptor] = link
        link.identity = _identity(descriptor)
        super().__init__(family, type, max(proto, 0), descriptor)
        if type & socket.SOCK_NONBLOCK:
            os.set_blocking(descriptor, False)
        self._adopt(link)

    def _stretch(self, link: Link) -> None:
        """Put the near end of a pair in the place of our descriptor, and of those that were duplicated from it."""
        if link.descriptor < 0:
            near, far = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            links = room().links
            ours = [self.fileno()] if link.references == 1 else [each for each in links if links[each] is link]
            for descriptor in ours:
                os.dup2(near.fileno(), descriptor, os.get_inheritable(descriptor))
            near.close()
            os.set_blocking(self.fileno(), self.gettimeout() is None)
            link.identity = _identity(self.fileno())
            link.stretch(far)
            size = self._options.get((socket.SOL_SOCKET, socket.SO_SNDBUF))
            if size is not None:
                C.setsockopt(self, socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def _adopt(self, link: Link) -> None:
        self._link = link
        self._options = link.options
        if isinstance(link, DatagramLink):
            self._udp = link
        link.nears[self.fileno()] = weakref.ref(self, partial(_gone, link, self.fileno()))

    # ---- names ---------------------------------------------------------------------------------------------------

    @property
    def _family(self) -> socket.AddressFamily:
        """What the socket is, whatever a program said of its descriptor."""
        return socket.AddressFamily(self._link.family) if self._link is not None else self.family

    def _address(self, name: Any) -> tuple[bytes, int]:
        """Return the bytes and port of what a program gave as an address. Raises OSError, TypeError."""
        if not isinstance(name, tuple) or len(name) < 2:
            raise TypeError(f"{self._family!s}: the address must be a tuple, not {type(name).__name__}")
        host, port = name[0], name[1]
        if not isinstance(port, int):
            raise TypeError("an integer is required for the port")
        if not 0 <= port <= 0xFFFF:
            raise OverflowError("port must be 0-65535.")
        names.check_flow(name)
        if host == "<broadcast>":
            return wire.BROADCAST4, port
        six = self._family == socket.AF_INET6
        if host == "":
            return (wire.ANY6 if six else wire.ANY4), port
        try:
            found = endpoint_address((host, port))[0]
        except OSError:
            infos = blocking.getaddrinfo(room(), host, port, self._family, self.type)
            found = endpoint_address(infos[0][4])[0]
        if six and found[:12] == wire.MAPPED:
            found = found[12:]  # the stack speaks IPv4 to it (RFC 4291 section 2.5.5.2)
        if not six and len(found) != 4:
            raise socket.gaierror(socket.EAI_FAMILY, "Address family for hostname not supported")
        return found, port

    def _local(self, name: Any) -> tuple[bytes, int]:
        """Return what to bind: `::` is every address of both families, unless IPV6_V6ONLY is set (RFC 3493 5.3)."""
        host, port = self._address(name)
        if host == wire.ANY6 and not self._options.get((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)):
            host = b""
        return host, port

    def _name(self, address: bytes, port: int) -> Sockaddr:
        if self._family == socket.AF_INET6 and len(address) != 16:
            address = wire.MAPPED + address if any(address) else wire.ANY6
        link: Any = self._link
        own = b"" if link.endpoint is None else link.endpoint.local[0]
        return sockaddr(address, port, zone_of(link.driver, own, address))

    def getsockname(self) -> Any:
        """Our address."""
        link = self._link
        if link is None:
            return super().getsockname()
        self._check_open()
        endpoint: Any = link.endpoint
        return self._name(b"", 0) if endpoint is None else self._name(*endpoint.local)

    def getpeername(self) -> Any:
        """The peer's address."""
        link = self._link
        if link is None:
            return super().getpeername()
        self._check_open()
        remote = self._peer if self._peer is not None else getattr(link.endpoint, "remote", None)
        flow = getattr(link, "flow", None)
        if flow is not None and flow.machine.state is State.CLOSED:
            remote = None  # as on Linux, where ssl looks for a connection that is over
        if remote is None or getattr(link, "connecting", False):
            raise _error(errno.ENOTCONN)
        return self._name(*remote)

    def _check_open(self) -> None:
        if self.fileno() < 0:
            raise _error(errno.EBADF)

    # ---- listening -----------------------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        """Take an address; a listener has it from now on, so that nobody else can, but nobody gets through to it."""
        link = self._link
        if link is None:
            super().bind(address)
            return
        self._check_open()
        if self._udp is not None:
            udp.bind(self, self._udp, address)
            return
        assert isinstance(link, StreamLink)
        host, port = self._local(address)
        driver = link.driver
        with driver.lock:
            if link.endpoint is not None:
                raise _error(errno.EINVAL)
            shared = bool(self._options.get((socket.SOL_SOCKET, socket.SO_REUSEPORT)))
            link.listener = driver.listen(host, port, BACKLOG, shared)
            link.listener.silent = True
            link.listener.owner = link
            link.service.acquire()

    def listen(self, backlog: int = BACKLOG) -> None:
        """Take connections."""
        link = self._link
        if link is None:
            super().listen(backlog)
            return
        self._check_open()
        if self._udp is not None:
            raise _error(errno.EOPNOTSUPP)
        if not -1 << 31 <= backlog < 1 << 31:
            raise OverflowError("Python int too large to convert to C int")
        assert isinstance(link, StreamLink)
        if link.flow is not None:
            raise _error(errno.EINVAL)
        if link.listener is None:
            self.bind(("", 0))
        with link.driver.lock:
            assert link.listener is not None
            self._stretch(link)
            link.listener.backlog = max(min(backlog, socket.SOMAXCONN), 1)
            link.listener.adapt = adapter(self._options)
            link.listener.silent = False
            link.listening = True
            link.offer()

    def _accept(self) -> tuple[int, Any]:
        """For accept(): wait as recv() waits, for the pair has a byte a connection."""
        link = self._link
        if link is None:
            found: tuple[int, Any] = super()._accept()
            return found
        self._check_open()
        if not isinstance(link, StreamLink) or not link.listening:
            raise _error(errno.EINVAL)
        while True:
            if not C.recv(self, 1):
                raise _error(errno.EINVAL)
            with link.driver.lock:
                flow = link.take()
            if flow is not None:
                break
        here = room()
        near, far = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        made = StreamLink(here.service)
        made.stretch(far)
        made.family = link.family
        descriptor = near.detach()
        here.links[descriptor] = made
        made.identity = _identity(descriptor)
        with link.driver.lock:
            here.service.acquire()
            made.attach(flow)
            here.service.wake()
        return descriptor, self._name(*flow.remote)

    def _sarab_take(self) -> Face | None:
        """For our loop: a listener, without this socket between; None: read the descriptor."""
        link = self._link
        if not isinstance(link, StreamLink) or link.flow is not None:
            return None
        if not link.listening:
            self.listen()
        with link.driver.lock:
            listener, link.listener = link.listener, None
            link.service.release()
        assert isinstance(listener, Listener)
        link.taken = listener
        face = Face(link.driver, listener)
        face.origin = self
        return face

    # ---- connecting ----------------------------------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        """Connect; wait for it as long as the time-out says."""
        link = self._link
        if link is None:
            super().connect(address)
            return
        self._check_open()
        if self._udp is not None:
            udp.connect(self, self._udp, address)
            return
        number = self._connect(link, address)
        if number:
            raise _error(number)

    def connect_ex(self, address: Any) -> int:
        """Connect, and return an errno."""
        link = self._link
        if link is None:
            return int(super().connect_ex(address))
        self._check_open()
        try:
            if self._udp is not None:
                udp.connect(self, self._udp, address)
                return 0
            return self._connect(link, address)
        except (socket.gaierror, TimeoutError, TypeError, OverflowError) as error:
            if isinstance(error, TimeoutError):
                return errno.EAGAIN
            raise
        except OSError as error:
            return error.errno or errno.EIO

    def _connect(self, link: Link, address: Any) -> int:
        assert isinstance(link, StreamLink)
        host, port = self._address(address)
        if link.flow is not None:
            if link.connecting:
                return errno.EALREADY
            told, link.told = link.told, True
            return errno.EISCONN if told else 0
        if link.listening:
            return errno.EISCONN
        if link.error:
            return self._take_error(link)  # of an attempt that nobody has asked about
        driver, timeout = link.driver, self.gettimeout()
        if timeout != 0:
            blocking.wait_configured(link.service, host)
        local, local_port = b"", 0
        with driver.lock:
            if link.listener is not None:
                local, local_port = link.listener.local
                link.listener.close(monotonic_ns())
                link.listener = None
                link.service.release()
            flow = driver.connect((host, port), (local, local_port), adapter(self._options) if self._options else None)
            for (level, option), value in self._options.items():
                if isinstance(value, int):
                    set_flow_option(flow, level, option, value, self._options)
            link.service.acquire()
            self._stretch(link)
            link.connect(flow)
            if timeout == 0:
                link.fill(self)
            driver.flush()
        if timeout == 0:
            return errno.EINPROGRESS
        if not link.over.wait(timeout):
            with driver.lock:
                if link.connecting:
                    link.flow = None
                    link.connecting = False
                    flow.abort(monotonic_ns())
                    link.service.release()
            raise TimeoutError("timed out")
        link.told = True
        return self._take_error(link)

    def _take_error(self, link: Link) -> int:
        number, link.error = link.error, 0
        return number

    # ---- options and the end -------------------------------------------------------------------------------------

    def setsockopt(self, level: int, option: int, value: Any, *length: int) -> None:
        """Do what the option means to our stack, and remember what means nothing."""
        link = self._link
        if link is None or (level == socket.SOL_SOCKET and option in KERNEL_OPTIONS):
            super().setsockopt(level, option, value, *length)
            return
        self._check_open()
        self._options[level, option] = value if isinstance(value, int) else bytes(value or b"")
        if (level, option) == (socket.SOL_SOCKET, socket.SO_SNDBUF):
            super().setsockopt(level, option, value)  # the pair holds what was written too
        endpoint = link.endpoint
        with link.driver.lock:
            if isinstance(endpoint, Listener):
                endpoint.adapt = adapter(self._options)
            elif isinstance(endpoint, Flow) and isinstance(value, int):
                set_flow_option(endpoint, level, option, value, self._options)

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """What was set; SO_ERROR, SO_TYPE and the like as they are."""
        link = self._link
        if link is None or (level == socket.SOL_SOCKET and option in KERNEL_OPTIONS):
            return super().getsockopt(level, option, *((size,) if size else ()))
        self._check_open()
        value: int | bytes = self._options.get((level, option), 0)
        if level == socket.SOL_SOCKET:
            if option == socket.SO_ERROR:
                value = self._take_error(link)
            elif option == socket.SO_TYPE:
                value = int(self.type)
            elif option == socket.SO_ACCEPTCONN:
                value = int(getattr(link, "listening", False))
            elif option == socket.SO_DOMAIN:
                value = link.family
            elif option == socket.SO_PROTOCOL:
                value = int(socket.IPPROTO_UDP if isinstance(link, DatagramLink) else socket.IPPROTO_TCP)
            elif option in (socket.SO_RCVBUF, socket.SO_SNDBUF) and not value:
                value = 1 << 17
        return value.to_bytes(4, "little")[:size] if size and isinstance(value, int) else value

    def shutdown(self, how: int) -> None:
        """Shut one direction; the far end sees it behind what was written."""
        link = self._link
        if isinstance(link, StreamLink) and (link.flow is None or link.connecting) and not link.listening:
            self._check_open()
            raise _error(errno.ENOTCONN)
        if self._udp is not None:
            udp.check_connected(self._udp)
        super().shutdown(how)

    def dup(self) -> Any:
        """Another socket of the same connection."""
        if self._link is None:
            return super().dup()
        made = self.__class__(self.family, self.type, self.proto, fileno=dup(self.fileno()))
        made.settimeout(self.gettimeout())
        return made

    def detach(self) -> int:
        """Give the descriptor away; the link stays with it."""
        if self._link is not None:
            _leave(self._link, self.fileno(), self)
        self._link = self._udp = None
        return int(super().detach())

    def plain_send(self, data: bytes, flags: int) -> int:
        """For the far end: send into the pair."""
        return int(C.send(self, data, flags))

    def _real_close(self, *arguments: Any) -> None:
        link = self._link
        descriptor = self.fileno()
        if link is None or descriptor < 0:
            super()._real_close(*arguments)
            return
        linger = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER))
        with link.driver.lock:
            if linger == b"\1\0\0\0\0\0\0\0" and isinstance(link, StreamLink) and link.references == 1:
                link.reset()
            super()._real_close(*arguments)
            _leave(link, descriptor, self)
            _forget(descriptor, link)
        if link.driver.dirty:
            link.driver.flush()

    # ---- data: C code on the descriptor, but for UDP -------------------------------------------------------------

    def send(self, *arguments: Any) -> int:
        """As socket.send()."""
        return int(C.send(self, *arguments) if self._udp is None else udp.send(self, self._udp, *arguments))

    def sendall(self, *arguments: Any) -> None:
        """As socket.sendall()."""
        if self._udp is None:
            C.sendall(self, *arguments)
        else:
            udp.send(self, self._udp, *arguments)

    def sendto(self, data: Any, *rest: Any) -> int:
        """sendto(data, address) or sendto(data, flags, address): a connection has its peer, whatever the address."""
        if self._link is None:
            return int(super().sendto(data, *rest))
        self._check_open()
        if self._udp is not None:
            return udp.sendto(self, self._udp, data, *rest)
        return int(C.send(self, data, *rest[:-1]))

    def sendmsg(self, *arguments: Any) -> int:
        """As socket.sendmsg()."""
        return int(C.sendmsg(self, *arguments) if self._udp is None else udp.sendmsg(self, self._udp, *arguments))

    def recv(self, *arguments: Any) -> bytes:
        """As socket.recv()."""
        found: bytes = C.recv(self, *arguments) if self._udp is None else udp.recvfrom(self, self._udp, *arguments)[0]
        return found

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        """As socket.recv_into()."""
        if self._udp is None:
            return int(C.recv_into(self, *arguments, **named))
        return udp.recvfrom_into(self, self._udp, *arguments, **named)[0]

    def recvfrom(self, *arguments: Any) -> tuple[bytes, Any]:
        """As socket.recvfrom()."""
        found: tuple[bytes, Any]
        found = C.recvfrom(self, *arguments) if self._udp is None else udp.recvfrom(self, self._udp, *arguments)
        return found

    def recvfrom_into(self, *arguments: Any, **named: Any) -> tuple[int, Any]:
        """As socket.recvfrom_into()."""
        if self._udp is not None:
            return udp.recvfrom_into(self, self._udp, *arguments, **named)
        found: tuple[int, Any] = C.recvfrom_into(self, *arguments, **named)
        return found

    def recvmsg(self, *arguments: Any) -> tuple[bytes, list[Any], int, Any]:
        """As socket.recvmsg()."""
        if self._udp is not None:
            return udp.recvmsg(self, self._udp, *arguments)
        found: tuple[bytes, list[Any], int, Any] = C.recvmsg(self, *arguments)
        return found

    def recvmsg_into(self, *arguments: Any) -> tuple[int, list[Any], int, Any]:
        """As socket.recvmsg_into()."""
        if self._udp is not None:
            return udp.recvmsg_into(self, self._udp, *arguments)
        found: tuple[int, list[Any], int, Any] = C.recvmsg_into(self, *arguments)
        return found


def _identity(descriptor: int) -> tuple[int, int]:
    """Return what tells the open file behind a descriptor from any other."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _linked(descriptor: Any) -> Link | None:
    """Return what a descriptor is the near end of; None: of nothing."""
    if _room is None or not isinstance(descriptor, int):
        return None
    link = _room.links.get(descriptor)
    if link is None:
        return _met(descriptor)
    try:
        if _identity(descriptor) == link.identity:
            return link
    except OSError:
        pass
    # It was closed by os.close() or the like, which we do not see, and is free or something else now.
    with link.driver.lock:
        link.nears.pop(descriptor, None)
        _forget(descriptor, link)
    return None


def _met(descriptor: int) -> Link | None:
    """Look whether an unknown descriptor was made of one of ours by os.dup2() or the like, which we do not see."""
    here = room()
    try:
        identity = _identity(descriptor)
        with here.driver.lock:
            for known, link in here.links.items():
                if link.identity == identity == _identity(known):
                    here.links[descriptor] = link
                    link.references += 1
                    return link
    except OSError:  # there is no such descriptor, or `known` was closed by os.close()
        pass
    return None


def _leave(link: Link, descriptor: int, near: Any) -> None:
    """`near` does not stand for a descriptor any more."""
    reference = link.nears.get(descriptor)
    if reference is not None and reference() is near:
        del link.nears[descriptor]


def _gone(link: Link, descriptor: int, gone: Any) -> None:
    """A socket was forgotten without being closed: its descriptor is closed by now."""
    if link.nears.get(descriptor) is gone:
        with link.driver.lock:
            del link.nears[descriptor]
            _forget(descriptor, link)


def _forget(descriptor: int, link: Link) -> None:
    """A descriptor is closed. The lock is held."""
    here = room()
    if here.links.get(descriptor) is link:
        del here.links[descriptor]
    link.references -= 1
    if link.references == 0:
        taken = link.taken
        if taken is not None and not taken.closed:
            taken.close(monotonic_ns())
        link.close()


def dup(descriptor: int) -> int:
    """socket.dup(): the new descriptor is of the same socket."""
    made: int = _socket.dup(descriptor)
    link = _linked(descriptor)
    if link is not None:
        with link.driver.lock:
            room().links[made] = link
            link.references += 1
    return made


def close(descriptor: int) -> None:
    """socket.close(): close a descriptor."""
    link = _linked(descriptor)
    _socket.close(descriptor)
    if link is not None:
        with link.driver.lock:
            _forget(descriptor, link)
