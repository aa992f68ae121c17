"""What asyncio and its users take for a socket: addresses and options of an endpoint, without a descriptor."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from sarab.net.endpoints import Datagrams, Flow, Listener
from sarab.proto.tcp.values import SECOND, Event, Settings
from sarab.wire import address as wire

if TYPE_CHECKING:
    from sarab.aio.network import NetworkDriver

Sockaddr = tuple[str, int] | tuple[str, int, int, int]
KEEPALIVE_IDLE = 7200
"""Seconds, where a program asks for keep-alives and says no more (RFC 9293 section 3.8.4)."""
SND_BUFFER_MAX = RCV_BUFFER_MAX = 4 << 20
"""What a program can ask for (Linux: net.core.wmem_max and rmem_max, which it sets lower)."""
RCV_BUFFER_MIN = 2304
"""The least that a program gets of what it asks for (Linux: SOCK_MIN_RCVBUF): one segment of an Ethernet."""


def sockaddr(address: bytes, port: int, zone: int = 0) -> Sockaddr:
    """Return an address as the socket module has it; b"" is the unspecified IPv4 address."""
    if len(address) == 16:
        return wire.text(address), port, 0, zone
    return wire.text(address or wire.ANY4), port


def zone_of(driver: NetworkDriver, own: bytes, address: bytes) -> int:
    """Return the number of the interface on whose link a link-local address is (RFC 4007 section 11); 0: it is none.

    `own`: our end, which tells them apart where there are several.
    """
    if len(address) != 16 or not wire.is_link_local(address):
        return 0
    first = 0
    for number, interface in enumerate(driver.stack.interfaces, 2):
        if interface.has(own) or interface.has(address):
            return number
        if interface.ipv6 and not first:
            first = number
    return first


def endpoint_address(name: Any) -> tuple[bytes, int]:
    """Return the bytes and port of a numeric sockaddr. Raises OSError."""
    try:
        text, port = name[0], name[1]
        return wire.parse(text.partition("%")[0]), int(port)
    except (ValueError, TypeError, IndexError, AttributeError):
        raise OSError(errno.EINVAL, f"{name!r} is no numeric address") from None


def error_of(event: int) -> OSError | None:
    """Return the OSError that Linux would give for why a connection ended; None: it ended well."""
    if not event:
        return None
    if event & Event.REFUSED:
        number = errno.ECONNREFUSED
    elif event & Event.RESET:
        number = errno.ECONNRESET
    elif event & Event.TIMEOUT:
        number = errno.ETIMEDOUT
    else:
        number = errno.EHOSTUNREACH
    return OSError(number, os.strerror(number))


_CHANGED: dict[tuple[Settings, str, Any], Settings] = {}


def change(flow: Flow, name: str, value: Any) -> None:
    """Set one field of a living connection's settings."""
    machine = flow.machine
    settings = machine.settings
    if getattr(settings, name) == value:
        return
    key = settings, name, value
    changed = _CHANGED.get(key)
    if changed is None:
        if len(_CHANGED) >= 64:  # programs set a few options, always the same
            _CHANGED.clear()
        changed = _CHANGED[key] = settings._replace(**{name: value})
    machine.configure(monotonic_ns(), changed)


