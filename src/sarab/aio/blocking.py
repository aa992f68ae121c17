"""Names for code that waits: getaddrinfo and its kin, from any thread."""

from __future__ import annotations

import errno
import operator
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from sarab.aio import names
from sarab.aio.network import CONFIGURE_STEP, CONFIGURE_TRIES, monotonic_ns
from sarab.wire import address as wire

if TYPE_CHECKING:
    from sarab.aio.service import Service
    from sarab.aio.sockets import Room
    from sarab.net.endpoints import Endpoint


class Told:
    """An owner that a thread waits for."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.event = threading.Event()
        endpoint.owner = self

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """Something happened."""
        self.event.set()


def wait_configured(service: Service, target: bytes) -> None:
    """Wait while an interface is still being given its address, if `target` is not on this host."""
    driver = service.driver
    if driver.is_configured(target):
        return
    service.acquire()
    try:
        for _ in range(CONFIGURE_TRIES):
            time.sleep(CONFIGURE_STEP)
            if driver.is_configured(target):
                return
    finally:
        service.release()


def addresses(room: Room, host: Any, family: int, flags: int) -> list[bytes]:
    """Return the addresses of a host; wait for an answer where it needs one. Raises gaierror."""
    driver = room.driver
    found = names.known(driver, host, family, flags)
    if found is not None:
        return found
    wait_configured(room.service, b"\1\1\1\1")
    room.service.acquire()
    try:
        with driver.lock:
            lookup = driver.stack.resolve(monotonic_ns(), names.question(host), names.lookup_family(driver, family))
            told = Told(lookup)
            driver.flush()
        try:
            while not lookup.addresses and not lookup.error:
                told.event.wait()
                told.event.clear()
        finally:
            with driver.lock:
                lookup.close(monotonic_ns())
    finally:
        room.service.release()
    if not lookup.addresses:
        raise names.failure(lookup.error)
    return list(lookup.addresses)


def getaddrinfo(
    room: Room, host: Any, port: Any, family: int = 0, kind: int = 0, proto: int = 0, flags: int = 0
) -> list[names.AddressInfo]:
    """As socket.getaddrinfo()."""
    if host is None and port is None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    number = names.port_of(port)
    found = addresses(room, host, family, flags)
    return names.results(room.driver, found, number, kind, proto, flags, host)


def gethostbyname(room: Room, host: Any) -> str:
    """As socket.gethostbyname()."""
    if host == "<broadcast>":
        return "255.255.255.255"
    flags = int(socket.AI_PASSIVE) if host == "" else 0
    return wire.text(addresses(room, host, socket.AF_INET, flags)[0])


def gethostbyname_ex(room: Room, host: Any) -> tuple[str, list[str], list[str]]:
    """As socket.gethostbyname_ex()."""
    return str(host), [], [wire.text(found) for found in addresses(room, host, socket.AF_INET, 0)]


def gethostbyaddr(room: Room, host: Any) -> tuple[str, list[str], list[str]]:
    """As socket.gethostbyaddr(), for this host's own addresses; nobody is asked for others' names."""
    address = addresses(room, host, 0, 0)[0]
    if wire.is_loopback(address):
        return "localhost", [], [wire.text(address)]
    if room.driver.stack.is_local(address):
        return names.own_name(), [], [wire.text(address)]
    raise socket.herror(1, "Unknown host")


def getnameinfo(room: Room, name: Any, flags: int) -> tuple[str, str]:
    """As socket.getnameinfo()."""
    return names.name_info(room.driver, name, flags)


def if_nameindex(room: Room) -> list[tuple[int, str]]:
    """As socket.if_nameindex()."""
    return names.interfaces(room.driver)


def if_nametoindex(room: Room, name: Any) -> int:
    """As socket.if_nametoindex()."""
    wanted = os.fsdecode(name)
    for number, known_as in names.interfaces(room.driver):
        if known_as == wanted:
            return number
    raise OSError("no interface with this name")


def if_indextoname(room: Room, index: Any) -> str:
    """As socket.if_indextoname()."""
    found = dict(names.interfaces(room.driver)).get(operator.index(index))
    if found is None:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
    return found


def getservbyname(name: str, protocol: str = "tcp") -> int:
    """As socket.getservbyname(), of a short list."""
    if name not in names.SERVICES:
        raise OSError("service/proto not found")
    return names.SERVICES[name]


def getservbyport(port: int, protocol: str = "tcp") -> str:
    """As socket.getservbyport()."""
    if not 0 <= port <= 0xFFFF:
        raise OverflowError("getservbyport: port must be 0-65535.")
    for name, number in names.SERVICES.items():
        if number == port:
            return name
    raise OSError("port/proto not found")
