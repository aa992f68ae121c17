"""DHCP for IPv4: messages and their options (RFC 2131 section 2, RFC 2132), as a client on Ethernet needs them.

Options come as bytes a code, joined when they are long (RFC 3396) and taken from the fields `file` and `sname` too when
option 52 says so. What `sname` and `file` otherwise hold, a name and a path to boot from, is not kept.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from sarab.wire import address, dns
from sarab.wire.errors import Malformed

SERVER_PORT, CLIENT_PORT = 67, 68
HEADER_SIZE = 240
"""Up to and with the cookie behind which the options stand."""
SIZE_MIN = 300
"""Some servers and relays drop less, the size of a BOOTP message (RFC 1542 section 2.1)."""
SIZE_MAX = 1472
"""What option 57 says that we can take: one Ethernet frame, without headers (RFC 2132 section 9.10)."""
OPTION_SIZE_MAX = 255
ROUTES_MAX = 64
NAMES_MAX = 32
"""Of one option; more says nothing to a host."""

REQUEST_OP, REPLY_OP = 1, 2
BROADCAST = 0x8000
"""Of `flags`: the client cannot take unicast yet."""
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = 1, 2, 3, 4, 5, 6, 7, 8
KINDS = ("?", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform")

SUBNET_MASK, ROUTERS, DNS_SERVERS, HOST_NAME, DOMAIN_NAME = 1, 3, 6, 12, 15
INTERFACE_MTU, NTP_SERVERS, REQUESTED_ADDRESS, LEASE_TIME, OVERLOAD, MESSAGE_TYPE = 26, 42, 50, 51, 52, 53
SERVER_ID, PARAMETERS, MESSAGE_TEXT, MESSAGE_SIZE, RENEWAL_TIME, REBINDING_TIME = 54, 55, 56, 57, 58, 59
CLIENT_ID, DOMAIN_SEARCH, CLASSLESS_ROUTES = 61, 119, 121
PAD, END = 0, 255

_COOKIE = b"\x63\x82\x53\x63"
_HEADER = Struct("!BBBBIHH4s4s4s4s6s10x64s128s4s")
_ETHERNET, _MAC_SIZE = 1, 6
_FILE_HOLDS, _SNAME_HOLDS = 1, 2

Options = tuple[tuple[int, bytes], ...]


class Route(NamedTuple):
    """A way to a network. A `gateway` of 0.0.0.0 says that the network is on the link (RFC 3442)."""

    destination: bytes
    prefix: int
    gateway: bytes


class Message(NamedTuple):
    """A message. `options` has each code once, in the order in which they first stood."""

    op: int
    xid: int
    chaddr: bytes
    """The client's Ethernet address."""
    options: Options = ()
    secs: int = 0
    flags: int = 0
    ciaddr: bytes = address.ANY4
    """The client's address, when it has one and answers for it."""
    yiaddr: bytes = address.ANY4
    """The address that the client is given."""
    siaddr: bytes = address.ANY4
    giaddr: bytes = address.ANY4

    def option(self, code: int) -> bytes | None:
        """Return the bytes of an option, or None when it is not there."""
        for known, data in self.options:
            if known == code:
                return data
        return None

    @property
    def kind(self) -> int:
        """DISCOVER, OFFER, ...; 0 for a message of BOOTP, which has none."""
        data = self.option(MESSAGE_TYPE)
        return data[0] if data is not None and len(data) == 1 else 0


def parse(view: bytes | memoryview) -> Message:
    """Return the message. Raises Malformed."""
    if len(view) < HEADER_SIZE:
        raise Malformed("a DHCP message has 240 bytes at least")
    op, htype, hlen, _, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file, cookie = (
        _HEADER.unpack_from(view)
    )
    if op not in (REQUEST_OP, REPLY_OP):
        raise Malformed("a DHCP message is neither request nor reply")
    if htype != _ETHERNET or hlen != _MAC_SIZE:
        raise Malformed("a DHCP message for another link than Ethernet")
    if cookie != _COOKIE:
        raise Malformed("a BOOTP message without DHCP's cookie")
    found: dict[int, list[bytes]] = {}
    _gather(bytes(view[HEADER_SIZE:]), found)
    overload = b"".join(found.get(OVERLOAD, ()))
    if overload:
        if len(overload) != 1 or not 1 <= overload[0] <= 3:
            raise Malformed("option overload is 1, 2 or 3")
        if overload[0] & _FILE_HOLDS:
            _gather(file, found)
        if overload[0] & _SNAME_HOLDS:
            _gather(sname, found)
        del found[OVERLOAD]
    options = tuple((code, b"".join(parts)) for code, parts in found.items())
    return Message(op, xid, chaddr, options, secs, flags, ciaddr, yiaddr, siaddr, giaddr)


