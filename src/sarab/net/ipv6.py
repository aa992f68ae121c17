"""IPv6 in the stack (RFC 8200, RFC 4443): packets that come, errors, packets and frames that go."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING

from sarab.device.network import Gso, Offload, Outgoing
from sarab.net.discovery import Discovery
from sarab.net.endpoints import Arrived, Path
from sarab.net.errors import NetworkUnreachable
from sarab.net.interface import Interface
from sarab.net.reassembly import Reassembly
from sarab.proto.tcp.values import Event
from sarab.wire import icmpv6, ipv6, udp
from sarab.wire import tcp as wire_tcp
from sarab.wire.address import MAPPED, is_multicast
from sarab.wire.checksum import checksum, partial, pseudo_header, verified
from sarab.wire.errors import Malformed
from sarab.wire.tcp import Segment

if TYPE_CHECKING:
    from sarab.net.stack import Stack

MTU_MIN = 1280
"""What every link carries: a router that asks for less is not believed (RFC 8201 section 4)."""
TCP_AT = 14 + ipv6.HEADER_SIZE
"""Where TCP begins in a frame without extension headers."""
_QUICK = Struct("!IHBB16s16sHH")
_START = Struct("!18sH2s32s")
_SUM = Struct("!H")


class Ipv6:
    """IPv6 of one stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.reassembly = Reassembly()
        self.discovery = Discovery(self, stack)

    # ---- packets that come ---------------------------------------------------------------------------------------

    def frame(self, now: int, interface: Interface, data: bytes, was_verified: bool, gso_size: int) -> None:
        """Take a frame of IPv6. Raises Malformed."""
        if self._tcp_of_flow(now, interface, data, was_verified, gso_size):
            return
        if interface.ipv6 and (data[0] & 1 or data[:6] == interface.mac):
            self.receive(now, interface, data[14:], was_verified, gso_size, data[6:12])
        else:
            self._stack.counters["not_for_us"] += 1

    def _tcp_of_flow(self, now: int, interface: Interface, data: bytes, was_verified: bool, gso_size: int) -> bool:
        """The short way: a packet without extension headers for a connection that we have. False: not looked at."""
        if len(data) < TCP_AT + 20 or data[20] != ipv6.TCP or data[14] >> 4 != 6 or data[:6] != interface.mac:
            return False
        first, length, _, _, source, destination, src_port, dst_port = _QUICK.unpack_from(data, 14)
        if not 20 <= length <= len(data) - TCP_AT or destination not in interface.own:
            return False
        flow = self._stack.tcp.flows.get((destination, dst_port, source, src_port))
        if flow is None or flow.stays:
            return False
        view = memoryview(data)[TCP_AT : TCP_AT + length]
        if not was_verified and not verified(view, pseudo_header(source, destination, ipv6.TCP, length)):
            self._stack.tcp.counters["bad_checksum"] += 1
            return True
        self._stack.tcp.for_flow(now, flow, wire_tcp.parse(view), first >> 20 & 3 == 3, gso_size)
        return True

    def receive(
        self, now: int, interface: Interface | None, packet: bytes, was_verified: bool, gso_size: int, mac: bytes = b""
    ) -> None:
        """Take a packet; `interface` None: from ourselves. Raises Malformed."""
        header = ipv6.parse(packet)
        if not self._hears(interface, header):
            self._stack.counters["not_for_us"] += 1
            return
        packet = packet[: ipv6.HEADER_SIZE + header.payload_length]
        found = ipv6.walk(packet, header.next_header)
        fragment = found.fragment
        if fragment is not None:
            whole = self._fragment(now, header, fragment, packet, found.offset)
            if whole is None:
                return
            packet = packet[: ipv6.HEADER_SIZE] + whole
            was_verified, gso_size = False, 0
            found = ipv6.walk(packet, fragment.next_header)
            if found.fragment is not None or fragment.next_header == ipv6.HOP_BY_HOP:
                raise Malformed("a fragment of fragments")
        if found.problem is not None:
            code, pointer = found.problem
            self.complain(now, interface, header, packet, icmpv6.PARAMETER_PROBLEM, code, pointer)
            return
        payload = packet[found.offset :]
        protocol = found.protocol
        if protocol == ipv6.ICMPV6:
            bare = found.offset == ipv6.HEADER_SIZE
            self._icmp(now, interface, header, payload, mac if bare else b"")
        elif not any(header.source):
            self._stack.counters["not_for_us"] += 1
        elif protocol == ipv6.TCP:
            self._tcp(now, header, payload, was_verified, gso_size)
        elif protocol == ipv6.UDP:
            self._udp(now, interface, header, packet, payload, was_verified)
        elif protocol != ipv6.NO_NEXT and not self._stack.raw.packet(protocol, header.source, payload):
            self._stack.counters["no_protocol"] += 1
            code = icmpv6.UNKNOWN_NEXT_HEADER
            self.complain(now, interface, header, packet, icmpv6.PARAMETER_PROBLEM, code, found.field)

    def _hears(self, interface: Interface | None, header: ipv6.Header) -> bool:
        if interface is None:
            return True
        source, destination = header.source, header.destination
        if destination not in interface.own and destination not in interface.groups6:
            if destination not in interface.tentative6 or header.next_header != ipv6.ICMPV6:
                return False
        if is_multicast(source) or self._stack.is_local(source):
            return False
        # Mapped addresses are for programs: on a link they would pass for IPv4 (RFC 4942 section 2.2).
        return source[:12] != MAPPED and destination[:12] != MAPPED

    def _fragment(
        self, now: int, header: ipv6.Header, fragment: ipv6.Fragment, packet: bytes, offset: int
    ) -> bytes | None:
        stack = self._stack
        stack.counters["fragments_in"] += 1
        if not fragment.offset:
            # RFC 7112 section 5: the first one reaches the transport, or walk() raises Malformed.
            chain = ipv6.walk(packet, fragment.next_header, offset)
            if chain.fragment is not None or chain.offset >= len(packet):
                raise Malformed("a first fragment without a transport")
        # The transport is in the key: two that differ in it are not of one packet.
        key = (header.source, header.destination, fragment.next_header, fragment.identification)
        whole = self.reassembly.add(now, key, fragment.offset, fragment.more, packet[offset:])
        if whole is not None:
            stack.counters["reassembled"] += 1
        return whole

    def _tcp(self, now: int, header: ipv6.Header, payload: bytes, was_verified: bool, gso_size: int) -> None:
        source, destination = header.source, header.destination
        tcp = self._stack.tcp
        if not was_verified and not verified(payload, pseudo_header(source, destination, ipv6.TCP, len(payload))):
            tcp.counters["bad_checksum"] += 1
            return
        if is_multicast(destination):
            self._stack.counters["not_for_us"] += 1
            return
        segment = wire_tcp.parse(memoryview(payload))
        tcp.arrived(now, Arrived(source, destination, segment, header.ecn == 3, gso_size))

    def _udp(
        self,
        now: int,
        interface: Interface | None,
        header: ipv6.Header,
        packet: bytes,
        payload: bytes,
        was_verified: bool,
    ) -> None:
        stack = self._stack
        datagram = udp.parse(payload)
        source, destination = header.source, header.destination
        body = payload[: datagram.length]
        initial = pseudo_header(source, destination, ipv6.UDP, datagram.length)
        if not datagram.checksum or (not was_verified and not verified(body, initial)):  # RFC 8200 section 8.1
            stack.counters["bad_checksum"] += 1
            return
        many = is_multicast(destination)
        if not stack.deliver_datagram(destination, datagram.dst_port, source, datagram.src_port, body[8:], many):
            self.complain(now, interface, header, packet, icmpv6.UNREACHABLE, icmpv6.PORT, 0)

    # ---- ICMPv6 --------------------------------------------------------------------------------------------------

    def complain(
        self, now: int, interface: Interface | None, header: ipv6.Header, packet: bytes, kind: int, code: int,
        pointer: int,
    ) -> None:  # fmt: skip
        """Send an error about a packet, unless RFC 4443 section 2.4 (e) forbids it."""
        if interface is not None and header.destination not in interface.own:
            return
        if not any(header.source) or not self._stack.may_complain(now):
            return
        message = icmpv6.emit(icmpv6.error(kind, code, packet, pointer), header.destination, header.source)
        self.send(now, header.destination, header.source, ipv6.ICMPV6, message)

    def _icmp(self, now: int, interface: Interface | None, header: ipv6.Header, payload: bytes, mac: bytes) -> None:
        stack = self._stack
        message = icmpv6.parse(payload, header.source, header.destination)
        if message.type >= 130:
            if interface is not None:
                self.discovery.receive(now, interface, header, message, mac)
        elif message.type == icmpv6.ECHO:
            self._echo(now, interface, header, message)
        elif icmpv6.is_error(message):
            stack.counters["icmp_errors_in"] += 1
            if not self._error(now, message):
                stack.counters["icmp_errors_ignored"] += 1
        else:
            stack.counters["icmp_ignored"] += 1

    def _echo(self, now: int, interface: Interface | None, header: ipv6.Header, message: icmpv6.Message) -> None:
        own: bytes | None = header.destination
        if interface is not None and own not in interface.own:
            many = is_multicast(header.destination) and self._stack.may_complain(now)
            own = interface.source_for(header.source) if many else None
        if own is None or not any(header.source):
            self._stack.counters["icmp_ignored"] += 1
            return
        self._stack.counters["echoes"] += 1
        answer = icmpv6.emit(message._replace(type=icmpv6.ECHO_REPLY, code=0), own, header.source)
        self.send(now, own, header.source, ipv6.ICMPV6, answer)

    def _error(self, now: int, message: icmpv6.Message) -> bool:
        """Tell whom the quoted packet belongs to, if it can be one of ours; return whether it was believed.

        Raises Malformed.
        """
        stack = self._stack
        quoted = bytes(message.body)
        if len(quoted) < 48 or quoted[0] >> 4 != 6:
            raise Malformed("an ICMPv6 error that quotes too little")
        protocol, source, destination, at = quoted[6], quoted[8:24], quoted[24:40], ipv6.HEADER_SIZE
        if protocol == ipv6.FRAGMENT:
            protocol, at = quoted[40], at + ipv6.FRAGMENT_HEADER_SIZE
            if int.from_bytes(quoted[42:44], "big") & 0xFFF8:
                return False  # not the first fragment: it does not say whose it is
        if len(quoted) < at + 8:
            raise Malformed("an ICMPv6 error that quotes too little")
        if not stack.is_local(source):
            return False
        src_port = int.from_bytes(quoted[at : at + 2], "big")
        dst_port = int.from_bytes(quoted[at + 2 : at + 4], "big")
        mtu = 0
        if message.type == icmpv6.PACKET_TOO_BIG:
            mtu = message.word
            if not MTU_MIN <= mtu < stack.path_mtu(destination, now):
                return False
        if protocol == ipv6.TCP:
            seq = int.from_bytes(quoted[at + 4 : at + 8], "big")
            hard = (message.type == icmpv6.UNREACHABLE and message.code in icmpv6.HARD) or (
                message.type == icmpv6.PARAMETER_PROBLEM and message.code == icmpv6.UNKNOWN_NEXT_HEADER
            )
            local, remote = (source, src_port), (destination, dst_port)
            believed = stack.tcp.unreachable(now, local, remote, seq, hard, mtu - 60 if mtu else 0)
            if believed and mtu:
                stack.remember_mtu(now, destination, mtu)
            return believed
        if protocol != ipv6.UDP:
            return False
        believed = False
        for endpoint in stack.udp.get(src_port, ()):
            if endpoint.remote is not None and endpoint.remote != (destination, dst_port):
                continue
            if mtu:
                stack.remember_mtu(now, destination, mtu)
                believed = True
            elif endpoint.remote is not None and message.type == icmpv6.UNREACHABLE:
                endpoint.error = Event.REFUSED if message.code == icmpv6.PORT else Event.UNREACHABLE
                stack.ready(endpoint, endpoint.error)
                believed = True
        return believed

    # ---- packets that go -----------------------------------------------------------------------------------------

    def send(self, now: int, source: bytes, destination: bytes, protocol: int, payload: bytes) -> None:
        """Send a packet, in fragments where it is too long. Raises NetworkUnreachable only for what a user sends."""
        stack = self._stack
        if stack.is_local(destination):
            stack.loop(ipv6.emit(ipv6.Header(source, destination, protocol, len(payload))) + payload)
            return
        try:
            interface, hop = stack.route(destination)
        except NetworkUnreachable:
            if protocol == ipv6.UDP:
                raise
            return
        mtu = stack.path_mtu(destination, now)
        if ipv6.HEADER_SIZE + len(payload) <= mtu:
            self._to(now, interface, hop, ipv6.Header(source, destination, protocol, len(payload)), payload)
            return
        # Not to be guessed (RFC 7739), so not counted.
        identification = int.from_bytes(stack.random(4), "big")
        step = (mtu - ipv6.HEADER_SIZE - ipv6.FRAGMENT_HEADER_SIZE) // 8 * 8
        for at in range(0, len(payload), step):
            piece = payload[at : at + step]
            fragment = ipv6.Fragment(protocol, at, at + step < len(payload), identification)
            size = ipv6.FRAGMENT_HEADER_SIZE + len(piece)
            header = ipv6.Header(source, destination, ipv6.FRAGMENT, size)
            self._to(now, interface, hop, header, ipv6.emit_fragment(fragment) + piece)

    def _to(self, now: int, interface: Interface, hop: bytes, header: ipv6.Header, payload: bytes) -> None:
        mac = self._stack.mac_of(now, interface, hop)
        start = (mac or bytes(6)) + interface.mac + b"\x86\xdd" + ipv6.emit(header)
        if mac is None:
            interface.neighbours6.enqueue(now, hop, Outgoing(start, payload))
        else:
            interface.queue(Outgoing(start, payload))

    def path(self, now: int, source: bytes, destination: bytes, changes: int) -> Path:
        """Return the way that a flow's segments take now, not to ourselves. Raises NetworkUnreachable."""
        stack = self._stack
        interface, hop = stack.route(destination)
        mac = stack.mac_of(now, interface, hop)
        header = ipv6.emit(ipv6.Header(source, destination, ipv6.TCP, 0))
        return Path(
            changes,
            interface,
            hop,
            mac,
            (mac or bytes(6)) + interface.mac + b"\x86\xdd" + header[:4],
            header[6:8],
            header[8:],
            0,
            pseudo_header(source, destination, ipv6.TCP, 0),
            interface.neighbours6,
        )


def frames(path: Path, segments: Iterable[Segment], offloads: Offload, mss: int) -> list[Outgoing]:
    """Return the IPv6 frames for segments of one flow."""
    out = []
    offload = offloads != 0
    for segment in segments:
        payload = segment.payload
        bare = wire_tcp.emit(segment)
        length = len(bare) + len(payload)
        if offload:
            stored = (path.pseudo_sum + length) % 65535
        else:
            stored = checksum(bare, path.pseudo_sum + length + partial(payload))
        start = _START.pack(path.head, length, path.middle, path.tail)
        header = start + bare[:16] + _SUM.pack(stored) + bare[18:]
        if len(payload) > mss:
            out.append(Outgoing(header, payload, TCP_AT, 16, Gso.TCPV6, mss))
        elif offload:
            out.append(Outgoing(header, payload, TCP_AT, 16))
        else:
            out.append(Outgoing(header, payload))
    return out
