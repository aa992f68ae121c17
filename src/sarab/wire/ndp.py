"""Neighbour discovery (RFC 4861; RFC 4191 routes and preferences, RFC 8106 DNS), read from ICMPv6 messages.

    value = parse(icmpv6.parse(view, source, destination))
    validate(value, source, destination, hop_limit)
    icmpv6.emit(emit(value), source, destination)

Times are as on the wire: lifetimes in seconds, 0xffffffff for ever; reachable time and retransmission timer in
milliseconds.
"""

from struct import Struct
from typing import NamedTuple

from sarab.wire.address import ALL_ROUTERS6, is_link_local, is_multicast, is_unspecified, solicited_node, text
from sarab.wire.errors import Malformed
from sarab.wire.icmpv6 import Message

ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT, REDIRECT = (
    133, 134, 135, 136, 137,
)  # fmt: skip
TYPES = frozenset(range(ROUTER_SOLICITATION, REDIRECT + 1))
HOP_LIMIT = 255
"""Of every message: one that a router has passed on has less (RFC 4861 section 3.1)."""
INFINITE = 0xFFFFFFFF
LOW, MEDIUM, HIGH = -1, 0, 1
"""Preferences of routers and routes (RFC 4191 section 2.1)."""
OPTIONS_MAX = 64
"""Of one message. An advertisement of a large network has a dozen; reading more would serve a flood."""
REDIRECTED_MAX = 1280 - 40 - 40 - 2 * 8 - 8
"""Bytes of a packet that a redirect quotes, so that it has 1280 at most (RFC 4861 section 8.2)."""
NAME_MAX = 253
"""Characters of a domain name, without the last dot (RFC 1035 section 3.1)."""

_SOURCE_LINK, _TARGET_LINK, _PREFIX, _REDIRECTED, _MTU, _ROUTE, _RDNSS, _DNSSL = 1, 2, 3, 4, 5, 24, 25, 31
_ADVERTISEMENT = Struct("!II")
_PREFIX_BODY = Struct("!BBIII16s")
_LIFETIME = Struct("!2xI")
_LABEL = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Prefix(NamedTuple):
    """A prefix information option (section 4.6.2)."""

    prefix: bytes
    length: int
    """Bits."""
    on_link: bool
    autonomous: bool
    valid: int
    preferred: int


class Route(NamedTuple):
    """A route information option (RFC 4191 section 2.3)."""

    prefix: bytes
    length: int
    preference: int
    lifetime: int


class Options(NamedTuple):
    """What the options of a message said; b"", None or () where one is absent."""

    source_link: bytes = b""
    """Ethernet address of the sender."""
    target_link: bytes = b""
    """Ethernet address of the target."""
    prefixes: tuple[Prefix, ...] = ()
    mtu: int | None = None
    redirected: bytes = b""
    """The packet that a redirect is about, cut, padded to a multiple of 8."""
    routes: tuple[Route, ...] = ()
    dns: tuple[tuple[bytes, int], ...] = ()
    """(server, lifetime)"""
    search: tuple[tuple[str, int], ...] = ()
    """(domain in which names are looked for, lifetime)"""


NO_OPTIONS = Options()


class RouterSolicitation(NamedTuple):
    """Who routes here? (section 4.1)"""

    options: Options = NO_OPTIONS


class RouterAdvertisement(NamedTuple):
    """What a router says of itself and of the link (section 4.2)."""

    hop_limit: int = 0
    """For packets that leave; 0: it does not say."""
    managed: bool = False
    """Addresses are to be had by DHCPv6."""
    other: bool = False
    """Other things are to be had by DHCPv6."""
    preference: int = MEDIUM
    lifetime: int = 0
    """Seconds that it is a default router; 0: it is none."""
    reachable_time: int = 0
    retrans_timer: int = 0
    options: Options = NO_OPTIONS


class NeighbourSolicitation(NamedTuple):
    """Who has `target`? (section 4.3)"""

    target: bytes
    options: Options = NO_OPTIONS


class NeighbourAdvertisement(NamedTuple):
    """Who has `target`, and under which Ethernet address (section 4.4)."""

    target: bytes
    router: bool = False
    solicited: bool = False
    override: bool = False
    options: Options = NO_OPTIONS


class Redirect(NamedTuple):
    """`destination` is better reached through `target` (section 4.5)."""

    target: bytes
    destination: bytes
    options: Options = NO_OPTIONS


Value = RouterSolicitation | RouterAdvertisement | NeighbourSolicitation | NeighbourAdvertisement | Redirect


