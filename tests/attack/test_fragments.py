"""Fragments that overlap, that never end, that hide what they carry: of both families (RFC 1858, 3128, 5722, 7112)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from sarab.net.endpoints import Datagrams
from sarab.net.reassembly import BYTES_MAX, FRAGMENTS_MAX, PACKETS_MAX
from sarab.wire import icmpv4, icmpv6, ipv4, ipv6, udp
from sarab.wire.checksum import checksum, partial, pseudo_header
from tests.attack.field import VICTIM4, VICTIM6, Field, far, packet4, packet6

WORK_MAX = 900
"""Lines of Python for one fragment: its packet may hold FRAGMENTS_MAX, and each is compared with it."""
PORT = 5000


def fragment(source: bytes, name: int, offset: int, more: bool, data: bytes, protocol: int = 17) -> bytes:
    """Return a frame with a fragment of either family."""
    if len(source) == 4:
        flags = ipv4.MORE_FRAGMENTS if more else 0
        return packet4(source, protocol, data, identification=name & 0xFFFF, flags=flags, fragment_offset=offset)
    head = ipv6.emit_fragment(ipv6.Fragment(protocol, offset, more, name))
    return packet6(source, ipv6.FRAGMENT, head + data)


def whole(source: bytes, data: bytes, port: int = PORT) -> bytes:
    """Return a datagram, its header and good checksum included."""
    destination = VICTIM4 if len(source) == 4 else VICTIM6
    length = 8 + len(data)
    bare = udp.emit(udp.Header(9, port, length))
    value = checksum(bare, pseudo_header(source, destination, 17, length) + partial(data)) or 65535
    return bare[:6] + value.to_bytes(2, "big") + data


def make() -> tuple[Field, Datagrams]:
    field = Field()
    return field, field.victim.stack.udp_open(field.link.now, b"", PORT)


def is_settled(field: Field) -> None:
    """Check that no fragment is held and that each was counted, and that others are served, by fragments too."""
    field.pass_time(31)
    for reassembly in (field.victim.stack.ipv4.reassembly, field.victim.stack.ipv6.reassembly):
        assert not reassembly._packets
        assert reassembly._bytes == 0
    field.still_serves()
    port = field.victim.stack.udp[PORT][0] if PORT in field.victim.stack.udp else None
    if port is not None:
        client = field.client.stack.udp_open(field.link.now, b"", 0)
        for destination in (VICTIM4, VICTIM6):
            while port.receive_from():
                pass
            client.send_to(field.link.now, bytes(20_000), destination, PORT)
            field.pass_time(0.1)
            assert port.waiting == 1
        client.close(field.link.now)


@pytest.mark.parametrize("family", [4, 6])
def test_what_overlaps_comes_to_nothing_in_any_order(family: int) -> None:
    """Teardrop, and a second version of the header (RFC 1858 section 4): neither version is delivered."""
    field, port = make()
    for number, pieces in enumerate(
        (
            [(0, True, 24), (16, True, 24), (40, False, 16)],
            [(0, True, 24), (24, False, 16), (0, True, 16)],  # complete before the overlap, and not a good datagram
            [(24, False, 16), (16, True, 16), (0, True, 24)],
            [(0, True, 32), (8, False, 8), (32, False, 8)],
            [(0, True, 32), (0, True, 24), (24, False, 16)],
        )
    ):
        data = whole(far(family, 1), bytes(range(48)))
        for offset, more, size in pieces:
            field.strike(fragment(far(family, 1), number, offset, more, data[offset : offset + size]))
    assert field.counted("fragments_in") == field.frames == 15
    assert port.waiting == field.counted("datagrams_in") == 0
    assert field.counted("reassembly_overlapping") == 3
    is_settled(field)
    assert field.counted("reassembly_dropped") == 15 - 2


@pytest.mark.parametrize("family", [4, 6])
def test_fragments_that_never_end_are_bounded_in_bytes_and_packets(family: int) -> None:
    field, _ = make()

    def flood() -> Iterator[bytes]:
        for number in count():
            yield fragment(far(family, 1 + number % 999), number, 8 * (number % 50), True, bytes(1400))

    frames = flood()
    for _, data in zip(range(3000), frames, strict=False):
        field.strike(data)
    reassembly = field.victim.stack.ipv4.reassembly if family == 4 else field.victim.stack.ipv6.reassembly
    assert reassembly._bytes <= BYTES_MAX
    assert len(reassembly._packets) <= PACKETS_MAX
    assert field.siege(frames) < BYTES_MAX + 1_500_000
    assert field.work(next(frames) for _ in range(50)) < WORK_MAX
    sent = field.frames + 50
    is_settled(field)
    assert field.counted("reassembly_dropped") + 30 >= sent, "each is counted (the two good packets have fewer pieces)"
    assert not field.answers


@pytest.mark.parametrize("family", [4, 6])
def test_a_packet_of_many_tiny_fragments_is_given_up(family: int) -> None:
    field, port = make()
    data = whole(far(family, 1), bytes(8 * FRAGMENTS_MAX))
    frames = [fragment(far(family, 1), 1, at, at + 8 < len(data), data[at : at + 8]) for at in range(0, len(data), 8)]
    assert len(frames) == FRAGMENTS_MAX + 1
    assert field.work(frames) < WORK_MAX
    assert port.waiting == 0
    assert field.counted("reassembly_dropped") == FRAGMENTS_MAX + 1
    is_settled(field)


@pytest.mark.parametrize("family", [4, 6])
def test_a_fragment_flood_does_not_keep_others_from_sending_fragments(family: int) -> None:
    field, port = make()
    client = field.client.stack.udp_open(field.link.now, b"", 0)
    client.send_to(field.link.now, bytes(10_000), VICTIM4 if family == 4 else VICTIM6, PORT)
    for round_ in range(40):
        for number in range(5):
            field.strike(fragment(far(family, 1 + number), 5 * round_ + number, 8, True, bytes(1400)))
        field.link.run(0.00001)
    field.pass_time(0.01)
    assert port.waiting == 1
    is_settled(field)


@pytest.mark.parametrize("family", [4, 6])
def test_a_fragment_that_ends_behind_65535_is_dropped(family: int) -> None:
    """The ping of death."""
    field, _ = make()
    protocol = 1 if family == 4 else 58
    for number in range(10):
        field.strike(fragment(far(family, 1), number, 65528, False, bytes(1400), protocol))
        field.strike(fragment(far(family, 1), number, 0, True, bytes(1400), protocol))
    assert field.counted("malformed", "reassembly_dropped") >= 10
    is_settled(field)
    assert not field.answers


@pytest.mark.parametrize("family", [4, 6])
def test_empty_and_odd_fragments_are_counted(family: int) -> None:
    field, _ = make()
    for number in range(10):
        field.strike(fragment(far(family, 1), number, 8, True, b""))
        field.strike(fragment(far(family, 1), 100 + number, 8, True, bytes(1401)))
    assert field.counted("reassembly_dropped") == 20
    is_settled(field)


def test_what_a_first_fragment_hides_is_not_read() -> None:
    """RFC 7112: the chain of headers is in the first fragment, or there is no packet; and no fragments of fragments."""
    field, _ = make()
    source = far(6, 1)
    chain = bytes((ipv6.UDP, 0, 1, 4, 0, 0, 0, 0))
    inner = ipv6.emit_fragment(ipv6.Fragment(17, 0, True, 7)) + bytes(8)
    for number, (protocol, data) in enumerate(
        [(ipv6.DESTINATION, chain), (ipv6.FRAGMENT, inner), (ipv6.HOP_BY_HOP, chain), (ipv6.DESTINATION, chain[:4])]
    ):
        field.strike(fragment(source, number, 0, True, data.ljust(8, b"\0"), protocol))
        field.strike(fragment(source, number, 8, False, bytes(8), protocol))
    assert field.counted("datagrams_in") == 0
    assert field.counted("malformed") >= 4
    is_settled(field)


def test_atomic_fragments_are_whole_packets_whatever_else_has_their_name() -> None:
    """RFC 6946: a flood of fragments with its name does not reach an atomic fragment."""
    field, port = make()
    source = far(6, 1)
    data = whole(source, b"atomic")
    field.strike(fragment(source, 7, 0, True, bytes(16)))
    field.strike(fragment(source, 7, 0, False, data))
    assert port.receive_from() == (b"atomic", source, 9)
    is_settled(field)


@pytest.mark.parametrize("family", [4, 6])
def test_an_echo_of_64_kib_in_fragments_is_answered_with_no_more(family: int) -> None:
    field, _ = make()
    source = far(family, 1)
    if family == 4:
        data = icmpv4.emit(icmpv4.echo(1, 1, bytes(60_000)))
    else:
        data = icmpv6.emit(icmpv6.echo(1, 1, bytes(60_000)), source, VICTIM6)
    step = 1400
    for at in range(0, len(data), step):
        field.strike(fragment(source, 1, at, at + step < len(data), data[at : at + step], 1 if family == 4 else 58))
    field.pass_time(0.1)
    assert field.counted("echoes") == 1
    assert field.answered_bytes <= field.bytes + 2000
    is_settled(field)
