"""Whole stacks on a link of virtual time: IPv6, its neighbours, routers, errors, UDP and TCP."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarab.device.network import Gso, Offload
from sarab.net.errors import AddressInUse, NetworkUnreachable
from sarab.net.interface import Configuration
from sarab.net.neighbours import PENDING_MAX
from sarab.net.stack import Stack
from sarab.proto.tcp.values import Event
from sarab.testing.network import Host, VirtualLink
from sarab.testing.wire import Weather
from sarab.wire import icmpv6, igmp, ipv6, mld, ndp
from sarab.wire.address import ALL_NODES6, ANY4, ANY6, LOOPBACK6, is_link_local, multicast_mac, parse, solicited_node
from tests.unit.net.talk import connect, transfer

TSO6 = Offload.CHECKSUM | Offload.TSO6
SETTLED = 2.5
"""Seconds until every address has been tried."""
EVIL = bytes((2, 6, 6, 6, 6, 6))
ROUTER = parse("fe80::99")
ROUTER_MAC = bytes((2, 0, 0, 0, 0, 0x99))


def pair(
    offloads: Offload = Offload.NONE, weather: Weather | None = None, seed: int = 0
) -> tuple[VirtualLink, Host, Host]:
    link = VirtualLink(seed, weather)
    a, b = link.host("fd00::1/64", offloads=offloads), link.host("fd00::2/64", offloads=offloads)
    link.run(SETTLED)
    return link, a, b


def link_local(host: Host) -> bytes:
    return next(own for own, _ in host.interface.addresses6 if is_link_local(own))


def packet(source: bytes, destination: bytes, message: icmpv6.Message, hop_limit: int = 255) -> bytes:
    payload = icmpv6.emit(message, source, destination)
    return ipv6.emit(ipv6.Header(source, destination, ipv6.ICMPV6, len(payload), hop_limit)) + payload


def frame(
    mac: bytes, source: bytes, destination: bytes, value: ndp.Value, hop_limit: int = 255, to: bytes = b""
) -> bytes:
    to = to or multicast_mac(destination)
    return to + mac + b"\x86\xdd" + packet(source, destination, ndp.emit(value), hop_limit)


def advertise(
    link: VirtualLink,
    host: Host,
    prefix: str = "2001:db8::",
    valid: int = 3600,
    preferred: int = 1800,
    lifetime: int = 1800,
) -> None:
    options = ndp.Options(
        source_link=ROUTER_MAC,
        prefixes=(ndp.Prefix(parse(prefix), 64, True, True, valid, preferred),),
        dns=((parse("2001:db8::53"), valid),),
    )
    value = ndp.RouterAdvertisement(lifetime=lifetime, options=options)
    link.inject(frame(ROUTER_MAC, ROUTER, ALL_NODES6, value), host)


def ping(link: VirtualLink, a: Host, source: bytes, destination: bytes) -> list[icmpv6.Message]:
    start = len(link.seen)
    message = icmpv6.emit(icmpv6.echo(7, 1, b"payload"), source, destination)
    a.stack._send(link.now, source, destination, ipv6.ICMPV6, message)
    link.run(0.1)
    found = [seen for seen in link.seen[start:] if seen[12:14] == b"\x86\xdd" and seen[54] == icmpv6.ECHO_REPLY]
    return [icmpv6.parse(seen[54:], seen[22:38], seen[38:54]) for seen in found]


def test_ping_between_link_local_addresses() -> None:
    link, a, b = pair()
    replies = ping(link, a, link_local(a), link_local(b))
    assert replies == [icmpv6.Message(icmpv6.ECHO_REPLY, 0, 7 << 16 | 1, b"payload")]


def test_all_nodes_answer_a_ping() -> None:
    link, a, b = pair()
    assert len(ping(link, a, link_local(a), ALL_NODES6)) == 1
    assert b.stack.counters["echoes"] == 1


def test_no_address_is_used_before_it_was_tried() -> None:
    link = VirtualLink()
    a = link.host("fd00::1/64")
    link.run(0.5)
    assert not a.stack.is_local(a.address)
    with pytest.raises(NetworkUnreachable):
        a.stack.tcp_connect(link.now, parse("fd00::2"), 80)
    link.run(1)
    assert a.stack.is_local(a.address)


def test_a_large_segment_is_the_cards_to_cut() -> None:
    link, a, b = pair(TSO6)
    flow, _ = connect(link, a, b)
    flow.write(link.now, bytes(10_000))
    a.stack.tcp.poll(link.now)
    big = a.interface.outgoing[0]
    assert (big.gso, big.gso_size, big.checksum_start) == (Gso.TCPV6, 1440 - 12, 54)


def test_datagrams_in_fragments_both_ways() -> None:
    link, a, b = pair()
    server = b.stack.udp_open(link.now, b"", 53)
    client = a.stack.udp_open(link.now, ANY6, 0)
    data = os.urandom(20_000)
    client.send_to(link.now, data, b.address, 53)
    link.run()
    assert server.receive_from() == (data, a.address, client.local[1])
    server.send_to(link.now, data[::-1], a.address, client.local[1])
    link.run()
    assert client.receive_from() == (data[::-1], b.address, 53)
    assert b.stack.counters["reassembled"] == 1


def test_a_datagram_without_a_checksum_is_dropped() -> None:
    link, a, b = pair()
    server = b.stack.udp_open(link.now, b"", 53)
    body = b"\x00\x09\x00\x35\x00\x09\x00\x00x"
    header = ipv6.emit(ipv6.Header(a.address, b.address, ipv6.UDP, len(body)))
    link.inject(b.mac + a.mac + b"\x86\xdd" + header + body, b)
    assert server.receive_from() is None
    assert b.stack.counters["bad_checksum"] == 1


def test_listeners_of_one_family_leave_the_port_to_the_other() -> None:
    link = VirtualLink()
    a = link.host("10.0.0.1/24")
    six = a.stack.tcp_listen(link.now, ANY6, 80, v6only=True)
    four = a.stack.tcp_listen(link.now, ANY4, 80)
    a.stack.tcp_connect(link.now, LOOPBACK6, 80)
    link.run()
    assert (six.waiting, four.waiting) == (1, 0)
    a.stack.tcp_connect(link.now, a.address, 80)
    link.run()
    assert (six.waiting, four.waiting) == (1, 1)
    for both in (b"", ANY6):
        with pytest.raises(AddressInUse):
            a.stack.tcp_listen(link.now, both, 80)
    dual = a.stack.tcp_listen(link.now, ANY6, 81)
    a.stack.tcp_connect(link.now, a.address, 81)
    a.stack.tcp_connect(link.now, LOOPBACK6, 81)
    link.run()
    assert dual.waiting == 2


# ---- addresses and routers ---------------------------------------------------------------------------------------


def test_an_address_that_somebody_has_is_not_taken() -> None:
    link = VirtualLink()
    a = link.host("fd00::1/64")
    link.run(SETTLED)
    late = link.host("fd00::1/64")
    link.run(SETTLED)
    assert a.stack.is_local(a.address)
    assert not late.stack.is_local(a.address)
    assert late.stack.counters["address_conflicts"] >= 1
    assert any(is_link_local(own) for own, _ in late.interface.addresses6), "only what is taken is lost"


def test_an_address_in_use_is_defended_and_not_given_up() -> None:
    link, a, b = pair()
    value = ndp.NeighbourAdvertisement(a.address, override=True, options=ndp.Options(target_link=EVIL))
    link.inject(frame(EVIL, a.address, ALL_NODES6, value), a)
    link.inject(frame(EVIL, link_local(b), ALL_NODES6, value), a)
    assert a.stack.is_local(a.address)


def test_a_router_gives_address_route_and_name_server_for_a_time() -> None:
    link, a, _ = pair()
    advertise(link, a)
    link.run(3)
    ours = [own for own, _ in a.interface.addresses6 if own[:8] == parse("2001:db8::")[:8]]
    assert len(ours) == 1
    assert list(a.stack.names.servers) == [parse("2001:db8::53")]
    far = parse("2001:db8:1::1")
    a.stack.tcp_connect(link.now, far, 80)
    link.run(0.1)
    syn = [seen for seen in link.seen if seen[12:14] == b"\x86\xdd" and seen[38:54] == far]
    assert syn and syn[0][:6] == ROUTER_MAC and syn[0][22:38] == ours[0]
    link.run(1801)
    with pytest.raises(NetworkUnreachable):
        a.stack.tcp_connect(link.now, far, 80)
    link.run(1801)
    assert not a.stack.is_local(ours[0])
    assert not a.stack.names.servers


def test_a_deprecated_address_is_left_alone() -> None:
    link, a, _ = pair()
    advertise(link, a, "2001:db8::", preferred=0)
    advertise(link, a, "2001:db9::")
    link.run(3)
    assert a.stack.source_for(parse("2001:db8::7"))[:4] == parse("2001:db9::")[:4]
    assert is_link_local(a.stack.source_for(parse("fe80::7")))
    assert a.stack.source_for(parse("fd00::7")) == a.address


def test_a_router_from_elsewhere_is_not_believed() -> None:
    link, a, _ = pair()
    options = ndp.Options(prefixes=(ndp.Prefix(parse("2001:db8::"), 64, True, True, 3600, 3600),))
    value = ndp.RouterAdvertisement(lifetime=1800, options=options)
    link.inject(frame(EVIL, ROUTER, ALL_NODES6, value, hop_limit=254), a)
    link.inject(frame(EVIL, parse("fd00::2"), ALL_NODES6, value), a)
    link.run(3)
    assert not a.interface.routers6
    assert a.stack.counters["malformed"] >= 1


def test_only_what_an_address_of_ours_leads_to_is_said_to_be_reached() -> None:
    link, a, _ = pair()
    far, near, four = parse("2001:db8:1::1"), parse("fd00::7"), parse("192.0.2.1")
    assert [a.stack.reaches(one) for one in (far, near, four, LOOPBACK6)] == [False, True, False, True]
    advertise(link, a)
    link.run(3)
    assert a.stack.reaches(far)


def test_a_router_that_leaves_takes_its_route_along() -> None:
    link, a, _ = pair()
    advertise(link, a)
    link.run(3)
    advertise(link, a, lifetime=0)
    link.run(0.1)
    assert not a.stack.reaches(parse("2001:db8:1::1"))


def test_an_interface_of_ipv4_has_ipv6_beside_it_where_it_is_asked_for() -> None:
    stack = Stack(random.Random(3).randbytes)
    four, other = parse("10.0.2.15"), parse("10.0.2.16")
    card = stack.add_interface("eth0", EVIL, 1500, Offload.NONE, Configuration(((four, 24),), ipv6=True))
    now = 0
    while (due := stack.deadline()) is not None and due <= 2 * 10**9:
        now = max(now, due)
        stack.poll(now)
    assert [len(own) for own, _ in card.addresses] == [4, 16]
    six = card.addresses6[0][0]
    card.set_addresses([(other, 24), (parse("fd00::9"), 64)])
    assert stack.is_local(other) and stack.is_local(six) and not stack.is_local(four)
    assert not stack.is_local(parse("fd00::9")), "it was not tried yet"
    for _ in range(3):
        stack.poll(now)
        now += 10**9
    assert stack.is_local(parse("fd00::9"))
    card.set_addresses([(other, 24)])
    stack.poll(now)
    assert not stack.is_local(parse("fd00::9")) and stack.is_local(six)


def test_groups_are_told_and_told_again_when_a_router_asks() -> None:
    link, a, _ = pair()
    group = solicited_node(a.address)

    def reports() -> list[mld.Value]:
        seen = [one for one in link.seen if one[6:12] == a.mac and one[12:14] == b"\x86\xdd" and one[62:63] == b"\x8f"]
        return [mld.parse(icmpv6.parse(one[62:], one[22:38], one[38:54])) for one in seen]

    assert any(igmp.Record(igmp.CHANGE_TO_EXCLUDE, group) in getattr(one, "records", ()) for one in reports())
    before = len(reports())
    payload = mld.HOP_BY_HOP + icmpv6.emit(mld.emit(mld.Query(ANY6, 1000)), ROUTER, ALL_NODES6)
    header = ipv6.emit(ipv6.Header(ROUTER, ALL_NODES6, ipv6.HOP_BY_HOP, len(payload), 1))
    link.inject(multicast_mac(ALL_NODES6) + ROUTER_MAC + b"\x86\xdd" + header + payload, a)
    link.run(2)
    assert len(reports()) == before + 1


# ---- neighbours --------------------------------------------------------------------------------------------------


def test_nobody_takes_over_a_neighbour() -> None:
    link, a, b = pair()
    flow, accepted = connect(link, a, b)
    options = ndp.Options(target_link=EVIL)
    for solicited in (False, True):
        value = ndp.NeighbourAdvertisement(b.address, solicited=solicited, override=True, options=options)
        link.inject(frame(EVIL, b.address, a.address, value, to=a.mac), a)
        link.run(0.1)
    question = ndp.NeighbourSolicitation(a.address, ndp.Options(source_link=EVIL))
    link.inject(frame(EVIL, b.address, solicited_node(a.address), question), a)
    assert transfer(link, flow, accepted, b"still here") == b"still here"
    assert a.interface.neighbours6.known(b.address) == b.mac


def test_an_answer_nobody_asked_for_makes_no_neighbour() -> None:
    link, a, _ = pair()
    stranger = parse("fd00::77")
    value = ndp.NeighbourAdvertisement(stranger, solicited=True, override=True, options=ndp.Options(target_link=EVIL))
    link.inject(frame(EVIL, stranger, a.address, value, to=a.mac), a)
    assert a.interface.neighbours6.known(stranger) is None


def test_a_question_from_another_link_is_not_answered() -> None:
    link, a, _ = pair()
    question = ndp.NeighbourSolicitation(a.address, ndp.Options(source_link=EVIL))
    before = len(a.interface.outgoing)
    link.inject(frame(EVIL, parse("fd00::77"), solicited_node(a.address), question, hop_limit=64), a)
    assert len(a.interface.outgoing) == before
    assert a.interface.neighbours6.known(parse("fd00::77")) is None


def test_what_waits_for_a_silent_neighbour_is_bounded_and_given_up() -> None:
    link, a, _ = pair()
    port = a.stack.udp_open(link.now, b"", 0)
    for _ in range(100):
        port.send_to(link.now, b"x", parse("fd00::77"), 9)
    assert a.interface.neighbours6.dropped == 100 - PENDING_MAX
    flow = a.stack.tcp_connect(link.now, parse("fd00::77"), 81)
    link.run(5)
    assert a.events[flow] & Event.UNREACHABLE
    assert a.interface.neighbours6.dropped >= 100


# ---- errors ------------------------------------------------------------------------------------------------------


def too_big(a: Host, router: bytes, quoted: bytes, mtu: int) -> bytes:
    return a.mac + ROUTER_MAC + b"\x86\xdd" + packet(router, a.address, icmpv6.packet_too_big(mtu, quoted), 64)


def test_a_packet_too_big_is_believed_for_what_is_in_flight() -> None:
    link, a, b = pair()
    flow, _ = connect(link, a, b)
    flow.write(link.now, bytes(50_000))
    a.stack.tcp.poll(link.now)
    big = a.interface.outgoing[0]
    quoted = big.header[14:] + bytes(big.payload)
    forged = bytearray(quoted)
    forged[44] ^= 0x40
    link.inject(too_big(a, ROUTER, bytes(forged), 1400), a)
    assert flow.machine.snd_mss == 1440 - 12
    link.inject(too_big(a, ROUTER, quoted, 600), a)
    assert flow.machine.snd_mss == 1440 - 12, "every link carries 1280"
    link.inject(too_big(a, ROUTER, quoted, 1400), a)
    assert flow.machine.snd_mss == 1400 - 60 - 12
    assert a.stack.path_mtu(b.address, link.now) == 1400


def test_unknown_headers_are_complained_of_where_they_stand() -> None:
    link, a, b = pair()
    body = bytes((200, 0, 1, 4, 0, 0, 0, 0)) + b"whatever"
    header = ipv6.emit(ipv6.Header(a.address, b.address, ipv6.DESTINATION, len(body)))
    link.inject(b.mac + a.mac + b"\x86\xdd" + header + body, b)
    link.run(0.1)
    errors = [seen for seen in link.seen if seen[6:12] == b.mac and seen[54:56] == b"\x04\x01"]
    assert len(errors) == 1
    assert icmpv6.parse(errors[0][54:], b.address, a.address).word == 40


def test_fragments_of_neighbour_discovery_are_not_read() -> None:
    link, a, _ = pair()
    message = icmpv6.emit(
        ndp.emit(ndp.NeighbourSolicitation(a.address, ndp.Options(source_link=EVIL))), parse("fd00::77"), a.address
    )
    payload = ipv6.emit_fragment(ipv6.Fragment(ipv6.ICMPV6, 0, False, 1)) + message
    header = ipv6.emit(ipv6.Header(parse("fd00::77"), a.address, ipv6.FRAGMENT, len(payload), 255))
    link.inject(a.mac + EVIL + b"\x86\xdd" + header + payload, a)
    assert a.interface.neighbours6.known(parse("fd00::77")) is None


# ---- hostile frames ----------------------------------------------------------------------------------------------

HEADERS = st.sampled_from([0, 6, 17, 43, 44, 51, 58, 59, 60, 99])
SOURCES = st.sampled_from([ROUTER, parse("fd00::77"), parse("fd00::2"), ANY6, parse("ff02::1"), LOOPBACK6])
TARGETS = st.sampled_from([parse("fd00::1"), ALL_NODES6, solicited_node(parse("fd00::1")), parse("fd00::3")])
KINDS = st.sampled_from([1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143, 200])


@given(st.lists(st.tuples(SOURCES, TARGETS, HEADERS, KINDS, st.integers(0, 255), st.binary(max_size=120)), max_size=8))
def test_no_frame_stops_the_stack(
    packets: list[tuple[bytes, bytes, int, int, int, bytes]],
) -> None:
    link = VirtualLink()
    a = link.host("fd00::1/64")
    a.stack.udp_open(link.now, b"", 53)
    a.stack.tcp_listen(link.now, b"", 80)
    link.run(1.5)
    for source, destination, kind, message, hop_limit, body in packets:
        if kind == ipv6.ICMPV6:
            body = icmpv6.emit(icmpv6.Message(message, 0, 0, body), source, destination)
        header = ipv6.emit(ipv6.Header(source, destination, kind, len(body), hop_limit))
        to = multicast_mac(destination) if destination[0] == 0xFF else a.mac
        link.inject(to + EVIL + b"\x86\xdd" + header + body, a)
    link.run(2)
    assert a.stack.is_local(a.address)
    assert len(a.interface.addresses6) <= 16
