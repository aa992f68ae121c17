"""Hosts on the link that lie: ARP and neighbour discovery spoofed and flooded, routers that nobody has, duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from sarab.net.neighbours import ENTRIES_MAX, PENDING_BYTES_MAX, STRANGERS_MAX, Neighbours
from sarab.net.slaac import ADDRESSES_MAX, DNS_MAX, PREFIXES_MAX, ROUTERS_MAX
from sarab.wire import arp, ethernet, icmpv4, icmpv6, mld, ndp
from sarab.wire.address import ALL_NODES6, parse
from tests.attack.field import (
    CLIENT4,
    CLIENT6,
    EVIL,
    ROUTER4,
    ROUTER6,
    VICTIM4,
    VICTIM6,
    Field,
    datagram,
    frame,
    icmp,
    near,
    packet6,
)

WORK_MAX = 450
"""Lines of Python for one frame of a flood of neighbours."""
LINK6 = parse("fe80::666")


def arp_frame(op: int, sha: bytes, spa: bytes, tpa: bytes = VICTIM4, source: bytes = EVIL) -> bytes:
    return frame(ethernet.ARP, arp.emit(arp.Packet(op, sha, spa, bytes(6), tpa)), source)


def said(value: ndp.Value, source: bytes, destination: bytes = VICTIM6, hop_limit: int = 255) -> bytes:
    message = icmpv6.emit(ndp.emit(value), source, destination)
    return packet6(source, icmpv6.PROTOCOL, message, destination, hop_limit=hop_limit)


def host4(number: int) -> bytes:
    """Any address of 10/8: an attacker need not keep to the network's prefix."""
    return (0x0A_01_00_00 + number).to_bytes(4, "big")


def mac(number: int) -> bytes:
    return b"\x02\x77" + number.to_bytes(4, "big")


def requests() -> Iterator[bytes]:
    for number in count():
        yield arp_frame(arp.REQUEST, mac(number), host4(number))


def replies() -> Iterator[bytes]:
    for number in count():
        yield arp_frame(arp.REPLY, mac(number), host4(number))


def solicitations() -> Iterator[bytes]:
    for number in count():
        options = ndp.Options(source_link=mac(number))
        yield said(ndp.NeighbourSolicitation(VICTIM6, options), near(6, number))


def advertisements() -> Iterator[bytes]:
    for number in count():
        options = ndp.Options(target_link=mac(number))
        yield said(ndp.NeighbourAdvertisement(near(6, number), False, True, True, options), near(6, number))


def pings4() -> Iterator[bytes]:
    """What has us ask for a neighbour who is not there."""
    for number in count():
        yield icmp(b"\x0a\0\0" + bytes((100 + number % 100,)), icmpv4.echo(1, number & 0xFFFF, bytes(1400)))


def pings6() -> Iterator[bytes]:
    for number in count():
        yield icmp(near(6, number), icmpv6.echo(1, number & 0xFFFF, bytes(1400)))


def bare_solicitations() -> Iterator[bytes]:
    """Questions without the asker's link address: we must ask for it to answer."""
    for number in count():
        yield said(ndp.NeighbourSolicitation(VICTIM6), near(6, number))


