"""Frames that nobody sends by accident: tags, jumbograms, chains of headers, hop limits; and floods of datagrams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from sarab.device.network import Incoming
from sarab.net.endpoints import DATAGRAM_BYTES_MAX, DATAGRAMS_MAX
from sarab.net.stack import COMPLAINTS_HIDDEN, COMPLAINTS_PER_SECOND
from sarab.wire import ethernet, icmpv4, icmpv6, ipv4, ipv6
from sarab.wire.address import LOOPBACK4, LOOPBACK6, parse
from sarab.wire.tcp import ACK, SYN, Segment
from tests.attack.field import (
    CLIENT4,
    CLIENT6,
    EVIL,
    PORT,
    VICTIM4,
    VICTIM6,
    Field,
    datagram,
    far,
    frame,
    icmp,
    packet,
    packet4,
    packet6,
    tcp,
)

WORK_MAX = 500
"""Lines of Python for one of these frames, its answer included."""


def each_is_counted(field: Field, frames: list[bytes], *counters: str, answers: int = 0) -> None:
    """Check that frames are dropped by these counters and no others, cost little, and that others are served."""
    for data in frames:
        field.strike(data)
    field.look()
    assert field.counted(*counters) == len(frames), {k: v for k, v in field.counters().items() if v}
    assert field.answers <= answers
    assert field.work(frames) < WORK_MAX
    field.still_serves()


def test_tags_of_virtual_networks_are_for_nobody() -> None:
    """One tag, two, a hundred; a good packet behind each. A card that has no VLAN hears none."""
    inner = tcp(far(4, 1), Segment(1, PORT, 1, 0, SYN, 1000))
    frames = [
        inner[:12] + tags + inner[12:]
        for tags in (b"\x81\0\0\1", b"\x81\0\0\1\x81\0\0\2", b"\x88\xa8\0\1\x81\0\0\2", b"\x91\0\0\1" * 100, b"\x81\0")
    ]
    each_is_counted(Field(), frames, "no_protocol")


def test_frames_that_are_cut_off_are_counted_at_every_length() -> None:
    field = Field()
    whole = [
        tcp(far(4, 1), Segment(1, PORT, 1, 0, SYN, 1000)),
        tcp(far(6, 1), Segment(1, PORT, 1, 0, SYN, 1000)),
        datagram(far(4, 1), 1, 2, b"x"),
        icmp(far(4, 1), icmpv4.echo(1, 1, b"x")),
    ]
    frames = [data[:size] for data in whole for size in range(len(data))]
    each_is_counted(field, frames, "malformed", "no_protocol", "not_for_us")


def test_jumbograms_are_refused() -> None:
    """RFC 2675: a length of 0, and the true one in an option; no link of ours carries one."""
    option = bytes((6, 0, 0xC2, 4)) + (100_000).to_bytes(4, "big")
    body = option + bytes(1400)
    jumbo = packet6(far(6, 1), ipv6.HOP_BY_HOP, body)
    zero = jumbo[:18] + b"\0\0" + jumbo[20:]
    field = Field()
    for data in (jumbo, zero):
        field.strike(data)
    field.victim.stack.poll(field.link.now)
    assert field.counted("malformed") == 1
    assert field.counted("tcp_segments_in", "datagrams_in") == 0
    assert field.work([jumbo, zero]) < WORK_MAX
    field.still_serves()


def chain(*kinds: int, last: int = ipv6.UDP) -> bytes:
    """Return extension headers behind each other; of `kinds` the first is said by the packet's own header."""
    following = (*kinds[1:], last)
    return b"".join(bytes((after, 0, 1, 4, 0, 0, 0, 0)) for after in following)


def test_chains_of_extension_headers_are_short() -> None:
    destination, hop = ipv6.DESTINATION, ipv6.HOP_BY_HOP
    frames = []
    for kinds in ([destination] * 9, [destination] * 150, [hop] + [destination] * 20):
        frames.append(packet6(far(6, 1), kinds[0], chain(*kinds) + bytes(8)))
    padded = bytes((ipv6.UDP, 20)) + bytes(8 * 21 - 2)
    many = bytes((ipv6.UDP, 20)) + b"\x1e\x00" * (4 * 21 - 1)
    frames += [packet6(far(6, 1), destination, body + bytes(8)) for body in (padded, many)]
    each_is_counted(Field(), frames, "malformed")


