"""What a server leased: the options of an ACK, read and judged (RFC 2132, 3397, 3442).

A server's word is taken where it makes sense. An option that is malformed, and without which a host can live, is as one
that did not come; without an address, a server, and a time there is no lease.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from sarab.wire import address, dhcpv4, dns
from sarab.wire.dhcpv4 import Message, Route
from sarab.wire.errors import Malformed

T = TypeVar("T")
SECOND = 1_000_000_000
INFINITE = 0xFFFFFFFF
"""A lease time that never ends (RFC 2131 section 3.3)."""
LEASE_MIN = 10
"""Seconds: a shorter lease would have us speak more than once a second and is refused."""
MTU_MIN = 576
"""What every host takes (RFC 791 section 3.1); a smaller one from option 26 is an attack or a mistake."""
SERVERS_MAX = 8
"""Routers, name and time servers, each: more are not asked."""
SEARCH_MAX = 8
"""Domains to search: each costs a question a lookup."""


class Lease(NamedTuple):
    """An address, what goes with it, and until when. Moments are in the nanoseconds of `now`, None: never."""

    address: bytes
    prefix: int
    server: bytes
    """Who leased it, as it names itself (option 54)."""
    routers: tuple[bytes, ...]
    """Default gateways, the preferred one first."""
    routes: tuple[Route, ...]
    """Routes to other networks than 0.0.0.0/0."""
    dns: tuple[bytes, ...]
    domain: str
    search: tuple[str, ...]
    """Domains to search, in ASCII without closing dots."""
    mtu: int | None
    hostname: str
    ntp: tuple[bytes, ...]
    t1: int | None
    """When to ask the server for more time."""
    t2: int | None
    """When to ask any server."""
    expiry: int | None
    """When the address may be used no more."""


def lease_of(message: Message, asked_at: int, random: Callable[[int], bytes]) -> Lease:
    """Return what an OFFER or ACK leases, with times counted from `asked_at`, when it was asked for.

    Raises Malformed.
    """
    own = message.yiaddr
    seconds = dhcpv4.number(message.option(dhcpv4.LEASE_TIME) or b"", 4)
    if seconds < LEASE_MIN:
        raise Malformed(f"a lease of less than {LEASE_MIN} seconds")
    servers = dhcpv4.addresses(message.option(dhcpv4.SERVER_ID) or b"")
    if len(servers) != 1 or not _of_a_host(servers[0]):
        raise Malformed("a lease from nobody")
    mask = message.option(dhcpv4.SUBNET_MASK)
    prefix = _prefix_of_class(own) if mask is None else dhcpv4.prefix_of(mask)
    if not _of_a_host(own) or not prefix:
        raise Malformed("a lease of an address that no host has")
    if prefix < 31 and own in (address.network_of(own, prefix), address.broadcast_of(own, prefix)):
        raise Malformed("a lease of an address that is its whole network's")

    routes: tuple[Route, ...] = _read(message, dhcpv4.CLASSLESS_ROUTES, dhcpv4.routes, ())
    routers: tuple[bytes, ...] = tuple(way.gateway for way in routes if not way.prefix)
    if not routes:  # else the routers are not to be looked at (RFC 3442, "DHCP client behavior")
        routers = _read(message, dhcpv4.ROUTERS, dhcpv4.addresses, ())
    mtu = _read(message, dhcpv4.INTERFACE_MTU, lambda data: dhcpv4.number(data, 2), 0)
    t1, t2, expiry = _times(message, seconds, asked_at, random)
    return Lease(
        own,
        prefix,
        servers[0],
        _servers(routers),
        tuple(way for way in routes if way.prefix),
        _servers(_read(message, dhcpv4.DNS_SERVERS, dhcpv4.addresses, ())),
        _read(message, dhcpv4.DOMAIN_NAME, _domain, ""),
        _read(message, dhcpv4.DOMAIN_SEARCH, _domains, ()),
        mtu if mtu >= MTU_MIN else None,
        _read(message, dhcpv4.HOST_NAME, _domain, ""),
        _servers(_read(message, dhcpv4.NTP_SERVERS, dhcpv4.addresses, ())),
        t1,
        t2,
        expiry,
    )


def _times(
    message: Message, seconds: int, asked_at: int, random: Callable[[int], bytes]
) -> tuple[int | None, int | None, int | None]:
    """Return T1, T2 and the end.

    Where the server names no T1, it is up to a 32nd of the time earlier than half of it, so that hosts that started
    together do not renew together (RFC 2131 section 4.4.5).
    """
    if seconds == INFINITE:
        return None, None, None
    length = seconds * SECOND
    fuzz = (length >> 5) * int.from_bytes(random(2), "big") >> 16
    t1 = _read(message, dhcpv4.RENEWAL_TIME, lambda data: dhcpv4.number(data, 4), 0) * SECOND
    t2 = _read(message, dhcpv4.REBINDING_TIME, lambda data: dhcpv4.number(data, 4), 0) * SECOND
    if not 0 < t2 <= length:
        t2 = length * 7 // 8
    if not 0 < t1 <= t2:
        t1 = min(length // 2, t2) - fuzz
    return asked_at + t1, asked_at + t2, asked_at + length


def _read(message: Message, code: int, read: Callable[[bytes], T], otherwise: T) -> T:
    data = message.option(code)
    if data is None:
        return otherwise
    try:
        return read(data)
    except Malformed:
        return otherwise


def _servers(found: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(one for one in found if _of_a_host(one)))[:SERVERS_MAX]


def _domain(data: bytes) -> str:
    word = dhcpv4.text(data).rstrip(".")
    try:
        dns.name_of(word)
    except ValueError as error:
        raise Malformed(str(error)) from None
    return word


def _domains(data: bytes) -> tuple[str, ...]:
    words = (dns.text_of(name)[:-1] for name in dhcpv4.search(data))
    return tuple(word for word in words if word and "\\" not in word)[:SEARCH_MAX]


def _of_a_host(own: bytes) -> bool:
    """Say whether an address can be one host's: none of 0/8, 127/8, 224/4, 240/4."""
    return own[0] not in (0, 127) and own[0] < 224


def _prefix_of_class(own: bytes) -> int:
    """Return the prefix length of the classes of old, for a server that sends no mask (RFC 950)."""
    return 8 if own[0] < 128 else 16 if own[0] < 192 else 24
