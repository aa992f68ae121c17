"""Packets of IP and frames of a card beside sarab's own stack (device.stack.IP, device.ethernet.Ethernet)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Any, Generic, TypeVar

from sarab.aio.closing import Closing
from sarab.aio.ethernet import HEADER_SIZE, check_frame
from sarab.aio.network import NetworkDriver, monotonic_ns
from sarab.device.errors import DeviceLost, OutOfRange
from sarab.device.network import Buffer
from sarab.device.stack import IPAddress
from sarab.net import raw
from sarab.net.endpoints import Endpoint

T = TypeVar("T")


class _Reader(Generic[T]):
    """Waits for what an endpoint brings; its owner."""

    def __init__(self, driver: NetworkDriver, endpoint: Endpoint, take: Callable[[], T | None]) -> None:
        self._driver, self._take = driver, take
        self._loop: Any = asyncio.get_running_loop()  # sarab's, for it is sarab's stack
        self._handle = asyncio.Handle(self.wake, (), self._loop)
        self._waiting: list[asyncio.Future[None]] = []
        endpoint.owner = self

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """For the driver; any thread."""
        self._loop.schedule(self._handle)

    def wake(self) -> None:
        """Have everybody look."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def next(self, is_closed: Callable[[], bool]) -> T | None:
        """Return the next thing, None when nothing more comes."""
        while True:
            with self._driver.lock:
                found = self._take()
            if found is not None or is_closed():
                return found
            future = self._loop.create_future()
            self._waiting.append(future)
            try:
                await future
            finally:
                self._waiting.remove(future)


class StackPackets(Closing):
    """device.stack.Packets."""

    def __init__(self, driver: NetworkDriver, endpoint: raw.Packets) -> None:
        self._driver, self._endpoint = driver, endpoint
        self._reader = _Reader(driver, endpoint, endpoint.receive_from)

    async def receive(self) -> tuple[bytes, IPAddress]:
        """See device.stack.Packets."""
        found = await self._reader.next(lambda: self._endpoint.closed)
        if found is None:
            raise OSError(errno.EBADF, "the protocol was given back")
        return found[0], ip_address(found[1])

    async def send(self, payload: Buffer, host: IPAddress) -> None:
        """See device.stack.Packets."""
        if self._endpoint.closed:
            raise OSError(errno.EBADF, "the protocol was given back")
        with self._driver.lock:
            self._endpoint.send_to(monotonic_ns(), bytes(payload), host.packed)
        self._driver.dirty = True

    async def close(self) -> None:
        """See device.stack.Packets."""
        with self._driver.lock:
            self._endpoint.close(monotonic_ns())
        self._reader.wake()


class StackIP:
    """device.stack.IP of sarab's stack."""

    def __init__(self, driver: NetworkDriver) -> None:
        self._driver = driver

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """See device.stack.IP."""
        with self._driver.lock:
            return tuple(
                ip_interface((own, prefix))
                for interface in self._driver.stack.interfaces
                for own, prefix in interface.addresses
            )

    def mtu(self, host: IPAddress) -> int:
        """See device.stack.IP."""
        with self._driver.lock:
            stack = self._driver.stack
            stack.source_for(host.packed)  # which says if there is no way
            return stack.path_mtu(host.packed, monotonic_ns())

    async def open_protocol(self, number: int) -> StackPackets:
        """See device.stack.IP."""
        with self._driver.lock:
            endpoint = self._driver.stack.raw.open_packets(number)
        return StackPackets(self._driver, endpoint)


class StackEthernet:
    """device.ethernet.Ethernet beside the stack: frames of every type that it does not speak, or of one."""

    def __init__(self, driver: NetworkDriver, card: int = 0, ethertype: int = 0) -> None:
        """`card` counts from 0, eth0; `ethertype` 0: every type that nobody else has asked for.

        Raises DeviceLost if there is no such card, OSError(EADDRINUSE).
        """
        self._driver = driver
        with driver.lock:
            if card >= len(driver.cards):
                raise DeviceLost(f"there is no network card eth{card}")
            self._card = driver.cards[card]
            self._endpoint = driver.stack.raw.open_frames(self._card.interface, ethertype)
        self._reader = _Reader(driver, self._endpoint, self._endpoint.receive)

    @property
    def mac(self) -> bytes:
        """See Ethernet."""
        return self._card.interface.mac

    @property
    def mtu(self) -> int:
        """See Ethernet."""
        return self._card.interface.mtu

    async def receive(self) -> tuple[bytes, int, bytes]:
        """See Ethernet."""
        data = await self._reader.next(lambda: self._endpoint.closed)
        if data is None:
            raise DeviceLost("the frames were given back")
        return data[6:12], int.from_bytes(data[12:14], "big"), data[HEADER_SIZE:]

    async def send(self, destination: bytes, ethertype: int, payload: Buffer) -> None:
        """See Ethernet. Frames of the stack's own types are refused, too."""
        check_frame(self.mtu, destination, ethertype, payload)
        if ethertype in raw.OWN_TYPES:
            raise OutOfRange(f"frames of type {ethertype:#06x} are the stack's own")
        if self._endpoint.closed or self._card not in self._driver.cards:
            raise DeviceLost(f"the network card {self._card.interface.name} is lost")
        with self._driver.lock:
            self._endpoint.send(destination, ethertype, bytes(payload))
        self._driver.dirty = True

    def close(self) -> None:
        """Receive no more. Twice is harmless."""
        with self._driver.lock:
            self._endpoint.close(monotonic_ns())
        self._reader.wake()
