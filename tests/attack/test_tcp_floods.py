"""Floods of TCP: handshakes that nobody finishes, connections that nobody closes, segments of nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sarab.device.network import Incoming
from sarab.net.endpoints import HANDSHAKES_MAX
from sarab.proto.tcp.values import State
from sarab.wire.tcp import ACK, FIN, PSH, RST, SYN, URG, Options, Segment
from tests.attack.field import PORT, VICTIM4, VICTIM6, Field, far, near, tcp

FLOW_BYTES = 6_000
"""What one half-open connection may cost in memory."""
WORK_MAX = 700
"""Lines of Python for one SYN, an answer included."""


def syns(family: int, *, on_link: bool = False, port: int = PORT) -> Iterator[bytes]:
    """SYNs of made-up hosts, each of another one."""
    number = 0
    while True:
        number += 1
        source = near(family, number) if on_link else far(family, number % 50_000)
        yield tcp(source, Segment(1024 + number % 60_000, port, number, 0, SYN, 1000, Options(1460, 7, True)))


@pytest.mark.parametrize("family", [4, 6])
def test_a_syn_from_where_no_route_leads_is_dropped(family: int) -> None:
    field = Field()
    field.victim.interface.set_gateways(())
    for _, frame in zip(range(10), syns(family), strict=False):
        field.strike(frame)
    field.look()
    assert field.counted("no_route") == 10
    assert not field.answers
    assert field.victim.stack.statistics()["tcp_flows"] == 0
    field.still_serves()


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("on_link", [False, True], ids=["routed", "on-link"])
def test_a_syn_flood_leaves_room_for_the_others(family: int, on_link: bool) -> None:
    field = Field()
    flood = syns(family, on_link=on_link)
    grown = field.siege(flood)
    assert field.frames > 500
    assert grown < HANDSHAKES_MAX * FLOW_BYTES + 2_000_000
    assert field.service.listener.half_open <= HANDSHAKES_MAX
    assert field.answers <= field.frames, "a flood is not reflected by more frames than it has"
    assert field.counted("tcp_cookies_sent") >= field.frames - HANDSHAKES_MAX
    assert field.work(next(flood) for _ in range(50)) < WORK_MAX
    field.still_serves()


def test_64k_handshakes_that_nobody_finishes_make_256_connections() -> None:
    field = Field()
    syn = next(syns(4))
    for port in range(65_536):  # of one host: its ports are all that differs
        one = syn[:34] + port.to_bytes(2, "big") + syn[36:]
        field.victim.stack.receive(field.link.now, field.victim.interface, [Incoming(one, True)])
        if port % 64 == 0:
            field.victim.stack.poll(field.link.now)
    stack = field.victim.stack
    assert len(stack.tcp.flows) == HANDSHAKES_MAX
    assert field.counted("tcp_cookies_sent") == 65_536 - HANDSHAKES_MAX
    field.still_serves()
    field.pass_time(300)
    assert not stack.tcp.flows, "what nobody finishes is given up"


@pytest.mark.parametrize("family", [4, 6])
def test_land_packets_are_for_nobody(family: int) -> None:
    field = Field()
    own = VICTIM4 if family == 4 else VICTIM6
    for port in (PORT, 81, 65535):
        field.strike(tcp(own, Segment(port, port, 1, 0, SYN, 1000), own))
    field.look()
    assert field.counted("not_for_us") == 3
    assert not field.answers
    assert all(flow.machine.state is not State.SYN_RECEIVED for flow in field.victim.stack.tcp.flows.values())
    field.still_serves()


@pytest.mark.parametrize("port", [PORT, 81], ids=["open", "closed"])
def test_every_combination_of_flags_opens_nothing_but_a_plain_syn(port: int) -> None:
    field = Field()
    stack = field.victim.stack
    for flags in range(256):
        field.strike(tcp(far(4, flags), Segment(5000, port, 7, 9, flags, 1000, payload=b"x" * (flags & 1))))
        stack.poll(field.link.now)
    field.look()
    opened = list(stack.tcp.flows.values())
    assert len(opened) == (sum(flags & (SYN | ACK | RST | FIN) == SYN for flags in range(256)) if port == PORT else 0)
    assert field.answers <= field.frames
    christmas = FIN | PSH | URG | SYN | RST | ACK
    assert field.work([tcp(far(4, 1), Segment(5000, port, 7, 9, christmas, 1000))]) < WORK_MAX
    field.still_serves()
