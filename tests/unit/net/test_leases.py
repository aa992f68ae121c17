"""A card that gets its address by DHCP, from a server of the test's own on the link."""

from __future__ import annotations

from sarab.device.network import Offload
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.testing.network import VirtualLink
from sarab.wire import dhcpv4, ethernet, ipv4, udp
from sarab.wire.address import ANY4, BROADCAST4, parse
from sarab.wire.checksum import checksum, partial, pseudo_header

SECOND = 1_000_000_000
SERVER = parse("10.0.0.1")
OURS = parse("10.0.0.77")
MAC = bytes((2, 0, 0, 0, 0, 9))


def read(frame: bytes) -> tuple[ipv4.Header, dhcpv4.Message]:
    header = ipv4.parse(frame[14:])
    return header, dhcpv4.parse(frame[14 + header.size + udp.HEADER_SIZE : 14 + header.total_length])


def reply(request: dhcpv4.Message, kind: int, seconds: int = 100, mtu: int = 0) -> bytes:
    options = (
        (dhcpv4.MESSAGE_TYPE, bytes((kind,))),
        (54, SERVER),
        (1, parse("255.255.255.0")),
        (3, SERVER),
        (6, parse("10.0.0.53")),
        (51, seconds.to_bytes(4, "big")),
        *(((dhcpv4.INTERFACE_MTU, mtu.to_bytes(2, "big")),) if mtu else ()),
    )
    payload = dhcpv4.emit(dhcpv4.Message(2, request.xid, MAC, options, yiaddr=OURS))
    length = udp.HEADER_SIZE + len(payload)
    bare = udp.emit(udp.Header(67, 68, length))
    whole = checksum(bare, pseudo_header(SERVER, BROADCAST4, ipv4.UDP, length) + partial(payload))
    header = ipv4.emit(ipv4.Header(SERVER, BROADCAST4, ipv4.UDP, ipv4.HEADER_SIZE + length))
    link = ethernet.emit(ethernet.Header(ethernet.BROADCAST, bytes((2, 0, 0, 0, 0, 1)), ethernet.IPV4))
    return link + header + bare[:6] + whole.to_bytes(2, "big") + payload


class Leased:
    """A stack with one card, and the server's side by hand."""

    def __init__(self, configuration: Configuration) -> None:
        self.link = VirtualLink()
        self.stack = Stack(self.link._chance.randbytes)
        self.card = self.stack.add_interface("eth0", MAC, 1500, Offload.NONE, configuration)

    def sent(self) -> list[bytes]:
        frames = [frame for _, frames in self.stack.poll(self.link.now) for frame in frames]
        return [frame.header + bytes(frame.payload) for frame in frames if frame.header[12:14] == b"\x08\x00"]

    def take(self, frame: bytes) -> None:
        from sarab.device.network import Incoming

        self.stack.receive(self.link.now, self.card, [Incoming(frame)])

    def bind(self, seconds: int = 100, mtu: int = 0) -> None:
        (discover,) = self.sent()
        header, message = read(discover)
        assert (header.source, header.destination, message.kind) == (ANY4, BROADCAST4, dhcpv4.DISCOVER)
        self.take(reply(message, dhcpv4.OFFER))
        (request,) = self.sent()
        self.take(reply(read(request)[1], dhcpv4.ACK, seconds, mtu))


def test_a_lease_is_the_cards_configuration() -> None:
    host = Leased(Configuration(dhcp=True))
    host.bind()
    assert host.card.addresses == [(OURS, 24)]
    assert host.card.gateways == (SERVER,)
    assert host.stack.names.servers == (parse("10.0.0.53"),)
    assert host.stack.source_for(parse("192.0.2.1")) == OURS


def test_servers_named_by_hand_are_kept() -> None:
    host = Leased(Configuration(dhcp=True, dns=(parse("9.9.9.9"),)))
    host.bind()
    assert host.stack.names.servers == (parse("9.9.9.9"),)


def test_the_server_is_asked_for_more_time_and_without_it_the_address_goes() -> None:
    host = Leased(Configuration(dhcp=True))
    host.bind()
    host.link.now += 51 * SECOND
    assert host.sent() == []  # the server's Ethernet address is asked for first
    assert host.card.neighbours.deadline() is not None
    host.link.now += 60 * SECOND
    host.sent()
    assert host.card.addresses == []
    assert host.stack.names.servers == ()
    assert not host.stack.is_local(OURS)


def test_smaller_mtu_lasts_as_long_as_the_lease_and_a_larger_one_is_not_the_cards() -> None:
    host = Leased(Configuration(dhcp=True))
    host.bind(mtu=1400)
    assert host.card.mtu == 1400
    host.link.now += 120 * SECOND
    host.sent()  # the lease is over, and another is asked for
    assert host.card.addresses == []
    assert host.card.mtu == 1500
    host.link.now += 60 * SECOND
    host.bind()
    assert host.card.mtu == 1500
    other = Leased(Configuration(dhcp=True))
    other.bind(mtu=9000)
    assert other.card.mtu == 1500


def test_what_is_not_dhcp_at_port_68_is_counted() -> None:
    host = Leased(Configuration(dhcp=True))
    host.sent()
    bare = udp.emit(udp.Header(67, 68, 12)) + b"junk"
    header = ipv4.emit(ipv4.Header(SERVER, BROADCAST4, ipv4.UDP, 32))
    host.take(ethernet.BROADCAST + bytes(6) + b"\x08\x00" + header + bare)
    assert host.card.leases is not None
    assert host.card.leases.malformed == 1
