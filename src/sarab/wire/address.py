"""Addresses as bytes, and their text (RFC 4291, RFC 5952 for how IPv6 is written, RFC 4632 for prefixes).

An address is 4 bytes (IPv4), 16 (IPv6) or 6 (Ethernet), in network order.
"""

from __future__ import annotations

# Said, not inferred: mypyc looks at who imports these before it has inferred them.
ANY4: bytes = bytes(4)
ANY6: bytes = bytes(16)
LOOPBACK4: bytes = b"\x7f\0\0\1"
LOOPBACK6: bytes = bytes(15) + b"\x01"
BROADCAST4: bytes = b"\xff" * 4
ALL_NODES6: bytes = b"\xff\x02" + bytes(13) + b"\x01"
ALL_ROUTERS6: bytes = b"\xff\x02" + bytes(13) + b"\x02"
MAPPED: bytes = bytes(10) + b"\xff\xff"
"""What an IPv4 address stands behind in an IPv6 socket (RFC 4291 section 2.5.5.2)."""
TEXT_MAX = 45
"""Characters of the longest address."""

_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


def parse_ipv4(text: str) -> bytes:
    """Return the address that `text` writes, four decimal numbers without leading zeros. Raises ValueError."""
    parts = text.split(".")
    if len(parts) != 4:
        raise ValueError(f"{text!r} is no IPv4 address")
    numbers = []
    for part in parts:
        if not (part.isascii() and part.isdigit() and len(part) <= 3) or (len(part) > 1 and part[0] == "0"):
            raise ValueError(f"{text!r} is no IPv4 address")
        numbers.append(int(part))
    if max(numbers) > 255:
        raise ValueError(f"{text!r} is no IPv4 address")
    return bytes(numbers)


def parse_ipv6(text: str) -> bytes:
    """Return the address that `text` writes, without a zone. Raises ValueError."""
    wrong = ValueError(f"{text!r} is no IPv6 address")
    if len(text) > TEXT_MAX or ":" not in text:
        raise wrong
    tail = b""
    body = text
    if "." in text:
        colon = text.rindex(":")
        tail = parse_ipv4(text[colon + 1 :])
        body = text[: colon + 1]
        if not body.endswith("::"):
            body = body[:-1]
    head, gap, rest = body.partition("::")
    if "::" in rest or (not gap and (body.startswith(":") or body.endswith(":"))):
        raise wrong
    try:
        front, back = _groups(head), _groups(rest) + tail
    except ValueError:
        raise wrong from None
    missing = 16 - len(front) - len(back)
    if missing < (2 if gap else 0) or (not gap and missing):
        raise wrong
    return front + bytes(missing) + back


def _groups(text: str) -> bytes:
    if not text:
        return b""
    found = b""
    for group in text.split(":"):
        if not 1 <= len(group) <= 4 or not _HEXADECIMAL.issuperset(group):  # int() would take 0x1
            raise ValueError(group)
        found += int(group, 16).to_bytes(2, "big")
    return found


def parse(text: str) -> bytes:
    """Return the 4 or 16 bytes of the address that `text` writes. Raises ValueError."""
    return parse_ipv6(text) if ":" in text else parse_ipv4(text)


def parse_scoped(text: str) -> tuple[bytes, str]:
    """Return address and zone of `fe80::1%eth0`; the zone is "" where none is written (RFC 4007 section 11).

    Raises ValueError, also for a zone of an IPv4 address or of one that is the same everywhere.
    """
    address_text, percent, zone = text.partition("%")
    address = parse(address_text)
    if percent and not (zone and needs_scope(address)):
        raise ValueError(f"{text!r} is no address with a zone, such as fe80::1%eth0")
    return address, zone


def text_scoped(address: bytes, zone: str) -> str:
    """Return an address as a person writes it, with its zone where it needs one."""
    return f"{text(address)}%{zone}" if zone and needs_scope(address) else text(address)


def needs_scope(address: bytes) -> bool:
    """Say whether an IPv6 address means nothing without the link (RFC 4007): fe80::/10, and groups ff01::, ff02::."""
    if len(address) != 16:
        return False
    return is_link_local(address) or (address[0] == 0xFF and address[1] & 15 in (1, 2))