def test_problems_of_headers_are_complained_of_within_the_limit() -> None:
    field = Field()
    routed = bytes((ipv6.UDP, 2, 0, 1)) + bytes(4) + CLIENT6 + bytes(8)
    frames = [
        packet6(far(6, number), kind, body)
        for number in range(200)
        for kind, body in (
            (ipv6.ROUTING, routed),
            (ipv6.DESTINATION, chain(ipv6.DESTINATION, ipv6.HOP_BY_HOP) + bytes(8)),
            (253, bytes(8)),
        )
    ]
    for data in frames:
        field.strike(data)
    field.link.run(0.001)
    field.look()
    assert COMPLAINTS_PER_SECOND - COMPLAINTS_HIDDEN < field.answers <= COMPLAINTS_PER_SECOND
    assert field.counted("complaints_suppressed") == len(frames) - field.answers
    assert field.work(frames[:60]) < WORK_MAX
    field.still_serves()


def test_source_routes_are_not_taken() -> None:
    field = Field()
    frames = []
    for kind in (ipv4.LOOSE_SOURCE_ROUTE, ipv4.STRICT_SOURCE_ROUTE):
        options = ipv4.emit_options(((kind, b"\x04" + CLIENT4),))
        plain = tcp(far(4, 1), Segment(1, PORT, 1, 0, SYN, 1000))
        frames.append(packet4(far(4, 1), 6, plain[34:], options=options))
    each_is_counted(field, frames, "source_routed")


def test_packets_in_the_name_of_this_host_or_of_everybody_are_dropped() -> None:
    field = Field()
    frames = []
    for source in (
        VICTIM4,
        LOOPBACK4,
        parse("127.9.9.9"),
        parse("10.0.0.255"),
        b"\xff" * 4,
        bytes(4),
        parse("224.0.0.1"),
    ):
        frames.append(tcp(source, Segment(1, PORT, 1, 0, SYN, 1000)))
        frames.append(datagram(source, 1, 2, b"x"))
    for source in (VICTIM6, LOOPBACK6, parse("ff02::1"), bytes(16), parse("::ffff:10.0.0.2")):
        frames.append(tcp(source, Segment(1, PORT, 1, 0, SYN, 1000)))
        frames.append(datagram(source, 1, 2, b"x"))
    each_is_counted(field, frames, "not_for_us")


@pytest.mark.parametrize("own", [VICTIM4, VICTIM6])
def test_no_frame_from_outside_is_for_a_connection_of_this_host_with_itself(own: bytes) -> None:
    """Not even with the right numbers: whoever sees them is inside."""
    field = Field()
    stack, now = field.victim.stack, field.link.now
    flow = stack.tcp_connect(now, own, PORT)
    field.pass_time(0.1)
    assert flow.established
    machine = flow.machine
    forged = Segment(PORT, flow.local[1], machine.rx.rcv_nxt & 0xFFFFFFFF, machine.snd_nxt & 0xFFFFFFFF, ACK, 1000)
    each_is_counted(field, [tcp(own, forged._replace(payload=b"forged"), own)], "not_for_us")
    assert not flow.readable


def test_hop_limits_of_nothing_do_no_harm() -> None:
    """A host takes what comes at its last hop (RFC 1122 section 3.2.1.7), and answers once."""
    field = Field()
    for ttl in (0, 1, 255):
        field.strike(packet4(far(4, 1), 1, icmpv4.emit(icmpv4.echo(1, 1)), ttl=ttl))
        body = icmpv6.emit(icmpv6.echo(1, 1), far(6, 1), VICTIM6)
        field.strike(packet6(far(6, 1), 58, body, hop_limit=ttl))
    field.pass_time(0.01)
    assert field.counted("echoes") == field.answers == 6
    field.still_serves()


@pytest.mark.parametrize("family", [4, 6])
def test_a_flood_of_datagrams_to_a_port_that_nobody_reads_is_bounded(family: int) -> None:
    field = Field()
    port = field.victim.stack.udp_open(field.link.now, b"", 5000)

    def flood() -> Iterator[bytes]:
        for number in count():
            yield datagram(far(family, number % 50_000), number & 0xFFFF, 5000, bytes(1400))

    frames = flood()
    grown = field.siege(frames, each=80)
    assert port.waiting == DATAGRAMS_MAX
    assert grown < DATAGRAM_BYTES_MAX + 1_500_000
    assert field.counted("datagrams_dropped") == field.frames - DATAGRAMS_MAX
    assert not field.answers
    assert field.work(next(frames) for _ in range(50)) < WORK_MAX
    field.still_serves()


