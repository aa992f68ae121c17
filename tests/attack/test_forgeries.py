"""Answers that the one who was asked did not give: DHCP, DNS and ICMP, forged (RFC 5452, RFC 5927, RFC 8201)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sarab.device.network import Incoming
from sarab.net.endpoints import Endpoint
from sarab.net.interface import Configuration
from sarab.net.ipv4 import PMTU_MIN
from sarab.net.names import Lookup
from sarab.net.stack import PMTU_ENTRIES_MAX
from sarab.proto.tcp.values import State
from sarab.wire import dhcpv4, dns, ethernet, icmpv4, icmpv6, ipv4, ipv6, udp
from sarab.wire.address import BROADCAST4, parse
from sarab.wire.checksum import checksum, partial, pseudo_header
from tests.attack.field import (
    CLIENT4,
    CLIENT6,
    EVIL,
    PORT,
    ROUTER4,
    ROUTER6,
    VICTIM4,
    VICTIM6,
    Field,
    datagram,
    far,
    frame,
    icmp,
)

WORK_MAX = 900
MASK = 0xFFFFFFFF

# ---- ICMP --------------------------------------------------------------------------------------------------------


def quotation(flow_of: tuple[bytes, int, bytes, int], seq: int, size: int = 1500) -> bytes:
    """Return the beginning of a segment of the victim's, as an error quotes it."""
    source, src_port, destination, dst_port = flow_of
    tcp = src_port.to_bytes(2, "big") + dst_port.to_bytes(2, "big") + (seq & MASK).to_bytes(4, "big")
    if len(source) == 4:
        return ipv4.emit(ipv4.Header(source, destination, 6, size)) + tcp
    return ipv6.emit(ipv6.Header(source, destination, 6, size - 40)) + tcp


def too_big(source: bytes, mtu: int, quoted: bytes) -> bytes:
    if len(source) == 4:
        return icmp(source, icmpv4.fragmentation_needed(mtu, quoted))
    return icmp(source, icmpv6.packet_too_big(mtu, quoted))


def unreachable(source: bytes, code: int, quoted: bytes) -> bytes:
    if len(source) == 4:
        return icmp(source, icmpv4.Message(icmpv4.UNREACHABLE, code, 0, 0, quoted))
    return icmp(source, icmpv6.error(icmpv6.UNREACHABLE, code, quoted))


@pytest.mark.parametrize("family", [4, 6])
def test_a_path_that_is_said_to_carry_68_bytes_still_carries_segments(family: int) -> None:
    """Even from one who sees the wire: the floor is 552 in IPv4 and 1280 in IPv6."""
    field = Field()
    link = field.link
    far_end = field.client.stack.tcp_connect(link.now, VICTIM4 if family == 4 else VICTIM6, PORT)
    link.run(0.1)
    client = CLIENT4 if family == 4 else CLIENT6
    own = VICTIM4 if family == 4 else VICTIM6
    flow = field.victim.stack.tcp.flows[(own, PORT, client, far_end.local[1])]
    flow.write(link.now, bytes(200_000))
    field.victim.stack.tcp.poll(link.now)
    router = ROUTER4 if family == 4 else ROUTER6
    for mtu in (68, 0, 1, 67, 296, 65535):
        field.strike(too_big(router, mtu, quotation(flow.key, flow.machine.snd_una)))
    floor = PMTU_MIN - 40 - 12 if family == 4 else 1440 - 12
    assert flow.machine.snd_mss == floor
    got = 0

    def read() -> bool:
        nonlocal got
        got += len(far_end.read(link.now, 1 << 20))
        return got == 200_000

    link.run(10, until=read)
    assert field.counted("icmp_errors_in") == 6
    assert field.counted("icmp_errors_ignored") >= 4
    field.still_serves()


