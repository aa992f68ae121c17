"""What both families do alike: the same tests over IPv4 and over IPv6, whole stacks on a link of virtual time."""

from __future__ import annotations

import random

import pytest

from sarab.device.network import Offload
from sarab.net.endpoints import HANDSHAKES_MAX, Flow
from sarab.net.errors import AddressInUse
from sarab.proto.tcp.values import Event
from sarab.testing.network import Host, VirtualLink
from sarab.testing.wire import Weather
from sarab.wire import ipv4, ipv6
from sarab.wire.address import LOOPBACK4, LOOPBACK6
from sarab.wire.checksum import pseudo_header, verified
from tests.unit.net.talk import connect, transfer

SETTLED = 2.5
"""Seconds until every IPv6 address has been tried."""
NETWORKS = {4: ("10.0.0.1/24", "10.0.0.2/24"), 6: ("fd00::1/64", "fd00::2/64")}
LOOPBACKS = {4: LOOPBACK4, 6: LOOPBACK6}
TSO = Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6
pytestmark = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


def pair(
    family: int, offloads: Offload = Offload.NONE, weather: Weather | None = None, seed: int = 0
) -> tuple[VirtualLink, Host, Host]:
    link = VirtualLink(seed, weather)
    a, b = (link.host(network, offloads=offloads) for network in NETWORKS[family])
    link.run(SETTLED)
    return link, a, b


def acquaint(link: VirtualLink, a: Host, b: Host) -> None:
    """Have both know who the other is: 16 frames wait for that, and no more."""
    port = a.stack.udp_open(link.now, b"", 0)
    port.send_to(link.now, b"", b.address, 9)
    port.close(link.now)
    link.run(0.1)


def send(link: VirtualLink, sender: Flow, receiver: Flow, size: int) -> None:
    """Send bytes and the end behind them, and check that they arrive."""
    data = random.Random(size).randbytes(size)
    assert transfer(link, sender, receiver, data) == data


@pytest.mark.parametrize("offloads", [Offload.NONE, Offload.CHECKSUM, TSO], ids=["software", "checksum", "tso"])
def test_tcp_carries_a_megabyte_each_way(family: int, offloads: Offload) -> None:
    link, a, b = pair(family, offloads)
    flow, accepted = connect(link, a, b)
    send(link, flow, accepted, 1_000_000)
    send(link, accepted, flow, 999_999)
    flow.close(link.now)
    accepted.close(link.now)
    link.run(61)
    assert not a.stack.tcp.flows
    assert not b.stack.tcp.flows


@pytest.mark.parametrize("seed", range(4))
def test_tcp_over_a_bad_link_loses_nothing(family: int, seed: int) -> None:
    weather = Weather(delay=1_000_000, jitter=3_000_000, loss=0.05, duplicate=0.02, corrupt=0.02)
    link, a, b = pair(family, weather=weather, seed=seed)
    flow, accepted = connect(link, a, b)
    send(link, flow, accepted, 300_000)
    send(link, accepted, flow, 50_000)


def test_checksums_in_software_are_right_on_the_wire(family: int) -> None:
    link, a, b = pair(family)
    flow, accepted = connect(link, a, b)
    send(link, flow, accepted, 5001)
    segments = 0
    for frame in link.seen:
        if frame[12:14] == b"\x08\x00":
            header = ipv4.parse(frame[14:])
            payload = frame[34 : 14 + header.total_length]
            source, destination, kind = header.source, header.destination, header.protocol
        elif frame[12:14] == b"\x86\xdd" and frame[20] == ipv6.TCP:
            header6 = ipv6.parse(frame[14:])
            payload = frame[54 : 54 + header6.payload_length]
            source, destination, kind = header6.source, header6.destination, ipv6.TCP
        else:
            continue
        assert verified(payload, pseudo_header(source, destination, kind, len(payload)))
        segments += kind == ipv6.TCP
    assert segments > 6


def test_loopback_needs_no_card(family: int) -> None:
    link = VirtualLink()
    a, here = link.host("10.0.0.1/24"), LOOPBACKS[family]
    flow, accepted = connect(link, a, a, here)
    send(link, flow, accepted, 500_000)
    server = a.stack.udp_open(link.now, bytes(len(here)), 53)
    server.send_to(link.now, b"x", here, 53)
    link.run()
    assert server.receive_from() == (b"x", here, 53)
    assert not link.seen


def test_a_datagram_for_nobody_is_answered_and_a_connected_sender_hears_of_it(family: int) -> None:
    link, a, b = pair(family)
    client = a.stack.udp_open(link.now, b"", 0)
    client.connect(b.address, 99)
    client.send_to(link.now, b"x", b.address, 99)
    link.run()
    assert a.events[client] & Event.REFUSED


def test_listeners_that_share_a_port_have_a_part_of_the_peers_each(family: int) -> None:
    link, a, b = pair(family)
    acquaint(link, a, b)
    everywhere = bytes(len(b.address))
    listeners = [b.stack.tcp_listen(link.now, everywhere, 80, reuse_port=True) for _ in range(3)]
    with pytest.raises(AddressInUse):
        b.stack.tcp_listen(link.now, b"", 80)
    flows = [a.stack.tcp_connect(link.now, b.address, 80) for _ in range(60)]
    link.run(1)
    assert all(flow.established for flow in flows)
    assert sum(listener.waiting for listener in listeners) == 60
    assert all(listener.waiting >= 8 for listener in listeners)
    own = b.stack.tcp_listen(link.now, b.address, 80, reuse_port=True)
    listeners[0].close(link.now)
    later = [a.stack.tcp_connect(link.now, b.address, 80) for _ in range(20)]
    link.run(1)
    assert own.waiting == 20, "who named the address goes before who takes any"
    assert all(flow.established for flow in later)


def test_port_is_shared_only_by_those_who_all_said_so(family: int) -> None:
    link, _, b = pair(family)
    b.stack.tcp_listen(link.now, b.address, 80)
    with pytest.raises(AddressInUse):
        b.stack.tcp_listen(link.now, b.address, 80, reuse_port=True)
    b.stack.tcp_listen(link.now, b.address, 81, reuse_port=True)
    with pytest.raises(AddressInUse):
        b.stack.tcp_listen(link.now, b.address, 81)


def test_cookie_is_read_by_the_listener_whose_it_is(family: int) -> None:
    link, a, b = pair(family)
    acquaint(link, a, b)
    listeners = [b.stack.tcp_listen(link.now, b"", 80, backlog=300, reuse_port=True) for _ in range(2)]
    for listener in listeners:
        listener.half_open = HANDSHAKES_MAX
    flows = [a.stack.tcp_connect(link.now, b.address, 80) for _ in range(40)]
    link.run(0.5)
    for flow in flows:
        flow.write(link.now, b"x")
    link.run(0.5)
    assert all(flow.established for flow in flows)
    assert [b.stack.tcp.counters[f"cookies_{name}"] for name in ("sent", "accepted", "refused")] == [40, 40, 0]
    assert sum(listener.waiting for listener in listeners) == 40


def test_complaints_are_limited(family: int) -> None:
    link, a, b = pair(family)
    client = a.stack.udp_open(link.now, b"", 0)
    client.send_to(link.now, b"x", b.address, 99)
    link.run(0.01)
    for _ in range(1000):
        client.send_to(link.now, b"x", b.address, 99)
    link.run(0.01)
    assert b.stack.counters["complaints_suppressed"] >= 890
