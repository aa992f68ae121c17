"""IPv4 in the stack: packets that come, ICMP, ARP, packets that go (RFC 791, RFC 792, RFC 826, RFC 1122)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sarab.device.network import Outgoing
from sarab.net.endpoints import Arrived, Path
from sarab.net.errors import NetworkUnreachable
from sarab.net.interface import Interface
from sarab.net.reassembly import Reassembly
from sarab.proto.tcp.values import Event
from sarab.wire import arp, ethernet, icmpv4, ipv4, udp
from sarab.wire import tcp as wire_tcp
from sarab.wire.address import ANY4, is_loopback, is_multicast
from sarab.wire.checksum import partial, pseudo_header, verified
from sarab.wire.errors import Malformed

if TYPE_CHECKING:
    from sarab.net.stack import Stack

QUOTED_MAX = 28 + 520
"""Bytes of a packet quoted in an error (RFC 1812 section 4.3.2.3: as much as makes 576)."""
SOURCE_ROUTES = (ipv4.LOOSE_SOURCE_ROUTE, ipv4.STRICT_SOURCE_ROUTE)
IDENTIFICATIONS = 256
"""Counts of fragmented packets, shared by destinations that fall on the same one."""
PMTU_MIN = 552
"""No path in use carries less, and who says so wants us to send crumbs (Linux's net.ipv4.route.min_pmtu)."""


class Ipv4:
    """IPv4 of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.reassembly = Reassembly()
        self._identifications = [int.from_bytes(stack.random(2), "big")] * IDENTIFICATIONS

    # ---- packets that come ---------------------------------------------------------------------------------------

    def receive(
        self, now: int, interface: Interface | None, packet: bytes | memoryview, was_verified: bool, gso_size: int
    ) -> None:
        """Take a packet; `interface` None: from ourselves. Raises Malformed."""
        header = ipv4.parse(packet)
        destination = header.destination
        if interface is not None:
            if not interface.hears(destination) or is_loopback(header.source) or is_loopback(destination):
                self._stack.counters["not_for_us"] += 1
                return
            source = header.source
            if is_multicast(source) or self._stack.is_local(source) or interface.is_broadcast(source):
                self._stack.counters["not_for_us"] += 1
                return
            if header.options and any(kind in SOURCE_ROUTES for kind, _ in ipv4.parse_options(header.options)):
                self._stack.counters["source_routed"] += 1
                return
        payload = packet[header.size : header.total_length]
        if header.fragment_offset or header.flags & ipv4.MORE_FRAGMENTS:
            self._stack.counters["fragments_in"] += 1
            key = (header.source, destination, header.protocol, header.identification)
            more = bool(header.flags & ipv4.MORE_FRAGMENTS)
            whole = self.reassembly.add(now, key, header.fragment_offset, more, bytes(payload))
            if whole is None:
                return
            self._stack.counters["reassembled"] += 1
            payload, was_verified, gso_size = whole, False, 0
        protocol = header.protocol
        if protocol == ipv4.TCP:
            self._tcp(now, interface, header, payload, was_verified, gso_size)
        elif protocol == ipv4.UDP:
            self._udp(now, interface, header, payload, was_verified)
        elif protocol == ipv4.ICMP:
            self._icmp(now, interface, header, payload)
        elif not self._stack.raw.packet(protocol, header.source, payload):
            self._stack.counters["no_protocol"] += 1
            self._complain(now, interface, header, payload, icmpv4.UNREACHABLE, icmpv4.PROTOCOL)

    def _tcp(
        self,
        now: int,
        interface: Interface | None,
        header: ipv4.Header,
        payload: bytes | memoryview,
        was_verified: bool,
        gso_size: int,
    ) -> None:
        source, destination = header.source, header.destination
        if not was_verified and not verified(payload, pseudo_header(source, destination, ipv4.TCP, len(payload))):
            self._stack.tcp.counters["bad_checksum"] += 1
            return
        if interface is not None and interface.is_broadcast(destination):
            self._stack.counters["not_for_us"] += 1
            return
        segment = wire_tcp.parse(payload)
        self._stack.tcp.arrived(now, Arrived(source, destination, segment, header.ecn == ipv4.CE, gso_size))

    def _udp(
        self,
        now: int,
        interface: Interface | None,
        header: ipv4.Header,
        payload: bytes | memoryview,
        was_verified: bool,
    ) -> None:
        datagram = udp.parse(payload)
        source, destination = header.source, header.destination
        body = payload[: datagram.length]
        if (
            datagram.checksum
            and not was_verified
            and not verified(body, pseudo_header(source, destination, ipv4.UDP, datagram.length))
        ):
            self._stack.counters["bad_checksum"] += 1
            return
        leases = None if interface is None else interface.leases
        if leases is not None and datagram.dst_port == leases.port:
            leases.receive(now, bytes(body[udp.HEADER_SIZE :]))
            return
        many = interface is not None and not interface.has(destination)
        data = bytes(body[udp.HEADER_SIZE :])
        if not self._stack.deliver_datagram(destination, datagram.dst_port, source, datagram.src_port, data, many):
            self._complain(now, interface, header, payload, icmpv4.UNREACHABLE, icmpv4.PORT)

    # ---- ICMP ----------------------------------------------------------------------------------------------------

    def _complain(
        self,
        now: int,
        interface: Interface | None,
        header: ipv4.Header,
        payload: bytes | memoryview,
        kind: int,
        code: int,
    ) -> None:
        """Send an error about a packet, unless RFC 1122 section 3.2.2 forbids it."""
        if interface is not None and not interface.has(header.destination):
            return
        if not any(header.source) or not self._stack.may_complain(now):
            return
        quoted = ipv4.emit(header) + bytes(payload[: QUOTED_MAX - header.size])
        message = icmpv4.emit(icmpv4.Message(kind, code, 0, 0, quoted))
        self.send(now, header.destination, header.source, ipv4.ICMP, message)

    def _icmp(self, now: int, interface: Interface | None, header: ipv4.Header, payload: bytes | memoryview) -> None:
        message = icmpv4.parse(payload)
        if message.type == icmpv4.ECHO:
            if interface is not None and not interface.has(header.destination):
                self._stack.counters["icmp_ignored"] += 1  # RFC 1122 section 3.2.2.6: silent to a broadcast
                return
            self._stack.counters["echoes"] += 1
            answer = message._replace(type=icmpv4.ECHO_REPLY, code=0)
            self.send(now, header.destination, header.source, ipv4.ICMP, icmpv4.emit(answer))
        elif message.type in icmpv4.ERRORS:
            self._stack.counters["icmp_errors_in"] += 1
            if not self._icmp_error(now, message):
                self._stack.counters["icmp_errors_ignored"] += 1
        else:
            self._stack.counters["icmp_ignored"] += 1

    def _icmp_error(self, now: int, message: icmpv4.Message) -> bool:
        """Tell whom the quoted packet belongs to. The quotation is cut: its lengths are not those of the packet.

        Return whether it was believed. Raises Malformed.
        """
        quoted = bytes(message.body)
        size = (quoted[0] & 15) * 4 if quoted else 0
        if size < ipv4.HEADER_SIZE or len(quoted) < size + 8 or quoted[0] >> 4 != 4:
            raise Malformed("an ICMP error that quotes too little")
        protocol, source, destination = quoted[9], quoted[12:16], quoted[16:20]
        if not self._stack.is_local(source):
            return False
        src_port = int.from_bytes(quoted[size : size + 2], "big")
        dst_port = int.from_bytes(quoted[size + 2 : size + 4], "big")
        needs_less = message.type == icmpv4.UNREACHABLE and message.code == icmpv4.FRAGMENTATION_NEEDED
        mtu = 0
        if needs_less:
            mtu = max(message.second or 576, PMTU_MIN)
            if mtu >= self._stack.path_mtu(destination, now):
                return False
        if protocol == ipv4.TCP:
            seq = int.from_bytes(quoted[size + 4 : size + 8], "big")
            hard = message.type == icmpv4.UNREACHABLE and message.code in icmpv4.HARD
            local, remote = (source, src_port), (destination, dst_port)
            believed = self._stack.tcp.unreachable(now, local, remote, seq, hard, mtu - 40 if mtu else 0)
            if believed and needs_less:
                self._stack.remember_mtu(now, destination, mtu)
            return believed
        if protocol != ipv4.UDP:
            return False
        believed = False
        for endpoint in self._stack.udp.get(src_port, ()):
            if needs_less:
                if endpoint.remote in (None, (destination, dst_port)):
                    self._stack.remember_mtu(now, destination, mtu)
                    believed = True
            elif endpoint.remote == (destination, dst_port) and message.type == icmpv4.UNREACHABLE:
                endpoint.error = Event.REFUSED if message.code == icmpv4.PORT else Event.UNREACHABLE
                self._stack.ready(endpoint, endpoint.error)
                believed = True
        return believed

    # ---- ARP -----------------------------------------------------------------------------------------------------

    def arp(self, now: int, interface: Interface, data: bytes) -> None:
        """Take a frame of ARP. Raises Malformed."""
        packet = arp.parse(memoryview(data)[14:])
        self._stack.counters["arp_in"] += 1
        if packet.sha == interface.mac or packet.sha[0] & 1:
            self._stack.counters["not_for_us"] += 1
            return
        if interface.has(packet.spa):
            self._stack.counters["address_conflicts"] += 1
            return
        for_us = interface.has(packet.tpa)
        asked = for_us and packet.op == arp.REQUEST  # an answer that we wait for needs no more than its entry
        if any(packet.spa):
            for frame in interface.neighbours.confirmed(now, packet.spa, packet.sha, asked=asked):
                interface.queue(frame)
        if for_us and packet.op == arp.REQUEST:
            header = ethernet.emit(ethernet.Header(packet.sha, interface.mac, ethernet.ARP))
            answer = arp.Packet(arp.REPLY, interface.mac, packet.tpa, packet.sha, packet.spa)
            interface.queue(Outgoing(header + arp.emit(answer)))

    def ask(self, interface: Interface, address: bytes, mac: bytes | None) -> None:
        """Put a question for a neighbour on the link; `mac`: its address, as far as we know."""
        source = interface.source_for(address) or ANY4
        header = ethernet.emit(ethernet.Header(mac or ethernet.BROADCAST, interface.mac, ethernet.ARP))
        interface.queue(Outgoing(header + arp.emit(arp.Packet(arp.REQUEST, interface.mac, source, bytes(6), address))))

    # ---- packets that go -----------------------------------------------------------------------------------------

    def send(self, now: int, source: bytes, destination: bytes, protocol: int, payload: bytes) -> None:
        """Send a packet, in fragments where it is too long. Raises NetworkUnreachable only for what a user sends."""
        if self._stack.is_local(destination):
            header = ipv4.Header(source, destination, protocol, ipv4.HEADER_SIZE + len(payload))
            self._stack.loop(ipv4.emit(header) + payload)
            return
        try:
            interface, hop = self._stack.route(destination)
        except NetworkUnreachable:
            if protocol == ipv4.UDP:
                raise
            return
        link = self._link(now, interface, hop)
        total = ipv4.HEADER_SIZE + len(payload)
        mtu = min(interface.mtu, PMTU_MIN)  # enough for nearly all that comes here, and a flood's answers are many
        if total <= mtu or total <= (mtu := self._stack.path_mtu(destination, now)):
            pieces = [(ipv4.Header(source, destination, protocol, total), payload)]
        else:
            identification = self._identify(source, destination, protocol)
            step = (mtu - ipv4.HEADER_SIZE) // 8 * 8
            pieces = []
            for at in range(0, len(payload), step):
                piece = payload[at : at + step]
                flags = ipv4.MORE_FRAGMENTS if at + step < len(payload) else 0
                size = ipv4.HEADER_SIZE + len(piece)
                pieces.append((ipv4.Header(source, destination, protocol, size, identification, flags, at), piece))
        for header, piece in pieces:
            if link is None:
                frame = Outgoing(bytes(6) + interface.mac + b"\x08\x00" + ipv4.emit(header), piece)
                interface.neighbours.enqueue(now, hop, frame)
            else:
                interface.queue(Outgoing(link + ipv4.emit(header), piece))

    def _identify(self, source: bytes, destination: bytes, protocol: int) -> int:
        """Return a name for the fragments of a packet that no other of this way has had lately (RFC 7739 section 5.3).

        One count for all would tell everybody how much we send to others, and let a stranger forge fragments.
        """
        drawn = self._stack.tcp.secrets.identification(source, destination, protocol)
        index = (drawn >> 16) % IDENTIFICATIONS
        self._identifications[index] = count = (self._identifications[index] + 1) & 0xFFFF
        return (drawn + count) & 0xFFFF

    def _link(self, now: int, interface: Interface, hop: bytes) -> bytes | None:
        mac = self._stack.mac_of(now, interface, hop)
        return None if mac is None else mac + interface.mac + b"\x08\x00"

    def path(self, now: int, source: bytes, destination: bytes, changes: int) -> Path:
        """Return the way that a flow's segments take now, not to ourselves. Raises NetworkUnreachable."""
        interface, hop = self._stack.route(destination)
        link = self._link(now, interface, hop)
        header = ipv4.emit(ipv4.Header(source, destination, ipv4.TCP, 0))
        head = (link or bytes(6) + interface.mac + b"\x08\x00") + header[:2]
        ip_sum = (partial(header[:10]) + partial(header[12:])) % 65535
        return Path(
            changes,
            interface,
            hop,
            link and link[:6],
            head,
            header[4:10],
            header[12:],
            ip_sum,
            pseudo_header(source, destination, ipv4.TCP, 0),
            interface.neighbours,
        )
