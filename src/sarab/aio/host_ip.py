"""Packets of IP on a Linux process, through the host's raw sockets (device.stack.IP; raw(7), netdevice(7))."""

from __future__ import annotations

import array
import asyncio
import errno
import fcntl
import os
import socket
import struct
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from sarab.aio.closing import Closing
from sarab.aio.flow import wake
from sarab.device.network import Buffer
from sarab.device.stack import IPAddress

SIOCGIFCONF, SIOCGIFNETMASK = 0x8912, 0x891B
IP_MTU, IPV6_MTU = 14, 24
IFREQ_SIZE = 40
INTERFACES_MAX = 1024
PACKET_MAX = 65535
OWN_PROTOCOLS = frozenset((0, 1, 6, 17, 43, 44, 58, 59, 60))
"""Those that the host speaks itself, and IPv6's extension headers."""


class HostPackets(Closing):
    """device.stack.Packets; a socket of each family that the host has."""

    def __init__(self, number: int) -> None:
        """Raises OSError(EPERM)."""
        self._sockets: dict[int, socket.socket] = {}
        self._loop = asyncio.get_running_loop()
        self._readers: list[asyncio.Future[None]] = []
        self._is_closed = False
        try:
            for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
                try:
                    port = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, number)
                except OSError as error:
                    if error.errno != errno.EAFNOSUPPORT:
                        raise
                    continue
                self._sockets[version] = port
                self._loop.add_reader(port.fileno(), self._ready)
        except BaseException:
            self._end()
            raise

    def _ready(self) -> None:
        """Something waits in the kernel's own bounded queue; whoever reads takes it there."""
        if not any(not future.done() for future in self._readers):
            self._listen(False)
        for future in self._readers:
            wake(future)

    def _listen(self, on: bool) -> None:
        for port in self._sockets.values():
            if on:
                self._loop.add_reader(port.fileno(), self._ready)
            else:
                self._loop.remove_reader(port.fileno())

    async def receive(self) -> tuple[bytes, IPAddress]:
        """See device.stack.Packets."""
        while True:
            if self._is_closed:
                raise OSError(errno.EBADF, "the protocol was given back")
            for version, port in self._sockets.items():
                try:
                    data, name = port.recvfrom(PACKET_MAX)
                except BlockingIOError:
                    continue
                start = (data[0] & 15) * 4 if version == 4 and data else 0  # IPv4's come with their header
                return data[start:], ip_address(name[0])
            future = self._loop.create_future()
            self._readers.append(future)
            self._listen(True)
            try:
                await future
            finally:
                self._readers.remove(future)

    async def send(self, payload: Buffer, host: IPAddress) -> None:
        """See device.stack.Packets."""
        if self._is_closed:
            raise OSError(errno.EBADF, "the protocol was given back")
        port = self._sockets.get(host.version)
        if port is None:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        data = bytes(payload)
        while True:
            try:
                port.sendto(data, (str(host), 0))
                return
            except BlockingIOError:
                room = self._loop.create_future()
                self._loop.add_writer(port.fileno(), wake, room)
                try:
                    await room
                finally:
                    self._loop.remove_writer(port.fileno())

    def _end(self) -> None:
        self._is_closed = True
        self._listen(False)
        for port in self._sockets.values():
            port.close()
        for future in self._readers:
            wake(future)

    async def close(self) -> None:
        """See device.stack.Packets."""
        if not self._is_closed:
            self._end()


class HostIP:
    """device.stack.IP of the host that a Linux process runs on."""

    def __init__(self) -> None:
        self._taken: dict[int, HostPackets] = {}

    @property
    def addresses(self) -> tuple[IPv4Interface | IPv6Interface, ...]:
        """See device.stack.IP; not the loopback's."""
        return tuple(item for item in (*_addresses4(), *_addresses6()) if not item.is_loopback)

    def mtu(self, host: IPAddress) -> int:
        """See device.stack.IP."""
        if host.version == 4:
            family, level, option = socket.AF_INET, socket.IPPROTO_IP, IP_MTU
        else:
            family, level, option = socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_MTU
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(host), 9))  # it sends nothing
            return probe.getsockopt(level, option)

    async def open_protocol(self, number: int) -> HostPackets:
        """See device.stack.IP."""
        before = self._taken.get(number)
        if number in OWN_PROTOCOLS or not 0 <= number <= 255:
            raise OSError(errno.EADDRINUSE, f"the host itself speaks protocol {number} of IP")
        if before is not None and not before._is_closed:
            raise OSError(errno.EADDRINUSE, f"protocol {number} of IP is in use")
        packets = self._taken[number] = HostPackets(number)
        return packets


def _addresses4() -> list[IPv4Interface | IPv6Interface]:
    found: list[IPv4Interface | IPv6Interface] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        room = array.array("B", bytes(IFREQ_SIZE * INTERFACES_MAX))
        where, _ = room.buffer_info()
        answer = fcntl.ioctl(probe, SIOCGIFCONF, struct.pack("iL", len(room), where))
        (length,) = struct.unpack_from("i", answer)
        data = room.tobytes()
        for at in range(0, length, IFREQ_SIZE):
            name, address = data[at : at + 16], data[at + 20 : at + 24]
            try:
                mask = fcntl.ioctl(probe, SIOCGIFNETMASK, name.ljust(IFREQ_SIZE, b"\0"))[20:24]
            except OSError:
                continue  # it has gone in between
            found.append(ip_interface((address, bin(int.from_bytes(mask, "big")).count("1"))))
    return found


def _addresses6() -> list[IPv4Interface | IPv6Interface]:
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:
            fields = [line.split() for line in file]
    except OSError:
        return []
    return [ip_interface((bytes.fromhex(line[0]), int(line[2], 16))) for line in fields]