@pytest.mark.parametrize("family", [4, 6])
def test_errors_about_what_is_not_in_flight_change_nothing(family: int) -> None:
    """A stranger knows addresses and ports, and guesses the numbers."""
    field = Field()
    link = field.link
    own, client = (VICTIM4, CLIENT4) if family == 4 else (VICTIM6, CLIENT6)
    router = ROUTER4 if family == 4 else ROUTER6
    far_end = field.client.stack.tcp_connect(link.now, own, PORT)
    link.run(0.1)
    flow = field.victim.stack.tcp.flows[(own, PORT, client, far_end.local[1])]
    opening = field.victim.stack.tcp_connect(link.now, far(family, 9), 81)
    field.victim.stack.poll(link.now)
    mss = flow.machine.snd_mss

    def forged() -> Iterator[bytes]:
        while True:
            for one in (flow, opening):
                seq = one.machine.snd_una + field.random.randrange(100_000, 1 << 31)
                yield too_big(router, 1300, quotation(one.key, seq))
                yield unreachable(router, field.random.randrange(5), quotation(one.key, seq))

    flood = forged()
    field.siege(flood)
    assert flow.machine.snd_mss == mss
    assert opening.machine.state is State.SYN_SENT
    assert field.counted("icmp_errors_ignored") == field.counted("icmp_errors_in") == field.frames
    assert not field.victim.stack._path_mtus
    assert field.work(next(flood) for _ in range(50)) < WORK_MAX
    field.still_serves()


@pytest.mark.parametrize("family", [4, 6])
def test_no_error_ends_a_connection_that_is_established(family: int) -> None:
    """RFC 5927 section 6: whatever it says, and with the right numbers."""
    field = Field()
    link = field.link
    own, client = (VICTIM4, CLIENT4) if family == 4 else (VICTIM6, CLIENT6)
    router = ROUTER4 if family == 4 else ROUTER6
    far_end = field.client.stack.tcp_connect(link.now, own, PORT)
    link.run(0.1)
    flow = field.victim.stack.tcp.flows[(own, PORT, client, far_end.local[1])]
    for code in range(16):
        field.strike(unreachable(router, code, quotation(flow.key, flow.machine.snd_una)))
    assert flow.machine.state is State.ESTABLISHED
    field.still_serves()


def test_path_mtus_of_nobody_fill_their_table_and_no_more() -> None:
    """A port for datagrams has no numbers to check, and must believe: of so many peers, and down to the floor."""
    field = Field()
    port = field.victim.stack.udp_open(field.link.now, b"", 5000)
    for number in range(3 * PMTU_ENTRIES_MAX):
        body = ipv4.emit(ipv4.Header(VICTIM4, far(4, number), 17, 1500)) + (5000).to_bytes(2, "big") + bytes(6)
        field.strike(too_big(ROUTER4, 68, body))
    assert len(field.victim.stack._path_mtus) == PMTU_ENTRIES_MAX
    assert field.victim.stack.path_mtu(far(4, 3000), field.link.now) == PMTU_MIN
    port.connect(CLIENT4, 9)
    body = ipv4.emit(ipv4.Header(VICTIM4, far(4, 9999), 17, 1500)) + (5000).to_bytes(2, "big") + bytes(6)
    field.strike(too_big(ROUTER4, 68, body))
    assert field.victim.stack.path_mtu(far(4, 9999), field.link.now) == 1500, "a connected port knows its peer"
    field.still_serves()


# ---- DNS ---------------------------------------------------------------------------------------------------------


class NameServer:
    """The client is the victim's name server, and takes its time."""

    def __init__(self, field: Field, answers: bool = True) -> None:
        field.victim.stack.names.servers = (CLIENT4,)
        self.field, self.answers = field, answers
        self.port = field.client.stack.udp_open(field.link.now, b"", 53)
        self.questions: list[tuple[bytes, int]] = []
        field.client.on_ready = self.on_ready

    def on_ready(self, endpoint: Endpoint, events: int) -> None:
        if endpoint is self.port:
            while (datagram := self.port.receive_from()) is not None:
                self.questions.append((datagram[0], datagram[2]))

    def reply(self) -> None:
        """Answer what was asked, with 192.0.2.7."""
        for data, port in self.questions:
            query = dns.parse(data)
            (question,) = query.questions
            record = dns.Record(question.name, dns.A, dns.IN, 60, parse("192.0.2.7"))
            message = dns.Message(query.id, dns.QR | dns.RA, (question,), (record,) if question.type == dns.A else ())
            self.port.send_to(self.field.link.now, dns.emit(message), VICTIM4, port)
        self.questions.clear()


def resolved(field: Field, lookup: Lookup, server: NameServer) -> tuple[bytes, ...]:
    server.reply()
    field.link.run(0.1)
    return lookup.addresses