def parse(message: Message) -> Value:
    """Return what a message of ICMPv6 says. Unknown options are skipped. Raises Malformed."""
    kind, code, word, view = message
    if code:
        raise Malformed("neighbour discovery with a code")
    body = bytes(view)
    if kind == ROUTER_SOLICITATION:
        return RouterSolicitation(_parse_options(body, 0))
    if kind == ROUTER_ADVERTISEMENT:
        if len(body) < 8:
            raise Malformed("a router advertisement has 16 bytes at least")
        reachable_time, retrans_timer = _ADVERTISEMENT.unpack_from(body)
        preference = _preference(word >> 19 & 3)
        managed, other = bool(word & 1 << 23), bool(word & 1 << 22)
        return RouterAdvertisement(
            word >> 24, managed, other, preference or MEDIUM, word & 0xFFFF, reachable_time, retrans_timer,
            _parse_options(body, 8),
        )  # fmt: skip
    if kind == REDIRECT:
        if len(body) < 32:
            raise Malformed("a redirect has 40 bytes at least")
        return Redirect(body[:16], body[16:32], _parse_options(body, 32))
    if kind not in TYPES:
        raise Malformed("a message that is none of neighbour discovery")
    if len(body) < 16:
        raise Malformed("a neighbour solicitation or advertisement has 24 bytes at least")
    target = body[:16]
    if is_multicast(target):
        raise Malformed("a neighbour that is a multicast group")  # sections 7.1.1, 7.1.2
    options = _parse_options(body, 16)
    if kind == NEIGHBOUR_SOLICITATION:
        return NeighbourSolicitation(target, options)
    return NeighbourAdvertisement(target, bool(word & 1 << 31), bool(word & 1 << 30), bool(word & 1 << 29), options)


def _preference(bits: int) -> int | None:
    """Return a preference; None: the reserved one."""
    return (MEDIUM, HIGH, None, LOW)[bits]


def validate(value: Value, source: bytes, destination: bytes, hop_limit: int) -> None:
    """Check a message against the header of its packet (sections 6.1, 7.1, 8.1). Raises Malformed."""
    if hop_limit != HOP_LIMIT:
        raise Malformed("neighbour discovery from another link")
    if isinstance(value, RouterAdvertisement | Redirect):
        if not is_link_local(source):
            raise Malformed("a router that does not speak from a link-local address")
        if isinstance(value, Redirect):
            if is_multicast(value.destination):
                raise Malformed("a redirect of a multicast group")
            if value.target != value.destination and not is_link_local(value.target):
                raise Malformed("a redirect to what is neither a router nor the destination")
    elif isinstance(value, NeighbourAdvertisement):
        if value.solicited and is_multicast(destination):
            raise Malformed("an answer to all that says it was asked for")
    elif is_unspecified(source):
        if value.options.source_link:
            raise Malformed("a link-layer address of nobody")
        if isinstance(value, NeighbourSolicitation) and destination != solicited_node(value.target):
            raise Malformed("a probe for a duplicate that is not sent to its target's group")


def _parse_options(data: bytes, at: int) -> Options:
    """Read options. One that is known and cannot be understood is skipped as an unknown one is (section 4.6)."""
    source_link = target_link = redirected = b""
    mtu: int | None = None
    prefixes: list[Prefix] = []
    routes: list[Route] = []
    dns: list[tuple[bytes, int]] = []
    search: list[tuple[str, int]] = []
    end, count = len(data), 0
    while at < end:
        size = data[at + 1] * 8 if at + 1 < end else 0
        if not size or at + size > end:
            raise Malformed("an option of neighbour discovery is longer than its message")
        count += 1
        if count > OPTIONS_MAX:
            raise Malformed("too many options of neighbour discovery")
        kind, body = data[at], data[at + 2 : at + size]
        if kind == _SOURCE_LINK and size == 8:
            source_link = source_link or body
        elif kind == _TARGET_LINK and size == 8:
            target_link = target_link or body
        elif kind == _PREFIX and size == 32 and body[0] <= 128:
            length, flags, valid, preferred, _, prefix = _PREFIX_BODY.unpack(body)
            prefixes.append(Prefix(prefix, length, bool(flags & 0x80), bool(flags & 0x40), valid, preferred))
        elif kind == _MTU and size == 8:
            mtu = _LIFETIME.unpack(body)[0]
        elif kind == _REDIRECTED:
            redirected = redirected or body[6:]
        elif kind == _ROUTE:
            route = _parse_route(body)
            if route is not None:
                routes.append(route)
        elif kind == _RDNSS and size % 16 == 8 and size > 8:
            lifetime = _LIFETIME.unpack_from(body)[0]
            dns += [(body[i : i + 16], lifetime) for i in range(6, len(body), 16)]
        elif kind == _DNSSL and size > 8:
            lifetime = _LIFETIME.unpack_from(body)[0]
            search += [(name, lifetime) for name in _parse_names(body[6:])]
        at += size
    return Options(source_link, target_link, tuple(prefixes), mtu, redirected, tuple(routes), tuple(dns), tuple(search))


def _parse_route(body: bytes) -> Route | None:
    length, preference, prefix = body[0], _preference(body[1] >> 3 & 3), body[6:]
    if length > 128 or preference is None or len(prefix) > 16 or length > 8 * len(prefix):
        return None
    return Route(prefix.ljust(16, b"\0"), length, preference, int.from_bytes(body[2:6], "big"))


