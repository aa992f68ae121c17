"""The order of destinations: the examples of RFC 6724 section 10.2, and its rules one by one."""

from __future__ import annotations

import pytest

from sarab.proto.dns.order import common_prefix, policy, scope, sort_destinations
from sarab.wire.address import parse, text


def order(pairs: dict[str, str | None], deprecated: tuple[str, ...] = ()) -> list[str]:
    """Return the destinations in order; each of `pairs` names the source from which it would be reached."""
    sources = {parse(one): parse(source) if source else None for one, source in pairs.items()}
    return [text(one) for one in sort_destinations(list(sources), sources.__getitem__, map(parse, deprecated))]


@pytest.mark.parametrize(
    "expected",
    [
        # Matching scope; both ways round of the RFC's own first two examples
        {"2001:db8:1::1": "2001:db8:1::2", "198.51.100.121": "169.254.13.78"},
        {"198.51.100.121": "198.51.100.117", "2001:db8:1::1": "fe80::1"},
        # Precedence
        {"2001:db8:1::1": "2001:db8:1::2", "10.1.2.3": "10.1.2.4"},
        # Smaller scope
        {"fe80::1": "fe80::2", "2001:db8:1::1": "2001:db8:1::2"},
        # Matching label; precedence of 6to4
        {"2002:c633:6401::1": "2002:c633:6401::2", "2001:db8:1::1": "2002:c633:6401::2"},
        {"2001:db8:1::1": "2001:db8:1::2", "2002:c633:6401::1": "2002:c633:6401::2"},
        # An address without a way to it is the last, whatever else is true
        {"10.1.2.3": "10.1.2.4", "2001:db8:1::1": None},
        # IPv4 before unique local addresses
        {"192.0.2.1": "192.0.2.2", "fd00::1": "fd00::2"},
        # Longest common prefix
        {"2001:db8:1::1": "2001:db8:1::2", "2001:db8:3ffe::1": "2001:db8:1::2"},
    ],
)
def test_the_better_address_is_first_from_either_side(expected: dict[str, str | None]) -> None:
    assert order(expected) == list(expected)
    assert order(dict(reversed(expected.items()))) == list(expected)


def test_ipv4_addresses_stay_in_the_order_of_the_answer() -> None:
    pairs: dict[str, str | None] = {"192.0.2.200": "192.0.2.1", "192.0.2.2": "192.0.2.1", "10.0.0.1": "192.0.2.1"}
    assert order(pairs) == list(pairs)
    assert order(dict(reversed(pairs.items()))) == list(reversed(pairs))


def test_a_destination_from_a_deprecated_address_is_later() -> None:
    pairs: dict[str, str | None] = {"2001:db8:1::1": "2001:db8:1::2", "2001:db8:2::1": "2001:db8:2::2"}
    assert order(pairs, deprecated=("2001:db8:1::2",)) == list(reversed(pairs))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::1", (50, 0)), ("2001:db8::1", (40, 1)), ("192.0.2.1", (35, 4)), ("::ffff:192.0.2.1", (35, 4)),
        ("2002::1", (30, 2)), ("2001::1", (5, 5)), ("fd00::1", (3, 13)), ("fec0::1", (1, 11)), ("::2", (1, 3)),
        ("3ffe::1", (1, 12)),
    ],
)  # fmt: skip
def test_the_policy_table(address: str, expected: tuple[int, int]) -> None:
    assert policy(parse(address)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", 2), ("169.254.1.1", 2), ("10.0.0.1", 14), ("fe80::1", 2), ("fec0::1", 5), ("fd00::1", 14),
        ("::1", 2), ("ff02::1", 2), ("ff0e::1", 14), ("::ffff:169.254.0.1", 2),
    ],
)  # fmt: skip
def test_scopes(address: str, expected: int) -> None:
    assert scope(parse(address)) == expected


def test_common_prefixes_end_at_the_network() -> None:
    assert common_prefix(parse("2001:db8::1"), parse("2001:db8::2")) == 64
    assert common_prefix(parse("2001:db8:8000::"), parse("2001:db8::")) == 32
