"""The network as an application asks for it (device.stack.Stack), over any of asyncio's event loops.

In an image asyncio's loop is sarab's and this is sarab's stack; in a Linux process it is the host's sockets, or sarab's
stack on a tap. What asyncio has no words for, packets of IP, comes from outside.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections import deque
from collections.abc import Coroutine
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface
from typing import Any, TypeVar

from sarab.aio.closing import Closing
from sarab.aio.flow import MAPPED, Flow, Listener, address_of, listen, wake
from sarab.device.network import Buffer
from sarab.device.stack import IP, Address, Host, IPAddress, Packets

T = TypeVar("T")
ATTEMPT_SECONDS = 0.25
"""How long one address has before the next is tried beside it (RFC 8305 section 5)."""
DATAGRAMS_MAX = 512
"""Datagrams that wait to be read of one port; what comes on top is dropped."""
DATAGRAM_BYTES_MAX = 1 << 20


def numeric(host: Host) -> IPAddress | None:
    """Return the address that a host is, None if it is a name."""
    if not isinstance(host, str):
        return host
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Datagrams(Closing, asyncio.DatagramProtocol):
    """device.stack.Datagrams."""

    def __init__(self, resolve: AsyncioStack) -> None:
        self._resolver = resolve
        self._transport: Any = None
        self._is_six = False
        self._local = Address(ipaddress.IPv4Address(0), 0)
        self._queue: deque[tuple[bytes, Address]] = deque()
        self._size = 0
        self._readers: deque[asyncio.Future[None]] = deque()
        self._is_closed = False
        self._error: OSError | None = None
        self._room: asyncio.Future[None] | None = None
        self.dropped = 0
        """Datagrams lost because nobody read the others."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.DatagramProtocol."""
        self._transport = transport
        name = transport.get_extra_info("sockname")
        self._is_six = len(name) == 4
        self._local = Address(ipaddress.ip_address(name[0]), name[1])

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """See asyncio.DatagramProtocol."""
        if len(self._queue) >= DATAGRAMS_MAX or self._size + len(data) > DATAGRAM_BYTES_MAX:
            self.dropped += 1
            return
        self._queue.append((data, address_of(addr)))
        self._size += len(data)
        self._wake()

    def _wake(self) -> None:
        for future in self._readers:
            if not future.done():
                future.set_result(None)
                return

    def error_received(self, error: Exception) -> None:
        """See asyncio.DatagramProtocol: send() looks at it; what a router says of a datagram before is dropped."""
        if isinstance(error, OSError):
            self._error = error

    def pause_writing(self) -> None:
        """See asyncio.DatagramProtocol."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """See asyncio.DatagramProtocol."""
        wake(self._room)
        self._room = None

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.DatagramProtocol."""
        self._is_closed = True
        wake(self._room)
        for future in self._readers:
            wake(future)

    @property
    def local(self) -> Address:
        """See device.stack.Datagrams; the address is `::` for every one of both families."""
        return self._local

    async def receive(self) -> tuple[bytes, Address]:
        """See device.stack.Datagrams."""
        while not self._queue:
            self._check_open()
            future = asyncio.get_running_loop().create_future()
            self._readers.append(future)
            try:
                await future
            finally:
                self._readers.remove(future)
                if self._queue:
                    self._wake()  # a wait that was cancelled passes on what it was woken for
        found = self._queue.popleft()
        self._size -= len(found[0])
        return found

    async def send(self, data: Buffer, host: Host, port: int) -> None:
        """See device.stack.Datagrams."""
        address = numeric(host)
        if address is None:
            wanted = await self._resolver.resolve(str(host))
            address = next((item for item in wanted if self._is_six or item.version == 4), wanted[0])
        self._check_open()
        text = str(address)
        if address.version == 4 and self._is_six:
            text = f"::ffff:{text}"
        elif address.version == 6 and not self._is_six:
            raise OSError(errno.ENETUNREACH, f"a port of IPv4 does not send to {text}")
        self._error = None
        whole = bytes(data)
        if whole or not self._send_empty((text, port)):
            self._transport.sendto(whole, (text, port))
        error: OSError | None = self._error  # which sendto() tells so
        if error is not None:
            self._error = None
            raise error
        while self._room is not None and not self._is_closed:
            await asyncio.shield(self._room)

    def _send_empty(self, name: tuple[str, int]) -> bool:
        """Send a datagram of no bytes, which asyncio's own transports drop before Python 3.13. False: it is sarab's."""
        descriptor = self._transport.get_extra_info("socket").fileno()
        if descriptor < 0:
            return False
        with socket.socket(fileno=os.dup(descriptor)) as port:
            port.sendto(b"", name)
        return True

    def _check_open(self) -> None:
        if self._is_closed:
            raise OSError(errno.EBADF, "the port is closed")

    async def close(self) -> None:
        """See device.stack.Datagrams."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.close()
            for future in self._readers:
                wake(future)
            await asyncio.sleep(0)  # asyncio gives the port back in the loop's next turn


class AsyncioStack:
    """device.stack.Stack. Every loop that runs when it is asked will do."""

    def __init__(self, ip: IP) -> None:
        """`ip` is the same network's IP."""
        self._ip = ip

    # ---- TCP -----------------------------------------------------------------------------------------------------

    async def listen_tcp(self, port: int, host: Host | None = None, *, backlog: int = 128) -> Listener:
        """See device.stack.TCP."""
        return await listen(None if host is None else str(await self._one(host)), port, backlog)

    async def connect_tcp(self, host: Host, port: int, *, timeout: float | None = None) -> Flow:
        """See device.stack.TCP."""
        try:
            async with asyncio.timeout(timeout):
                address = numeric(host)
                if address is not None:
                    return await _attempt(address, port)
                return await _race([_attempt(each, port) for each in interleave(await self.resolve(str(host)))])
        except TimeoutError as error:
            if error.errno is None:
                raise TimeoutError(errno.ETIMEDOUT, f"no connection to {host} within {timeout:g} s") from None
            raise

    # ---- UDP -----------------------------------------------------------------------------------------------------

    async def bind_udp(self, port: int = 0, host: Host | None = None) -> Datagrams:
        """See device.stack.UDP."""
        if host is not None:
            return await self._bind(str(await self._one(host)), port)
        try:
            return await self._bind("::", port)  # with IPv4's addresses, which it writes in its own way
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            return await self._bind("0.0.0.0", port)

    async def _bind(self, host: str, port: int) -> Datagrams:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(lambda: Datagrams(self), (host, port), allow_broadcast=True)
        return protocol

    # ---- IP ------------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """See device.stack.IP."""
        return self._ip.addresses

    def mtu(self, host: IPAddress) -> int:
        """See device.stack.IP."""
        return self._ip.mtu(host)

    async def open_protocol(self, number: int) -> Packets:
        """See device.stack.IP."""
        return await self._ip.open_protocol(number)

    # ---- names ---------------------------------------------------------------------------------------------------

    async def resolve(self, name: str) -> tuple[IPAddress, ...]:
        """See device.stack.Resolver."""
        address = numeric(name)
        if address is not None:
            return (address,)
        if not name or "\0" in name:
            raise socket.gaierror(socket.EAI_NONAME, f"{name!r} is no name")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, f"{name!r} is no name") from None
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise
            raise socket.gaierror(socket.EAI_NONAME, f"{name} has no address: {error.strerror}") from None
        return tuple(dict.fromkeys(address_of(item[4]).host for item in found))

    async def _one(self, host: Host) -> IPAddress:
        address = numeric(host)
        return (await self.resolve(str(host)))[0] if address is None else address