FLOODS = {
    flood.__name__: flood
    for flood in (requests, replies, solicitations, advertisements, pings4, pings6, bare_solicitations)
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_neighbours_costs_nobody_his_entry(name: str) -> None:
    field = Field()
    flood = FLOODS[name]()
    for _, data in zip(range(3000), flood, strict=False):
        field.strike(data)
        field.victim.stack.poll(field.link.now)
        if field.frames % 500 == 0:
            field.look()
            field.victim.interface.neighbours.lookup(field.link.now, CLIENT4)  # as one who is in use
            field.victim.interface.neighbours6.lookup(field.link.now, CLIENT6)
    for neighbours, client in (
        (field.victim.interface.neighbours, CLIENT4),
        (field.victim.interface.neighbours6, CLIENT6),
    ):
        assert len(neighbours._entries) <= ENTRIES_MAX
        assert len(neighbours._strangers) <= STRANGERS_MAX
        assert neighbours._pending_bytes <= PENDING_BYTES_MAX
        assert neighbours.known(client) == field.client.mac
    field.look()
    assert field.answers + field.questions <= 2 * field.frames, "an answer, and a question for the asker's address"
    grown = field.siege(flood)
    assert grown < 4_000_000
    assert field.work(next(flood) for _ in range(50)) < WORK_MAX
    field.pass_time(10)
    field.still_serves()
    assert not field.victim.interface.neighbours._asked
    assert not field.victim.interface.neighbours6._asked


def test_frames_that_wait_are_counted_to_the_byte() -> None:
    field = Field()
    neighbours = field.victim.interface.neighbours
    for _, data in zip(range(2000), pings4(), strict=False):
        field.strike(data)
        waiting = [one for entry in neighbours._entries.values() for one in entry.pending]
        assert neighbours._pending_bytes == sum(len(one.header) + len(one.payload) for one in waiting)
    field.pass_time(10)
    assert neighbours._pending_bytes == 0
    assert field.counted("eth0_neighbours_dropped") == 2000


@pytest.mark.parametrize("family", [4, 6])
def test_a_spoofer_does_not_take_over_a_client_who_is_there(family: int) -> None:
    field = Field()

    def claims() -> Iterator[bytes]:
        link = ndp.Options(source_link=EVIL, target_link=EVIL)
        while True:
            if family == 4:
                yield arp_frame(arp.REPLY, EVIL, CLIENT4)
                yield arp_frame(arp.REQUEST, EVIL, CLIENT4)
                yield arp_frame(arp.REPLY, EVIL, ROUTER4)
            else:
                yield said(ndp.NeighbourAdvertisement(CLIENT6, True, True, True, link), CLIENT6)
                yield said(ndp.NeighbourAdvertisement(CLIENT6, True, False, True, link), CLIENT6, ALL_NODES6)
                yield said(ndp.NeighbourSolicitation(VICTIM6, link), CLIENT6)
                yield said(ndp.NeighbourAdvertisement(ROUTER6, False, True, True, link), ROUTER6)

    flood = claims()
    field.siege(flood, size=200_000)
    for _ in range(4):
        for _, data in zip(range(40), flood, strict=False):
            field.strike(data)
        field.pass_time(1.5)
    interface = field.victim.interface
    assert interface.neighbours.known(CLIENT4) == interface.neighbours6.known(CLIENT6) == field.client.mac
    assert field.counted("eth0_neighbours_contradicted") > 100
    assert field.questions < 60, "the owner is asked once a second, however often he is contradicted"
    field.still_serves()


def test_an_address_that_moves_is_followed_a_second_later() -> None:
    neighbours = Neighbours()
    second, address, old, new = 1_000_000_000, b"\x0a\0\0\x09", b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b"
    neighbours.confirmed(0, address, old, asked=True)
    assert neighbours.confirmed(second, address, new, asked=True) == []
    assert [question.mac for question in neighbours.poll(second)] == [old]
    assert neighbours.lookup(second, address) == old
    assert [question.mac for question in neighbours.poll(2 * second)] == [None]
    neighbours.confirmed(2 * second, address, new, asked=False)
    assert neighbours.lookup(2 * second, address) == new
    assert neighbours.deadline() is None


def routers(**fields: int) -> Iterator[bytes]:
    """Advertisements of routers, prefixes and name servers that nobody has."""
    for number in count():
        network = b"\x20\x01\x0d\xb8" + number.to_bytes(4, "big") + bytes(8)
        prefix = ndp.Prefix(network, 64, True, True, 9000, 9000)
        server = network[:8] + bytes(7) + b"\x35"
        options = ndp.Options(mac(number), b"", (prefix,), 1280, b"", (), ((server, 9000),))
        source = LINK6[:8] + number.to_bytes(8, "big")
        yield said(ndp.RouterAdvertisement(64, lifetime=9000, options=options), source, ALL_NODES6)


def test_a_flood_of_router_advertisements_fills_its_tables_and_no_more() -> None:
    field = Field()
    flood = routers()
    grown = field.siege(flood)
    interface = field.victim.interface
    auto = interface.auto
    assert auto is not None
    assert len(auto._routers) <= ROUTERS_MAX
    assert len(auto._on_link) <= PREFIXES_MAX
    assert len(auto._own) <= ADDRESSES_MAX
    assert len(field.victim.stack.names.servers) <= DNS_MAX
    assert grown < 3_000_000
    assert field.work(next(flood) for _ in range(50)) < 1000
    assert field.counted("eth0_slaac_dropped") >= field.frames - ROUTERS_MAX
    assert VICTIM6 in interface.own
    assert interface.next_hop(CLIENT6) == CLIENT6
    field.pass_time(5)
    assert field.answers <= 6 * ADDRESSES_MAX, "each address is asked for and joined, once"
    field.still_serves()


def test_an_advertisement_that_a_router_has_passed_on_is_not_heard() -> None:
    field = Field()
    options = ndp.Options(EVIL)
    field.strike(said(ndp.RouterAdvertisement(64, lifetime=9000, options=options), LINK6, ALL_NODES6, 254))
    field.strike(said(ndp.NeighbourSolicitation(VICTIM6, options), near(6, 1), VICTIM6, 1))
    field.strike(said(ndp.NeighbourAdvertisement(CLIENT6, False, True, True, options), CLIENT6, VICTIM6, 0))
    assert field.counted("malformed") == 3
    field.look()
    assert not field.answers
    field.still_serves()


def test_one_who_claims_our_address_does_not_get_it() -> None:
    field = Field()
    link = ndp.Options(source_link=EVIL, target_link=EVIL)
    for _ in range(50):
        field.strike(arp_frame(arp.REPLY, EVIL, VICTIM4))
        field.strike(arp_frame(arp.REQUEST, EVIL, VICTIM4))
        field.strike(said(ndp.NeighbourAdvertisement(VICTIM6, False, False, True, link), VICTIM6, ALL_NODES6))
        field.strike(said(ndp.NeighbourAdvertisement(VICTIM6, False, False, True, link), near(6, 1), ALL_NODES6))
    assert field.counted("address_conflicts", "not_for_us") == 200
    assert {VICTIM4, VICTIM6} <= field.victim.interface.own
    field.still_serves()


def test_a_link_where_every_address_is_taken_leaves_the_other_family() -> None:
    """Duplicate address detection cannot be defended (RFC 4862 section 5.4), and costs the new addresses alone."""
    field = Field()
    auto = field.victim.interface.auto
    assert auto is not None
    field.strike(next(routers()))
    for _ in range(200):
        field.pass_time(0.05)
        for own in auto.tentative():
            claim = ndp.NeighbourAdvertisement(own, False, False, True, ndp.Options(target_link=EVIL))
            field.strike(said(claim, own, ALL_NODES6))
    assert field.counted("address_conflicts") == 4, "the address, and three others in its place (RFC 7217 section 7)"
    field.still_serves()


def test_questions_about_groups_are_answered_once_for_many() -> None:
    field = Field()

    def queries() -> Iterator[bytes]:
        while True:
            message = icmpv6.emit(mld.emit(mld.Query(bytes(16), 1000, ())), LINK6, ALL_NODES6)
            yield packet6(LINK6, 0, mld.HOP_BY_HOP + message, ALL_NODES6, hop_limit=1)

    flood = queries()
    for _, data in zip(range(1000), flood, strict=False):
        field.strike(data)
        field.victim.stack.poll(field.link.now)
    field.pass_time(2)
    assert field.answers <= 2
    assert field.work(next(flood) for _ in range(50)) < WORK_MAX
    field.still_serves()


def test_redirects_are_not_followed() -> None:
    field = Field()
    link = ndp.Options(target_link=EVIL)
    for _ in range(10):
        field.strike(said(ndp.Redirect(LINK6, CLIENT6, link), ROUTER6))
        field.strike(icmp(ROUTER4, icmpv4.redirect(b"\x0a\0\0\x66", datagram(VICTIM4, 1, 2, b"")[14:])))
    field.look()
    assert field.victim.interface.neighbours6.known(CLIENT6) == field.client.mac
    assert field.victim.interface.next_hop(CLIENT4) == CLIENT4
    assert field.counted("ndp_in") == 10
    assert field.counted("icmp_errors_in") == 10
    field.still_serves()