def _gather(data: bytes, found: dict[int, list[bytes]]) -> None:
    """Add a field's options to what was found. A field may end without END: many servers' do."""
    at, size = 0, len(data)
    while at < size:
        code = data[at]
        at += 1
        if code == PAD:
            continue
        if code == END:
            return
        if at >= size or at + 1 + data[at] > size:
            raise Malformed("a DHCP option is cut off")
        length = data[at]
        found.setdefault(code, []).append(data[at + 1 : at + 1 + length])
        at += 1 + length


def emit(message: Message) -> bytes:
    """Return the message's bytes, padded to SIZE_MIN; an option of more than 255 bytes stands in pieces (RFC 3396)."""
    op, xid, chaddr, options, secs, flags, ciaddr, yiaddr, siaddr, giaddr = message
    fields = (xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, b"", b"", _COOKIE)
    parts = [_HEADER.pack(op, _ETHERNET, _MAC_SIZE, 0, *fields)]
    for code, data in options:
        for at in range(0, len(data) or 1, OPTION_SIZE_MAX):
            piece = data[at : at + OPTION_SIZE_MAX]
            parts.append(bytes((code, len(piece))) + piece)
    parts.append(b"\xff")
    return b"".join(parts).ljust(SIZE_MIN, b"\0")


def number(data: bytes, size: int) -> int:
    """Return the number that an option of `size` bytes holds. Raises Malformed."""
    if len(data) != size:
        raise Malformed(f"a DHCP option of {size} bytes has {len(data)}")
    return int.from_bytes(data, "big")


def addresses(data: bytes) -> tuple[bytes, ...]:
    """Return the addresses that an option lists, one at least. Raises Malformed."""
    if not data or len(data) % 4:
        raise Malformed("a DHCP option is no list of addresses")
    return tuple(data[at : at + 4] for at in range(0, len(data), 4))


def prefix_of(mask: bytes) -> int:
    """Return the prefix length of a subnet mask, whose ones must stand together. Raises Malformed."""
    value = number(mask, 4)
    length = value.bit_count()
    if value != (1 << 32) - (1 << 32 - length):
        raise Malformed("a subnet mask with holes")
    return length


def text(data: bytes) -> str:
    """Return what an option says in characters; a closing NUL is none of them. Raises Malformed."""
    bare = data.rstrip(b"\0")
    if not bare or any(not 33 <= c <= 126 for c in bare):
        raise Malformed("a DHCP option is no word of ASCII")
    return bare.decode("ascii")


def routes(data: bytes) -> tuple[Route, ...]:
    """Return the routes of option 121 (RFC 3442). Raises Malformed."""
    found: list[Route] = []
    at = 0
    while at < len(data):
        length = data[at]
        end = at + 1 + (length + 7) // 8
        if length > 32 or end + 4 > len(data):
            raise Malformed("a classless route is cut off")
        if len(found) == ROUTES_MAX:
            raise Malformed("too many classless routes")
        destination = address.network_of(data[at + 1 : end].ljust(4, b"\0"), length)
        found.append(Route(destination, length, data[end : end + 4]))
        at = end + 4
    if not found:
        raise Malformed("no classless route")
    return tuple(found)


def emit_routes(ways: Iterable[Route]) -> bytes:
    """Return the bytes of option 121."""
    return b"".join(bytes((way.prefix,)) + way.destination[: (way.prefix + 7) // 8] + way.gateway for way in ways)


def search(data: bytes) -> tuple[dns.Name, ...]:
    """Return the domains of option 119, which may be compressed (RFC 3397). Raises Malformed."""
    found: list[dns.Name] = []
    at = 0
    while at < len(data):
        if len(found) == NAMES_MAX:
            raise Malformed("too many domains to search")
        name, at = dns.parse_name(data, at)
        found.append(name)
    if not found:
        raise Malformed("no domain to search")
    return tuple(found)


def line(message: Message) -> str:
    """Return one line for a person."""
    kind = KINDS[message.kind] if message.kind < len(KINDS) else str(message.kind)
    words = [f"dhcp {kind} xid {message.xid:#010x} {address.mac_text(message.chaddr)}"]
    for word, value in (
        ("from", message.ciaddr),
        ("gives", message.yiaddr),
        ("asks", message.option(REQUESTED_ADDRESS)),
        ("server", message.option(SERVER_ID)),
    ):
        if value is not None and len(value) == 4 and any(value):
            words.append(f"{word} {address.text(value)}")
    lease = message.option(LEASE_TIME)
    if lease is not None and len(lease) == 4:
        words.append(f"lease {int.from_bytes(lease, 'big')} s")
    return " ".join(words)