async def _attempt(address: IPAddress, port: int) -> Flow:
    """Connect to one address. Raises OSError."""
    if isinstance(address, IPv6Address) and address in MAPPED:
        raise OSError(errno.ENETUNREACH, f"{address} is an IPv4 address in disguise")
    try:
        _, flow = await asyncio.get_running_loop().create_connection(Flow, str(address), port)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"no connection to {address} port {port}: {os.strerror(error.errno)}") from None
    return flow


def interleave(addresses: tuple[IPAddress, ...]) -> list[IPAddress]:
    """Return addresses in their order, each family in turn, the first's first (RFC 8305 section 4)."""
    first = [item for item in addresses if item.version == addresses[0].version]
    second = [item for item in addresses if item.version != addresses[0].version]
    found: list[IPAddress] = []
    for index in range(max(len(first), len(second))):
        found += first[index : index + 1] + second[index : index + 1]
    return found


async def _race(attempts: list[Coroutine[Any, Any, Flow]]) -> Flow:
    """Begin one attempt after the other, and return the first that succeeds (RFC 8305 section 5).

    Raises the error of the first that failed, when all have.
    """
    waiting = deque(attempts)
    tasks: set[asyncio.Task[Flow]] = set()
    failed: OSError | None = None
    try:
        while waiting or tasks:
            if waiting:
                tasks.add(asyncio.ensure_future(waiting.popleft()))
            done, tasks = await asyncio.wait(
                tasks, timeout=ATTEMPT_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            won = [task for task in done if task.exception() is None]
            for task in won[1:]:
                task.result()._transport.abort()
            if won:
                return won[0].result()
            for task in done:
                error = task.exception()
                if not isinstance(error, OSError):
                    task.result()
                failed = failed or error  # type: ignore[assignment]
        assert failed is not None
        raise failed
    finally:
        for attempt in waiting:
            attempt.close()
        for task in tasks:
            task.cancel()
        if tasks:
            for late in (await asyncio.wait(tasks))[0]:
                if not late.cancelled() and late.exception() is None:
                    late.result()._transport.abort()