def test_a_forger_who_does_not_see_the_question_does_not_answer_it() -> None:
    """He knows the port even, and tries identifiers; then he knows the identifier, and not how the name was written."""
    field = Field()
    server = NameServer(field)
    lookup = field.victim.stack.resolve(field.link.now, "a-long-name-of-many-letters.example", 4)
    field.link.run(0.01)
    ((data, port),) = server.questions
    query = dns.parse(data)
    (question,) = query.questions
    evil = dns.Record(question.name, dns.A, dns.IN, 60, parse("192.0.2.66"))
    frames = []
    for step in range(1, 2000):
        message = dns.Message((query.id + step) & 0xFFFF, dns.QR, (question,), (evil,))
        frames.append(datagram(CLIENT4, 53, port, dns.emit(message)))
    lower = dns.Question(dns.lower(question.name), question.type)
    for other in (lower, dns.Question((b"other", b"example"), question.type), dns.Question(question.name, dns.MX)):
        frames.append(datagram(CLIENT4, 53, port, dns.emit(dns.Message(query.id, dns.QR, (other,), (evil,)))))
    frames.append(datagram(CLIENT4, 53, port, dns.emit(dns.Message(query.id, 0, (question,), (evil,)))))
    frames.append(datagram(CLIENT4, 53, port, query.id.to_bytes(2, "big") + b"\x80" * 30))
    frames += [datagram(other, 53, port, dns.emit(dns.Message(query.id, dns.QR, (question,), (evil,)))) for other in
               (far(4, 1), ROUTER4)]  # fmt: skip
    frames.append(datagram(CLIENT4, 5353, port, dns.emit(dns.Message(query.id, dns.QR, (question,), (evil,)))))
    for number, one in enumerate(frames):
        field.strike(one)
        if number % 64 == 0:
            field.victim.stack.poll(field.link.now)
    assert not lookup.done
    assert resolved(field, lookup, server) == (parse("192.0.2.7"),)
    assert field.counted("names_dropped") == len(frames) - 3
    assert field.counted("no_port") == 3, "what comes from another address or port is for nobody"
    field.still_serves()


def test_each_question_leaves_from_a_port_and_with_an_identifier_of_its_own() -> None:
    """RFC 5452 section 9.2."""
    field = Field()
    server = NameServer(field)
    for number in range(50):
        field.victim.stack.resolve(field.link.now, f"n{number}.example", 4)
        field.link.run(0.01)
    ports = {port for _, port in server.questions}
    identifiers = {data[:2] for data, _ in server.questions}
    assert len(ports) > 45
    assert len(identifiers) > 45
    assert max(ports) - min(ports) > 10_000
    field.still_serves()


def test_an_answer_that_tells_of_other_names_teaches_nothing() -> None:
    """Kaminsky's: more records than were asked for."""
    field = Field()
    server = NameServer(field)
    lookup = field.victim.stack.resolve(field.link.now, "a.example", 4)
    field.link.run(0.01)
    ((data, port),) = server.questions
    query = dns.parse(data)
    (question,) = query.questions
    evil = dns.Record((b"bank", b"example"), dns.A, dns.IN, 86400, parse("192.0.2.66"))
    true = dns.Record(question.name, dns.A, dns.IN, 60, parse("192.0.2.7"))
    message = dns.Message(query.id, dns.QR, (question,), (evil, true), (evil,), (evil,))
    field.strike(datagram(CLIENT4, 53, port, dns.emit(message)))
    field.victim.stack.poll(field.link.now)
    assert lookup.addresses == (parse("192.0.2.7"),)
    server.questions.clear()
    other = field.victim.stack.resolve(field.link.now, "bank.example", 4)
    field.link.run(0.01)
    assert not other.done
    assert resolved(field, other, server) == (parse("192.0.2.7"),)
    field.still_serves()


# ---- DHCP --------------------------------------------------------------------------------------------------------