class Face:
    """The socket of an endpoint: what asyncio.trsock.TransportSocket asks of one."""

    def __init__(self, driver: NetworkDriver, endpoint: Flow | Listener | Datagrams) -> None:
        self.driver, self.endpoint = driver, endpoint
        self.type = socket.SOCK_DGRAM if isinstance(endpoint, Datagrams) else socket.SOCK_STREAM
        self.proto = socket.IPPROTO_UDP if isinstance(endpoint, Datagrams) else socket.IPPROTO_TCP
        self.options: dict[tuple[int, int], int | bytes] = {}
        self.is_dual = False
        """An IPv6 socket that IPv4 reaches too: it sees mapped addresses (RFC 4291 section 2.5.5.2)."""
        self.origin: Any = None
        """The socket that it was taken from, which is closed with it."""

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET6 if self.is_dual or len(self.endpoint.local[0]) == 16 else socket.AF_INET

    def name(self, address: bytes, port: int) -> Sockaddr:
        """Return an address as this socket has it."""
        if self.is_dual and len(address) != 16:
            address = wire.MAPPED + address if any(address) else wire.ANY6
        return sockaddr(address, port, zone_of(self.driver, self.endpoint.local[0], address))

    def fileno(self) -> int:
        """No descriptor, but for that of the socket it was taken from."""
        return -1 if self.origin is None else int(self.origin.fileno())

    def getsockname(self) -> Sockaddr:
        """Our end."""
        return self.name(*self.endpoint.local)

    def getpeername(self) -> Sockaddr:
        """The other end. Raises OSError(ENOTCONN)."""
        remote = None if isinstance(self.endpoint, Listener) else self.endpoint.remote
        if remote is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.name(*remote)

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        """As of a socket; what was never set is 0."""
        value: int | bytes
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            endpoint = self.endpoint
            error = None if isinstance(endpoint, Listener) else error_of(endpoint.error)
            value = (error.errno or 0) if error is not None else 0
        elif (level, option) == (socket.SOL_SOCKET, socket.SO_TYPE):
            value = int(self.type)
        elif isinstance(self.endpoint, Flow) and (level, option) == (socket.IPPROTO_TCP, socket.TCP_NODELAY):
            value = int(not self.endpoint.machine.settings.nagle)
        else:
            value = self.options.get((level, option), 0)
        return value.to_bytes(4, "little")[:size] if size and isinstance(value, int) else value

    def setsockopt(self, level: int, option: int, value: Any, length: int = 0) -> None:
        """As of a socket; what means nothing here is remembered."""
        self.options[level, option] = value if isinstance(value, int) else bytes(value or b"")
        with self.driver.lock:
            if isinstance(self.endpoint, Listener):
                self.endpoint.adapt = adapter(self.options)
            elif isinstance(self.endpoint, Flow) and isinstance(value, int):
                set_flow_option(self.endpoint, level, option, value, self.options)

    def shutdown(self, how: int) -> None:
        """Shut down writing."""
        if isinstance(self.endpoint, Flow) and how in (socket.SHUT_WR, socket.SHUT_RDWR):
            with self.driver.lock:
                self.endpoint.shutdown_write(self.driver_now())
            self.driver.flush()

    def driver_now(self) -> int:
        """The time of the stack."""
        return monotonic_ns()

    def close(self) -> None:
        """Close the endpoint, if it still is nobody's."""
        if not self.endpoint.closed:
            with self.driver.lock:
                self.endpoint.close(self.driver_now())
                self.driver.dirty = True
        if self.origin is not None:
            self.origin.close()

    def listen(self, backlog: int) -> None:
        """It listens already."""

    def setblocking(self, flag: bool) -> None:
        """Nothing here blocks."""


def setting(
    level: int, option: int, value: int, options: dict[tuple[int, int], int | bytes], mss: int
) -> dict[str, Any]:
    """Return which fields of Settings a socket option means, beside the `options` that are set; {}: none."""
    if level == socket.IPPROTO_TCP:
        if option == socket.TCP_NODELAY:
            return {"nagle": not value}
        if option == socket.TCP_USER_TIMEOUT:
            return {"user_timeout": value * 1_000_000}
        if option == socket.TCP_KEEPINTVL:
            return {"keepalive_interval": value * SECOND}
        if option == socket.TCP_KEEPCNT:
            return {"keepalive_count": value}
    alive = options.get((socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    if (level, option) in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)):
        idle = options.get((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), KEEPALIVE_IDLE)
        return {"keepalive_idle": int(idle) * SECOND if alive else 0}
    if (level, option) == (socket.SOL_SOCKET, socket.SO_SNDBUF):
        # Linux doubles it too. Below two segments the peer's delayed ACKs would set the pace (RFC 9293 3.8.6.2.1).
        return {"snd_buffer_max": min(max(2 * value, 2 * mss), SND_BUFFER_MAX)}
    if (level, option) == (socket.SOL_SOCKET, socket.SO_RCVBUF):
        # Linux doubles it too, for what a packet costs beside its bytes; and no longer lets it grow.
        size = min(max(value, RCV_BUFFER_MIN), RCV_BUFFER_MAX)
        return {"rcv_buffer": size, "rcv_buffer_max": size}
    return {}


def set_flow_option(
    flow: Flow, level: int, option: int, value: int, options: dict[tuple[int, int], int | bytes]
) -> None:
    """Do what a socket option means for a connection."""
    if (level, option) == (socket.IPPROTO_TCP, socket.TCP_CORK):
        flow.machine.cork = bool(value)
        return
    for name, wanted in setting(level, option, value, options, flow.machine.snd_mss).items():
        if name == "rcv_buffer_max":
            # The window that the peer was told is not taken back (RFC 9293 section 3.8.6).
            flow.machine.rx.buffer_max = max(wanted, flow.machine.rx.buffer_size)
        elif name != "rcv_buffer":
            change(flow, name, wanted)


def adapter(options: dict[tuple[int, int], int | bytes]) -> Callable[[Settings], Settings]:
    """Return what makes the settings of a new connection from the options of its socket, or of its listener's."""

    def adapt(settings: Settings) -> Settings:
        fields: dict[str, Any] = {}
        for (level, option), value in options.items():
            if isinstance(value, int):
                fields.update(setting(level, option, value, options, settings.mss))
        return settings._replace(**fields)

    return adapt
