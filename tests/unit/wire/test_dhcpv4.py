"""DHCP messages to bytes and back."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import dhcpv4
from sarab.wire.dhcpv4 import Message, Route
from sarab.wire.errors import Malformed

MAC = b"\x02\0\0\0\0\x01"
four = st.binary(min_size=4, max_size=4)
codes = st.integers(1, 254).filter(lambda code: code != dhcpv4.OVERLOAD)
options = st.dictionaries(codes, st.binary(max_size=600), max_size=5).map(lambda found: tuple(found.items()))
u16 = st.integers(0, 65535)
messages = st.builds(
    Message,
    st.sampled_from([1, 2]),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=6, max_size=6),
    options,
    u16,
    u16,
    four,
    four,
    four,
    four,
)
ways = st.builds(
    lambda word, prefix, gateway: Route((word >> 32 - prefix << 32 - prefix).to_bytes(4, "big"), prefix, gateway),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
    four,
)


def overloaded(kind: int, rest: bytes, file: bytes, sname: bytes) -> bytes:
    """Return a reply whose option 52 says `kind`."""
    bare = dhcpv4.emit(Message(2, 7, MAC))[:236]
    fields = sname.ljust(64, b"\0") + file.ljust(128, b"\0")
    return bare[:44] + fields + b"\x63\x82\x53\x63\x34\1" + bytes((kind,)) + rest


@given(messages)
def test_parse_is_the_inverse_of_emit(message: Message) -> None:
    assert dhcpv4.parse(dhcpv4.emit(message)) == message


@given(messages, st.integers(0, 2000), st.integers(0, 255), st.integers(0, 2000))
def test_a_damaged_message_gives_a_message_or_malformed(message: Message, at: int, value: int, cut: int) -> None:
    data = bytearray(dhcpv4.emit(message))
    data[at % len(data)] = value
    with contextlib.suppress(Malformed):
        dhcpv4.line(dhcpv4.parse(bytes(data[: len(data) - cut % 64])))


@given(st.binary(max_size=80))
def test_any_options_give_a_value_or_malformed(data: bytes) -> None:
    for read in (dhcpv4.addresses, dhcpv4.prefix_of, dhcpv4.text, dhcpv4.routes, dhcpv4.search):
        with contextlib.suppress(Malformed):
            read(data)


@given(st.lists(ways, min_size=1, max_size=5).map(tuple))
def test_classless_routes_round_trip(found: tuple[Route, ...]) -> None:
    assert dhcpv4.routes(dhcpv4.emit_routes(found)) == found


def test_the_examples_of_rfc_3442() -> None:
    gateway = b"\x0a\1\1\1"
    data = b"\0" + gateway + b"\x08\x0a" + gateway + b"\x18\x0a\0\0" + gateway + b"\x19\x0a\x81\0\x80" + gateway
    assert dhcpv4.routes(data) == (
        Route(bytes(4), 0, gateway),
        Route(b"\x0a\0\0\0", 8, gateway),
        Route(b"\x0a\0\0\0", 24, gateway),
        Route(b"\x0a\x81\0\x80", 25, gateway),
    )


def test_a_prefix_of_more_than_32_is_malformed() -> None:
    with pytest.raises(Malformed):
        dhcpv4.routes(b"\x21" + bytes(9))


def test_the_example_of_rfc_3397() -> None:
    data = b"\3eng\5apple\3com\0\x09marketing\xc0\4"
    assert dhcpv4.search(data) == ((b"eng", b"apple", b"com"), (b"marketing", b"apple", b"com"))


def test_a_message_is_long_enough_for_relays_of_bootp() -> None:
    data = dhcpv4.emit(Message(1, 1, MAC, ((dhcpv4.MESSAGE_TYPE, b"\1"),)))
    assert len(data) == 300 and data[236:244] == b"\x63\x82\x53\x63\x35\1\1\xff"


def test_options_go_on_in_file_and_sname_in_this_order() -> None:
    data = overloaded(3, b"\x35\1\2\x0c\1a\xff", b"\x0c\1b\xff", b"\x0c\1c\x0f\1d\xff")
    message = dhcpv4.parse(data)
    assert message.options == ((dhcpv4.MESSAGE_TYPE, b"\2"), (dhcpv4.HOST_NAME, b"abc"), (dhcpv4.DOMAIN_NAME, b"d"))


@pytest.mark.parametrize(("kind", "expected"), [(1, b"b"), (2, b"c")])
def test_only_the_fields_that_overload_names_are_read(kind: int, expected: bytes) -> None:
    assert dhcpv4.parse(overloaded(kind, b"\xff", b"\x0c\1b\xff", b"\x0c\1c\xff")).option(dhcpv4.HOST_NAME) == expected


def test_the_fields_are_not_options_when_nothing_says_so() -> None:
    bare = dhcpv4.emit(Message(2, 7, MAC))
    assert dhcpv4.parse(bare[:44] + b"\x0c\1b\xff".ljust(64) + bare[108:]).options == ()


def test_an_overload_in_an_overloaded_field_does_not_lead_on() -> None:
    with pytest.raises(Malformed):
        dhcpv4.parse(overloaded(4, b"\xff", b"", b""))
    assert dhcpv4.parse(overloaded(1, b"\xff", b"\x34\1\3\xff", b"\x0c\1c\xff")).option(dhcpv4.HOST_NAME) is None


@pytest.mark.parametrize("mask", ["ff00ff00", "00ffffff", "7fffffff"])
def test_a_mask_with_holes_is_malformed(mask: str) -> None:
    with pytest.raises(Malformed):
        dhcpv4.prefix_of(bytes.fromhex(mask))


@pytest.mark.parametrize(("mask", "prefix"), [("00000000", 0), ("ffffff00", 24), ("ffffffff", 32)])
def test_a_mask_is_a_prefix(mask: str, prefix: int) -> None:
    assert dhcpv4.prefix_of(bytes.fromhex(mask)) == prefix


def test_every_cut_of_a_full_message_is_malformed_or_shorter() -> None:
    whole = Message(2, 7, MAC, ((53, b"\5"), (54, b"\x0a\0\0\1"), (119, bytes(range(250)))))
    data = dhcpv4.emit(whole)
    body = data[: 240 + 3 + 6 + 252]
    for size in range(len(body)):
        with contextlib.suppress(Malformed):
            assert len(dhcpv4.parse(body[:size]).options) < 3


def test_search_domains_in_a_circle_are_malformed() -> None:
    with pytest.raises(Malformed):
        dhcpv4.search(b"\1a\xc0\0")


def test_line_names_what_matters() -> None:
    message = Message(2, 0xABCD, MAC, ((53, b"\2"), (54, b"\x0a\0\0\1"), (51, b"\0\0\x0e\x10")), yiaddr=b"\x0a\0\0\2")
    assert dhcpv4.line(message) == (
        "dhcp offer xid 0x0000abcd 02:00:00:00:00:01 gives 10.0.0.2 server 10.0.0.1 lease 3600 s"
    )