class Leasing(Field):
    """A field whose victim leases its IPv4 address on a second card, from the router."""

    def __init__(self) -> None:
        super().__init__()
        self.mac = bytes((2, 0, 0, 0, 0, 0x77))
        stack = self.victim.stack
        self.card = stack.add_interface("eth1", self.mac, 1500, configuration=Configuration(dhcp=True))
        self.sent: list[bytes] = []

    def turn(self) -> list[dhcpv4.Message]:
        """Let the victim do what is due; return what it asks of DHCP servers."""
        asked = []
        for interface, frames in self.victim.stack.poll(self.link.now):
            for one in frames:
                data = one.header + bytes(one.payload)
                if interface is self.card and data[12:14] == b"\x08\x00" and data[23] == 17:
                    asked.append(dhcpv4.parse(data[42:]))
        return asked

    def offer(self, xid: int, kind: int, own: bytes, server: bytes = ROUTER4, mac: bytes = b"") -> bytes:
        options = (
            (dhcpv4.MESSAGE_TYPE, bytes((kind,))), (54, server), (1, parse("255.255.255.0")), (3, server),
            (6, server), (51, (600).to_bytes(4, "big")),
        )  # fmt: skip
        payload = dhcpv4.emit(dhcpv4.Message(2, xid, mac or self.mac, options, yiaddr=own))
        length = udp.HEADER_SIZE + len(payload)
        bare = udp.emit(udp.Header(67, 68, length))
        whole = checksum(bare, pseudo_header(server, BROADCAST4, 17, length) + partial(payload))
        packet = (
            ipv4.emit(ipv4.Header(server, BROADCAST4, 17, 20 + length)) + bare[:6] + whole.to_bytes(2, "big") + payload
        )
        return frame(ethernet.IPV4, packet, EVIL, ethernet.BROADCAST)

    def strike_card(self, data: bytes) -> None:
        self.frames += 1
        self.victim.stack.receive(self.link.now, self.card, [Incoming(data)])

    def lease(self, discover: dhcpv4.Message) -> None:
        """Have the victim lease 10.7.0.9 from an honest server."""
        self.strike_card(self.offer(discover.xid, dhcpv4.OFFER, parse("10.7.0.9")))
        (request,) = self.turn()
        self.strike_card(self.offer(request.xid, dhcpv4.ACK, parse("10.7.0.9")))
        self.turn()


def test_leases_that_answer_no_question_are_counted_and_change_nothing() -> None:
    """One who does not see the question guesses 32 bits; messages for others, of other kinds, and of no sense."""
    field = Leasing()
    (discover,) = field.turn()
    for step in range(1, 500):
        for kind in (dhcpv4.OFFER, dhcpv4.ACK, dhcpv4.NAK):
            field.strike_card(field.offer((discover.xid + step * 7919) & MASK, kind, parse("10.7.0.66")))
    field.strike_card(field.offer(discover.xid, dhcpv4.OFFER, parse("10.7.0.66"), mac=EVIL))
    field.strike_card(field.offer(discover.xid, dhcpv4.ACK, parse("10.7.0.66")))
    field.strike_card(field.offer(discover.xid, dhcpv4.OFFER, parse("127.0.0.1")))
    field.strike_card(field.offer(discover.xid, dhcpv4.OFFER, parse("10.7.0.255")))
    assert not field.card.addresses
    assert field.counters()["eth1_dhcp_dropped"] == field.frames
    field.lease(discover)
    assert field.card.has(parse("10.7.0.9"))


def test_a_lease_that_we_have_is_not_taken_away_or_changed() -> None:
    field = Leasing()
    (discover,) = field.turn()
    field.lease(discover)
    leases = field.card.leases
    assert leases is not None
    before = field.counters()["eth1_dhcp_dropped"]
    for kind in (dhcpv4.NAK, dhcpv4.ACK, dhcpv4.OFFER):
        for xid in (leases.client._xid, 0, 1):
            field.strike_card(field.offer(xid, kind, parse("10.7.0.66"), far(4, 1)))
    field.turn()
    assert field.card.has(parse("10.7.0.9"))
    assert not field.card.has(parse("10.7.0.66"))
    assert field.counters()["eth1_dhcp_dropped"] - before == 9


def test_a_server_that_always_says_no_is_asked_less_and_less() -> None:
    field = Leasing()
    asked = 0
    for _ in range(2000):
        for message in field.turn():
            asked += 1
            kind = dhcpv4.OFFER if message.kind == dhcpv4.DISCOVER else dhcpv4.NAK
            field.strike_card(field.offer(message.xid, kind, parse("10.7.0.9")))
        field.link.now += 300_000_000
    assert asked < 60, "ten minutes"
