"""The network above the card, as applications see it: TCP, UDP, IP, names, and all of them as one stack.

What fails is an OSError: ConnectionRefusedError, ConnectionResetError, TimeoutError, and by `errno` EADDRINUSE,
EADDRNOTAVAIL, ENETUNREACH, EMSGSIZE; a name that is not found is a socket.gaierror.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from sarab.device.network import Buffer

IPAddress = IPv4Address | IPv6Address
Host = str | IPv4Address | IPv6Address
"""A name, or an address as text or as a value."""


class Address(NamedTuple):
    """One end of a connection."""

    host: IPAddress
    port: int


class Flow(Protocol):
    """A stream of bytes in both directions: a TCP connection, or TLS over one (MirageOS: Mirage_flow.S)."""

    @property
    def local(self) -> Address:
        """Our end."""

    @property
    def remote(self) -> Address:
        """The other end."""

    async def read(self, limit: int = 65536) -> bytes:
        """Return at least one byte and at most `limit`, as soon as there are some; b"" at the end of the stream.

        Raises ConnectionResetError, TimeoutError.
        """

    async def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes. Raises EOFError when the stream ends before, and as read()."""

    async def read_until(self, separator: bytes = b"\n", limit: int = 65536) -> bytes:
        """Return what comes up to and with `separator`; at the end of the stream, what there is.

        Raises ValueError if it is not within `limit` bytes, and as read().
        """

    async def write(self, data: Buffer) -> None:
        """Send `data`; returns when it is queued, which waits while the peer reads too slowly.

        Raises ConnectionResetError, BrokenPipeError, TimeoutError.
        """

    async def shutdown_write(self) -> None:
        """Say that nothing more is written; reading goes on. Twice is harmless."""

    def keep_alive(self, idle: float | None) -> None:
        """Have a peer that was silent for `idle` seconds asked whether it is there (RFC 9293 section 3.8.4).

        It is asked every quarter of that, a second at least; who does not answer four times is given up, and read() and
        write() raise TimeoutError. None: nobody is asked, which is so at first. Raises ValueError for 0 and less.
        """

    async def close(self) -> None:
        """Close both directions; what was written is still delivered. Twice is harmless."""

    async def __aenter__(self) -> Self:
        """Return the flow itself; the block's end closes it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class Listener(Protocol):
    """A port that connections come in by: `async for flow in listener`."""

    @property
    def local(self) -> Address:
        """Where it listens."""

    async def accept(self) -> Flow:
        """Return the next connection. Raises OSError(EBADF) when the listener is closed."""

    def __aiter__(self) -> AsyncIterator[Flow]:
        """Give every connection, until the listener is closed."""

    async def close(self) -> None:
        """Take no more connections; those there are live on. Twice is harmless."""

    async def __aenter__(self) -> Self:
        """Return the listener itself; the block's end closes it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class Datagrams(Protocol):
    """A port of UDP."""

    @property
    def local(self) -> Address:
        """The port, and its address."""

    async def receive(self) -> tuple[bytes, Address]:
        """Return the next datagram, and who sent it. Datagrams that nobody fetches are dropped beyond a bound."""

    async def send(self, data: Buffer, host: Host, port: int) -> None:
        """Send a datagram. Raises OSError(EMSGSIZE), OSError(ENETUNREACH)."""

    async def close(self) -> None:
        """Give the port back. Twice is harmless."""

    async def __aenter__(self) -> Self:
        """Return the port itself; the block's end closes it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class TCP(Protocol):
    """Streams (RFC 9293)."""

    async def listen_tcp(self, port: int, host: Host | None = None, *, backlog: int = 128) -> Listener:
        """Listen on a port, 0 for any, of one address or of all of both families. Raises OSError(EADDRINUSE)."""

    async def connect_tcp(self, host: Host, port: int, *, timeout: float | None = None) -> Flow:
        """Connect; a name's addresses are tried by RFC 8305. Raises OSError, TimeoutError after `timeout` seconds."""


class UDP(Protocol):
    """Datagrams (RFC 768)."""

    async def bind_udp(self, port: int = 0, host: Host | None = None) -> Datagrams:
        """Take a port, 0 for any, of one address or of all of both families. Raises OSError(EADDRINUSE)."""


class Packets(Protocol):
    """The packets of one protocol that IP carries."""

    async def receive(self) -> tuple[bytes, IPAddress]:
        """Return the next packet's payload, and who sent it. Packets that nobody fetches are dropped beyond a bound."""

    async def send(self, payload: Buffer, host: IPAddress) -> None:
        """Send a packet. Raises OSError(EMSGSIZE), OSError(ENETUNREACH)."""

    async def close(self) -> None:
        """Receive no more. Twice is harmless."""

    async def __aenter__(self) -> Self:
        """Return it; the block's end closes it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""


class IP(Protocol):
    """Packets of both families (RFC 791, RFC 8200), for protocols that the stack does not speak itself."""

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """Our addresses with their prefixes, of all cards, as they are now."""

    def mtu(self, host: IPAddress) -> int:
        """Return the largest packet in bytes that is known to reach `host` whole. Raises OSError(ENETUNREACH)."""

    async def open_protocol(self, number: int) -> Packets:
        """Take the packets of the protocol `number` of IP.

        Raises OSError: EADDRINUSE if somebody has it or the stack speaks it, EPERM if a process may not.
        """


class Resolver(Protocol):
    """Names to addresses (RFC 1035)."""

    async def resolve(self, name: str) -> tuple[IPAddress, ...]:
        """Return a name's addresses, the best first (RFC 6724); an address as text is its own.

        Raises socket.gaierror: EAI_NONAME if there are none, EAI_AGAIN if nobody could say.
        """


class Stack(TCP, UDP, IP, Resolver, Protocol):
    """All of it: what an application asks for that speaks to others."""