@pytest.mark.parametrize("family", [4, 6])
def test_a_flood_of_datagrams_to_closed_ports_is_complained_of_within_the_limit(family: int) -> None:
    field = Field()

    def flood() -> Iterator[bytes]:
        for number in count():
            yield datagram(far(family, number % 50_000), 1, number % 60_000 + 1000, bytes(1000))

    frames = flood()
    grown = field.siege(frames)
    assert grown < 1_500_000
    assert field.counted("no_port") == field.frames
    assert field.answers == field.frames - field.counted("complaints_suppressed") <= 2 * COMPLAINTS_PER_SECOND
    assert field.work(next(frames) for _ in range(50)) < WORK_MAX
    field.still_serves()


def test_how_many_complaints_leave_in_a_second_says_nothing_of_the_others() -> None:
    """Side channel of SAD DNS (CVE-2020-25705): the limit itself is not to be known."""
    field = Field()
    limits: Counter[int] = Counter()
    for _ in range(40):
        before = field.counted("complaints_suppressed")
        for number in range(COMPLAINTS_PER_SECOND + 1):
            field.strike(datagram(far(4, number), 1, 999, b""))
        limits[field.counted("complaints_suppressed") - before] += 1
        field.pass_time(1.01)
        field.look()
    assert len(limits) > 10
    assert max(limits.values()) < 10
    assert not limits[0], "the limit holds"


@pytest.mark.parametrize("make", [icmpv4.echo, icmpv6.echo])
def test_a_flood_of_echoes_is_answered_one_by_one(make: Callable[[int, int, bytes], icmpv4.Message]) -> None:
    field = Field()
    family = 4 if make is icmpv4.echo else 6

    def flood() -> Iterator[bytes]:
        for number in count():
            yield icmp(far(family, number % 50_000), make(1, number & 0xFFFF, bytes(1000)))

    frames = flood()
    assert field.siege(frames) < 1_500_000
    assert field.answers <= field.frames
    assert field.answered_bytes <= field.bytes
    assert field.counted("echoes") == field.frames
    assert field.work(next(frames) for _ in range(50)) < WORK_MAX
    field.still_serves()


def test_broadcasts_are_not_answered() -> None:
    """A smurf's echo in the client's name; a datagram and a segment to everybody."""
    field = Field()
    everybody = (parse("10.0.0.255"), b"\xff" * 4)
    frames = [
        frame(ethernet.IPV4, data[14:], EVIL, ethernet.BROADCAST)
        for destination in everybody
        for data in (
            icmp(CLIENT4, icmpv4.echo(1, 1), destination),
            tcp(CLIENT4, Segment(1, PORT, 1, 0, SYN, 1000), destination),
            datagram(CLIENT4, 1, 999, b"x", destination),
            packet(CLIENT4, 99, bytes(8), destination),
        )
    ]
    field.link.run(0.01)
    field.look()
    sent = field.victim.interface.packets_out
    for data in frames:
        field.strike(data)
    assert field.victim.interface.packets_out == sent
    assert field.counted("icmp_ignored", "not_for_us", "no_port", "no_protocol") == len(frames)
    field.still_serves()


def test_many_frames_at_once_wait_for_the_card_within_its_bound() -> None:
    """Ten thousand echoes in one turn: what the card does not take is dropped and counted."""
    field = Field()
    one = icmp(far(4, 1), icmpv4.echo(1, 1, bytes(8)))
    field.victim.stack.receive(field.link.now, field.victim.interface, [Incoming(one)] * 10_000)
    assert len(field.victim.interface.outgoing) == 4096
    assert field.counted("eth0_dropped") == 10_000 - 4096
    field.link.run(0.001)
    field.look()
    field.still_serves()


def test_connections_that_differ_as_an_attacker_likes_spread_over_the_table() -> None:
    """Ports and addresses are his; where a key lies in a dict depends on a secret (PEP 456) and on all of the key."""
    size = 1 << 15
    for keys in (
        [(VICTIM4, 80, far(4, 1), port) for port in range(16_384)],
        [(VICTIM4, 80, far(4, 1 + (number & 7)), number >> 3 << 3) for number in range(16_384)],
        [(VICTIM4, 80, far(4, 256 * number), 1024) for number in range(16_384)],
        [(VICTIM6, 80, far(6, number << 32), 1024) for number in range(16_384)],
        [(far(4, number), VICTIM4, 17, 7) for number in range(16_384)],
        [(far(6, 1), VICTIM6, 17, number << 16) for number in range(16_384)],
    ):
        fullest = Counter(hash(key) & size - 1 for key in keys).most_common(1)[0][1]
        assert fullest <= 16, "16,384 balls in 32,768 bins: more than 16 in one would be no chance"