def _parse_names(data: bytes) -> list[str]:
    """Return domain names (RFC 1035 section 3.1, never compressed); none at all when one is wrong."""
    names: list[str] = []
    labels: list[str] = []
    at, end = 0, len(data)
    while at < end:
        size = data[at]
        label = data[at + 1 : at + 1 + size]
        at += 1 + size
        if size == 0:
            if labels:
                names.append(".".join(labels))
                labels = []
            elif any(data[at:]):
                return []  # padding, and something behind it
        elif size > 63 or len(label) != size or not _LABEL.issuperset(label):
            return []
        else:
            labels.append(label.decode("ascii"))
            if sum(map(len, labels)) + len(labels) - 1 > NAME_MAX:
                return []
    return [] if labels else names


def emit(value: Value) -> Message:
    """Return the message of ICMPv6. ValueError: a `search` name that is none, or too much of one option."""
    options = _emit_options(value.options)
    if isinstance(value, RouterSolicitation):
        return Message(ROUTER_SOLICITATION, 0, 0, options)
    if isinstance(value, RouterAdvertisement):
        flags = value.managed << 7 | value.other << 6 | (value.preference & 3) << 3
        word = value.hop_limit << 24 | flags << 16 | value.lifetime
        body = _ADVERTISEMENT.pack(value.reachable_time, value.retrans_timer)
        return Message(ROUTER_ADVERTISEMENT, 0, word, body + options)
    if isinstance(value, NeighbourSolicitation):
        return Message(NEIGHBOUR_SOLICITATION, 0, 0, value.target + options)
    if isinstance(value, NeighbourAdvertisement):
        word = value.router << 31 | value.solicited << 30 | value.override << 29
        return Message(NEIGHBOUR_ADVERTISEMENT, 0, word, value.target + options)
    return Message(REDIRECT, 0, 0, value.target + value.destination + options)


def _option(kind: int, body: bytes) -> bytes:
    padded = body + bytes(-(len(body) + 2) % 8)
    return bytes((kind, (len(padded) + 2) // 8)) + padded


def _emit_options(options: Options) -> bytes:
    source_link, target_link, prefixes, mtu, redirected, routes, dns, search = options
    out: list[bytes] = []
    if source_link:
        out.append(_option(_SOURCE_LINK, source_link))
    if target_link:
        out.append(_option(_TARGET_LINK, target_link))
    for prefix, length, on_link, autonomous, valid, preferred in prefixes:
        flags = on_link << 7 | autonomous << 6
        out.append(_option(_PREFIX, _PREFIX_BODY.pack(length, flags, valid, preferred, 0, prefix)))
    if mtu is not None:
        out.append(_option(_MTU, _LIFETIME.pack(mtu)))
    if redirected:
        out.append(_option(_REDIRECTED, bytes(6) + redirected[:REDIRECTED_MAX]))
    for prefix, length, preference, lifetime in routes:
        size = (length + 63) // 64 * 8
        out.append(
            _option(_ROUTE, bytes((length, (preference & 3) << 3)) + lifetime.to_bytes(4, "big") + prefix[:size])
        )
    for start, stop in _runs([lifetime for _, lifetime in dns]):
        servers = b"".join(server for server, _ in dns[start:stop])
        out.append(_option(_RDNSS, _LIFETIME.pack(dns[start][1]) + servers))
    for start, stop in _runs([lifetime for _, lifetime in search]):
        names = b"".join(_emit_name(name) for name, _ in search[start:stop])
        out.append(_option(_DNSSL, _LIFETIME.pack(search[start][1]) + names))
    return b"".join(out)


def _runs(lifetimes: list[int]) -> list[tuple[int, int]]:
    """Return (start, stop) of neighbours with one lifetime: they share an option."""
    found: list[tuple[int, int]] = []
    start = 0
    for index, lifetime in enumerate(lifetimes):
        if lifetime != lifetimes[start]:
            found.append((start, index))
            start = index
    if lifetimes:
        found.append((start, len(lifetimes)))
    return found


def _emit_name(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.split(".")]
    if len(name) > NAME_MAX or not all(0 < len(label) < 64 and _LABEL.issuperset(label) for label in labels):
        raise ValueError(f"{name!r} is no domain name")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def line(value: Value) -> str:
    """Return one line for a person."""
    if isinstance(value, RouterSolicitation):
        return f"icmp6 who routes? to {text(ALL_ROUTERS6)}"
    if isinstance(value, RouterAdvertisement):
        prefixes = "".join(f" {text(prefix.prefix)}/{prefix.length}" for prefix in value.options.prefixes)
        return f"icmp6 router for {value.lifetime} s{prefixes}"
    if isinstance(value, NeighbourSolicitation):
        return f"icmp6 who-has {text(value.target)}"
    if isinstance(value, NeighbourAdvertisement):
        link = f" is-at {value.options.target_link.hex(':')}" if value.options.target_link else " is here"
        return f"icmp6 {text(value.target)}{link}"
    return f"icmp6 redirect {text(value.destination)} to {text(value.target)}"
