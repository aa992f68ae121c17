"""Neighbour discovery to messages and back, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.wire import ndp
from sarab.wire.address import ALL_NODES6, ANY6, parse, solicited_node
from sarab.wire.errors import Malformed
from sarab.wire.icmpv6 import Message

LOCAL, OTHER, GLOBAL = parse("fe80::1"), parse("fe80::2"), parse("2001:db8::1")
u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
mac = st.binary(min_size=6, max_size=6)
ip6 = st.binary(min_size=16, max_size=16)
unicast = ip6.filter(lambda address: address[0] != 0xFF)
flag = st.booleans()
preference = st.sampled_from([ndp.LOW, ndp.MEDIUM, ndp.HIGH])


def route(length: int, raw: bytes, preference: int, lifetime: int) -> ndp.Route:
    return ndp.Route(raw[: (length + 63) // 64 * 8].ljust(16, b"\0"), length, preference, lifetime)


label = st.text("abcXYZ019-_", min_size=1, max_size=12)
name = st.lists(label, min_size=1, max_size=4).map(".".join)
lifetime = st.sampled_from([0, 600, ndp.INFINITE])
options = st.builds(
    ndp.Options,
    st.just(b"") | mac,
    st.just(b"") | mac,
    st.lists(st.builds(ndp.Prefix, ip6, st.integers(0, 128), flag, flag, u32, u32), max_size=2).map(tuple),
    st.none() | u32,
    st.integers(0, 5).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n)),
    st.lists(st.builds(route, st.integers(0, 128), ip6, preference, u32), max_size=2).map(tuple),
    st.lists(st.tuples(ip6, lifetime), max_size=4).map(tuple),
    st.lists(st.tuples(name, lifetime), max_size=3).map(tuple),
)
values = st.one_of(
    st.builds(ndp.RouterSolicitation, options),
    st.builds(ndp.RouterAdvertisement, st.integers(0, 255), flag, flag, preference, u16, u32, u32, options),
    st.builds(ndp.NeighbourSolicitation, unicast, options),
    st.builds(ndp.NeighbourAdvertisement, unicast, flag, flag, flag, options),
    st.builds(ndp.Redirect, ip6, ip6, options),
)


@given(values)
def test_parse_is_the_inverse_of_emit(value: ndp.Value) -> None:
    assert ndp.parse(ndp.emit(value)) == value
    assert ndp.line(value)


def test_a_router_advertisement_laid_out_by_hand() -> None:
    """Built from the figures of RFC 4861 section 4.2 and RFC 8106 section 5, field by field."""
    body = bytes.fromhex(
        "00007530000003e8"  # reachable time 30 s, retransmission timer 1 s
        "0101020000000001"  # source link-layer address
        "05010000000005dc"  # MTU 1500
        "030440c0000151800000384000000000" + GLOBAL[:8].hex() + "00" * 8  # 2001:db8::/64, on link, autonomous
        + "19030000ffffffff" + GLOBAL.hex()  # RDNSS
        + "1f03000000000258" + "076578616d706c65036f726700".ljust(32, "0")  # DNSSL example.org
        + "18023008" + "00000708" + GLOBAL[:8].hex()  # route to a /48, high preference
    )  # fmt: skip
    advertisement = ndp.parse(Message(134, 0, 0x40 << 24 | 0x88 << 16 | 1800, body))
    prefix = GLOBAL[:8] + bytes(8)
    assert advertisement == ndp.RouterAdvertisement(
        64, True, False, ndp.HIGH, 1800, 30_000, 1000,
        ndp.Options(
            source_link=bytes.fromhex("020000000001"), mtu=1500,
            prefixes=(ndp.Prefix(prefix, 64, True, True, 86400, 14400),),
            dns=((GLOBAL, ndp.INFINITE),), search=(("example.org", 600),),
            routes=(ndp.Route(prefix, 48, ndp.HIGH, 1800),),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(("length", "units"), [(0, 1), (1, 2), (64, 2), (65, 3), (128, 3)])
def test_a_route_takes_no_more_room_than_its_prefix(length: int, units: int) -> None:
    routes = (ndp.Route(bytes(16), length, ndp.LOW, 9),)
    emitted = ndp.emit(ndp.RouterSolicitation(ndp.Options(routes=routes))).body
    assert (emitted[1], len(emitted)) == (units, units * 8)


def test_the_flags_of_an_advertisement_stand_in_front() -> None:
    assert ndp.emit(ndp.NeighbourAdvertisement(LOCAL, router=True)).word == 0x80 << 24
    assert ndp.emit(ndp.NeighbourAdvertisement(LOCAL, solicited=True)).word == 0x40 << 24
    assert ndp.emit(ndp.NeighbourAdvertisement(LOCAL, override=True)).word == 0x20 << 24


@pytest.mark.parametrize(
    "option",
    [
        bytes((99, 1)) + bytes(6),  # unknown
        bytes((3, 1)) + bytes(6),  # a prefix of the wrong size
        bytes((3, 4, 129)) + bytes(29),  # a prefix of 129 bits
        bytes((1, 2)) + bytes(14),  # an address that is not Ethernet's
        bytes((5, 2)) + bytes(14),  # an MTU of the wrong size
        bytes((24, 1, 65, 0)) + bytes(4),  # a route whose prefix is missing
        bytes((24, 3, 64, 0x10)) + bytes(20),  # a route of the reserved preference
        bytes((25, 1)) + bytes(6),  # a server that is missing
        bytes((25, 4)) + bytes(30),  # one server and a half
        bytes((31, 2)) + bytes(6) + b"\x09example",  # a name that leaves its option
        bytes((31, 2)) + bytes(6) + b"\x03a.b\0\0\0\0",  # a dot inside a label
        bytes((31, 2)) + bytes(6) + b"\xc0\x00\0\0\0\0\0\0",  # compression
        bytes((31, 2)) + bytes(6) + b"\x01a\0\0\x01b\0\0",  # something behind the padding
    ],
)
def test_an_option_that_is_not_understood_is_skipped(option: bytes) -> None:
    message = Message(133, 0, 0, option + bytes((1, 1, 2, 0, 0, 0, 0, 9)))
    assert ndp.parse(message) == ndp.RouterSolicitation(ndp.Options(source_link=b"\2\0\0\0\0\x09"))


@pytest.mark.parametrize("tail", [b"\x01\0" + bytes(6), b"\x01\x02" + bytes(6), b"\x01", bytes((99, 1)) * 4 * 65])
def test_options_that_leave_the_message_or_are_too_many_are_malformed(tail: bytes) -> None:
    with pytest.raises(Malformed):
        ndp.parse(Message(133, 0, 0, tail))


def test_a_name_too_long_to_be_one_is_skipped_and_not_sent() -> None:
    raw = (b"\x3f" + b"a" * 63) * 4 + b"\0"
    option = bytes((31, 34)) + bytes(6) + raw + bytes(7)
    assert ndp.parse(Message(133, 0, 0, option)) == ndp.RouterSolicitation()
    for wrong in (".".join(["a" * 63] * 4), "a..b", "", "a b", "é"):
        with pytest.raises(ValueError):
            ndp.emit(ndp.RouterSolicitation(ndp.Options(search=((wrong, 1),))))


@pytest.mark.parametrize(
    "message",
    [
        Message(133, 1),
        Message(134, 0, 0, bytes(7)),
        Message(135, 0, 0, bytes(15)),
        Message(136, 0, 0, bytes(15)),
        Message(137, 0, 0, bytes(31)),
        Message(135, 0, 0, ALL_NODES6),
        Message(136, 0, 0, ALL_NODES6),
        Message(128, 0, 0, bytes(40)),
    ],
)
def test_what_is_too_short_or_none_of_it_is_malformed(message: Message) -> None:
    with pytest.raises(Malformed):
        ndp.parse(message)


LINK = ndp.Options(source_link=b"\2\0\0\0\0\1")
GOOD: list[tuple[ndp.Value, bytes, bytes]] = [
    (ndp.RouterSolicitation(), ANY6, ALL_NODES6),
    (ndp.RouterSolicitation(LINK), GLOBAL, ALL_NODES6),
    (ndp.RouterAdvertisement(), LOCAL, ALL_NODES6),
    (ndp.NeighbourSolicitation(OTHER), ANY6, solicited_node(OTHER)),
    (ndp.NeighbourSolicitation(OTHER, LINK), LOCAL, OTHER),
    (ndp.NeighbourAdvertisement(OTHER, solicited=True), OTHER, LOCAL),
    (ndp.NeighbourAdvertisement(OTHER), OTHER, ALL_NODES6),
    (ndp.Redirect(LOCAL, GLOBAL), LOCAL, OTHER),
    (ndp.Redirect(GLOBAL, GLOBAL), LOCAL, OTHER),
]
BAD: list[tuple[ndp.Value, bytes, bytes]] = [
    (ndp.RouterSolicitation(LINK), ANY6, ALL_NODES6),
    (ndp.RouterAdvertisement(), GLOBAL, ALL_NODES6),
    (ndp.NeighbourSolicitation(OTHER, LINK), ANY6, solicited_node(OTHER)),
    (ndp.NeighbourSolicitation(OTHER), ANY6, OTHER),
    (ndp.NeighbourAdvertisement(OTHER, solicited=True), OTHER, ALL_NODES6),
    (ndp.Redirect(LOCAL, GLOBAL), GLOBAL, OTHER),
    (ndp.Redirect(LOCAL, ALL_NODES6), LOCAL, OTHER),
    (ndp.Redirect(GLOBAL, parse("2001:db8::9")), LOCAL, OTHER),
]


@pytest.mark.parametrize(("value", "source", "destination"), GOOD)
def test_a_valid_message_is_valid_only_from_this_link(value: ndp.Value, source: bytes, destination: bytes) -> None:
    ndp.validate(value, source, destination, 255)
    with pytest.raises(Malformed):
        ndp.validate(value, source, destination, 254)


@pytest.mark.parametrize(("value", "source", "destination"), BAD)
def test_what_contradicts_its_packet_is_malformed(value: ndp.Value, source: bytes, destination: bytes) -> None:
    with pytest.raises(Malformed):
        ndp.validate(value, source, destination, 255)