def parse_network(text: str) -> tuple[bytes, int]:
    """Return address and prefix length of `10.0.0.2/24` or `fd00::2/64`. Raises ValueError."""
    address_text, slash, length_text = text.partition("/")
    address = parse(address_text)
    if not slash or not (length_text.isascii() and length_text.isdigit()) or int(length_text) > 8 * len(address):
        raise ValueError(f"{text!r} is no address with a prefix length, such as 10.0.0.2/24")
    return address, int(length_text)


def text(address: bytes) -> str:
    """Return an address as a person writes it (IPv6: RFC 5952)."""
    if len(address) == 4:
        return f"{address[0]}.{address[1]}.{address[2]}.{address[3]}"
    if len(address) != 16:
        raise ValueError("an address has 4 or 16 bytes")
    if address[:12] == MAPPED:
        return f"::ffff:{text(address[12:])}"
    groups = [int.from_bytes(address[i : i + 2], "big") for i in range(0, 16, 2)]
    start, length = _longest_zeros(groups)
    words = [f"{group:x}" for group in groups]
    if length < 2:
        return ":".join(words)
    return ":".join(words[:start]) + "::" + ":".join(words[start + length :])


def _longest_zeros(groups: list[int]) -> tuple[int, int]:
    best, best_length, start = 0, 0, 0
    for index, group in enumerate([*groups, 1]):
        if group:
            if index - start > best_length:
                best, best_length = start, index - start
            start = index + 1
    return best, best_length


def mac_text(mac: bytes) -> str:
    """Return an Ethernet address as 02:00:00:00:00:01."""
    return mac.hex(":")


def parse_mac(text: str) -> bytes:
    """Return the six bytes of 02:00:00:00:00:01. Raises ValueError."""
    parts = text.split(":")
    if len(parts) != 6 or not all(len(part) == 2 and _HEXADECIMAL.issuperset(part) for part in parts):
        raise ValueError(f"{text!r} is no Ethernet address, such as 02:00:00:00:00:01")
    return bytes.fromhex("".join(parts))


def in_network(address: bytes, network: bytes, prefix_length: int) -> bool:
    """Say whether `address` is of the same family as `network` and inside it."""
    if len(address) != len(network):
        return False
    shift = 8 * len(network) - prefix_length
    return int.from_bytes(address, "big") >> shift == int.from_bytes(network, "big") >> shift


def network_of(address: bytes, prefix_length: int) -> bytes:
    """Return `address` with all bits behind the prefix zero."""
    shift = 8 * len(address) - prefix_length
    return (int.from_bytes(address, "big") >> shift << shift).to_bytes(len(address), "big")


def broadcast_of(address: bytes, prefix_length: int) -> bytes:
    """Return the directed broadcast address of an IPv4 network; of a /31 or /32 there is none: the all-ones one."""
    if prefix_length >= 31:
        return BROADCAST4
    host = (1 << (32 - prefix_length)) - 1
    return (int.from_bytes(address, "big") | host).to_bytes(4, "big")


def is_multicast(address: bytes) -> bool:
    """Say whether it is 224.0.0.0/4 or ff00::/8."""
    return address[0] >> 4 == 0xE if len(address) == 4 else address[0] == 0xFF


def is_loopback(address: bytes) -> bool:
    """Say whether it is 127.0.0.0/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address == LOOPBACK6


def is_link_local(address: bytes) -> bool:
    """Say whether it is 169.254.0.0/16 or fe80::/10."""
    if len(address) == 4:
        return address[:2] == b"\xa9\xfe"
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_unspecified(address: bytes) -> bool:
    """Say whether it is 0.0.0.0 or ::."""
    return not any(address)


def solicited_node(address: bytes) -> bytes:
    """Return the multicast address at which who has `address` is asked for (RFC 4291 section 2.7.1)."""
    return b"\xff\x02" + bytes(9) + b"\x01\xff" + address[13:]


def multicast_mac(address: bytes) -> bytes:
    """Return the Ethernet address of a multicast group (RFC 1112 section 6.4, RFC 2464 section 7)."""
    if len(address) == 4:
        return b"\x01\x00\x5e" + bytes((address[1] & 0x7F,)) + address[2:]
    return b"\x33\x33" + address[12:]
