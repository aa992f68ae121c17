"""getaddrinfo and getnameinfo over the stack: numbers, this host, and what the stack resolves."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from sarab.aio.faces import Sockaddr, sockaddr
from sarab.wire import address as wire

if TYPE_CHECKING:
    from sarab.aio.network import NetworkDriver

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Sockaddr]
SERVICES = {
    "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "http": 80, "pop3": 110, "ntp": 123, "imap": 143,
    "imap2": 143, "https": 443, "submission": 587, "imaps": 993, "pop3s": 995, "mysql": 3306, "postgresql": 5432,
    "redis": 6379,
}  # fmt: skip
"""An image has no /etc/services; programs name these."""
KINDS = ((socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP), (socket.SOCK_RAW, 0))
FLOW_MAX = 0xFFFFF
NAME_MAX = 253
"""Characters of a domain name (RFC 1035 section 2.3.4)."""


def port_of(port: Any) -> int:
    """Return the number of a port or service. Raises gaierror."""
    if port is None or port in (b"", ""):
        return 0
    if isinstance(port, int):
        number = port
    else:
        text = (port if isinstance(port, bytes) else str(port).encode()).decode()
        try:
            number = int(text) if text.strip("+-").isdigit() else SERVICES[text]
        except (ValueError, KeyError):
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype") from None
    if not 0 <= number <= 0xFFFF:
        raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
    return number


def check_flow(name: tuple[Any, ...]) -> None:
    """Raise OverflowError if the third of a sockaddr's elements is no flow label (RFC 8200 section 6)."""
    if len(name) > 2 and not 0 <= name[2] <= FLOW_MAX:
        raise OverflowError(f"flowinfo must be 0-{FLOW_MAX}.")


def own_name() -> str:
    """Return the name of this host."""
    return os.environ.get("SARAB_HOSTNAME", "") or socket.gethostname()


def known(driver: NetworkDriver, host: Any, family: int, flags: int) -> list[bytes] | None:
    """Return the addresses of what needs no question to anybody; None: ask for it. Raises gaierror."""
    if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise socket.gaierror(socket.EAI_FAMILY, "ai_family not supported")
    six, four = family != socket.AF_INET, family != socket.AF_INET6
    if host is None or host in ("", b""):
        if flags & socket.AI_PASSIVE:
            return [wire.ANY4] * four + [wire.ANY6] * six
        return [wire.LOOPBACK6] * six + [wire.LOOPBACK4] * four
    text = (host.decode() if isinstance(host, bytes | bytearray) else host).partition("%")[0]
    try:
        address = wire.parse(text)
    except ValueError:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    else:
        if family not in (socket.AF_UNSPEC, socket.AF_INET6 if len(address) == 16 else socket.AF_INET):
            raise socket.gaierror(getattr(socket, "EAI_ADDRFAMILY", socket.EAI_FAMILY), "Address family not supported")
        return [address]
    name = text.rstrip(".").lower()
    if not name or len(name) > NAME_MAX:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if name in ("localhost", "ip6-localhost", "localhost.localdomain") or name.endswith(".localhost"):
        return [wire.LOOPBACK6] * six + [wire.LOOPBACK4] * four  # RFC 6761 section 6.3
    if name == own_name().lower():
        own = [address for interface in driver.stack.interfaces for address, _ in interface.addresses]
        found = [a for a in own if (len(a) == 4 and four) or (len(a) == 16 and six and not wire.is_link_local(a))]
        return found or [wire.LOOPBACK4] * four
    return None


def question(host: Any) -> str:
    """Return the name to ask for, in ASCII (RFC 3490)."""
    text = host.decode() if isinstance(host, bytes | bytearray) else str(host)
    if text.isascii():
        return text
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None


def lookup_family(driver: NetworkDriver, family: int) -> int:
    """Return 4, 6, or 0 for both, as stack.resolve() has it."""
    if family == socket.AF_INET6:
        return 6
    return 4 if family == socket.AF_INET else 0


def failure(error: Any) -> socket.gaierror:
    """Return what a lookup's error is to the socket module."""
    temporary = isinstance(error, OSError) and type(error).__name__ != "NameNotFound"
    if temporary:
        return socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def interfaces(driver: NetworkDriver) -> list[tuple[int, str]]:
    """Return number and name of every interface, as if_nameindex() does."""
    return [(1, "lo"), *((number, each.name) for number, each in enumerate(driver.stack.interfaces, 2))]


def zone(driver: NetworkDriver, host: Any) -> int:
    """Return the number of the interface behind the `%` of an IPv6 address (RFC 4007 section 11); 0: none is named."""
    text = host.decode() if isinstance(host, bytes | bytearray) else str(host or "")
    name = text.partition("%")[2]
    if name.isdigit() or not name:
        return int(name or 0)
    for number, known_as in interfaces(driver):
        if known_as == name:
            return number
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def results(
    driver: NetworkDriver, addresses: list[bytes], port: int, kind: int, proto: int, flags: int, host: Any
) -> list[AddressInfo]:
    """Return what getaddrinfo() returns."""
    kinds = [(k, p) for k, p in KINDS if kind in (0, k) and (proto in (0, p) or k == socket.SOCK_RAW)]
    if not kinds:
        raise socket.gaierror(socket.EAI_SOCKTYPE, "ai_socktype not supported")
    found: list[AddressInfo] = []
    for address in addresses:
        family, name = socket.AF_INET, sockaddr(address, port)
        if len(name) == 4:
            family, name = socket.AF_INET6, (*name[:3], zone(driver, host))
        for k, p in kinds:
            canonical = str(host or "") if flags & socket.AI_CANONNAME and not found else ""
            found.append((family, k, proto or p, canonical, name))
    return found


def name_info(driver: NetworkDriver, name: Any, flags: int) -> tuple[str, str]:
    """Return host and service as getnameinfo() does, without asking anybody: numbers, but for localhost."""
    if not isinstance(name, tuple):
        raise TypeError("getnameinfo() argument 1 must be a tuple")
    check_flow(name)
    host, port = name[0], port_of(name[1])
    try:
        address = wire.parse(host.partition("%")[0])
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    text = wire.text(address)
    if len(name) > 3 and name[3] and (wire.is_link_local(address) or wire.is_multicast(address)):
        text += "%" + dict(interfaces(driver)).get(name[3], str(name[3]))
    if not flags & socket.NI_NUMERICHOST:
        if wire.is_loopback(address):
            text = "localhost"
        elif flags & socket.NI_NAMEREQD:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    service = str(port)
    if not flags & socket.NI_NUMERICSERV:
        service = next((known_as for known_as, number in SERVICES.items() if number == port), service)
    return text, service
