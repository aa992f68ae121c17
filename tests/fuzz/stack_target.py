"""The whole stack as a target: any bytes are a story of frames, virtual time and what a program does.

A story is a byte that says what kind of host it is, and a row of records: what happens (1 byte), a length (1 byte, in
units of 4), and data. A frame is repaired, as far as its record says, so that it comes as deep as one of an attacker
who computes his checksums. After each record the stack is polled, and what must always hold is looked at.
"""

from __future__ import annotations

import contextlib
from random import Random

from sarab.device.network import Incoming, Offload, Outgoing
from sarab.net.endpoints import DATAGRAM_BYTES_MAX, DATAGRAMS_MAX, HANDSHAKES_MAX, Datagrams, Endpoint, Flow
from sarab.net.errors import NetworkError
from sarab.net.interface import Configuration
from sarab.net.neighbours import ENTRIES_MAX, Neighbours
from sarab.net.reassembly import BYTES_MAX, PACKETS_MAX, Reassembly
from sarab.net.stack import Stack
from sarab.proto.tcp.values import REASSEMBLY_PIECES_MAX, State
from sarab.wire import ethernet, icmpv6, ipv4, ipv6, udp
from sarab.wire import tcp as wire_tcp
from sarab.wire.address import parse
from sarab.wire.checksum import checksum, pseudo_header, verified
from sarab.wire.tcp import ACK, SYN, Options, Segment

OUR_MAC, THEIR_MAC = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"
OURS4, THEIRS4, OURS6, THEIRS6 = map(parse, ("10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"))
SECOND = 1_000_000_000
RECORDS_MAX = 64
POLLS_MAX = 400
"""Polls in a row at one moment: a bulk transfer may have much to say; a timer that spins never ends."""
MASK = 0xFFFFFFFF


class Broken(AssertionError):
    """Something that must always hold does not."""


def must(so: bool, words: str) -> None:
    if not so:
        raise Broken(words)


class Story:
    """One stack with a card, and an outside that is up to no good."""

    def __init__(self, kind: int) -> None:
        """`kind`: bits for a host with a way out, and for a card that does much of the work."""
        self.now = 5 * SECOND
        self.random = Random(1)
        self.stack = stack = Stack(self.random.randbytes)
        configuration = Configuration(
            ((OURS4, 24), (OURS6, 64)), (THEIRS4, THEIRS6) if kind & 1 else (), (THEIRS4,), True, True, "web"
        )
        offloads = Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6 if kind & 2 else Offload.NONE
        self.card = stack.add_interface("eth0", OUR_MAC, 1500, offloads, configuration)
        self.sent: list[Outgoing] = []
        self.poll()
        self.now += 4 * SECOND  # duplicate address detection
        self.poll()
        self.now += 4 * SECOND
        self.poll()
        for neighbours, address in ((self.card.neighbours, THEIRS4), (self.card.neighbours6, THEIRS6)):
            neighbours.confirmed(self.now, address, THEIR_MAC, asked=True)
        self.listener = stack.tcp_listen(self.now, b"", 80)
        self.port = stack.udp_open(self.now, b"", 53)
        self.flows: list[Flow] = []
        self.looking: list[Endpoint] = []
        self._open(THEIRS4, OURS4)
        self._open(THEIRS6, OURS6)

    def _open(self, remote: bytes, local: bytes) -> None:
        """Make an established connection with every option."""
        options = Options(1460, 7, True, (), (1, 0))
        self.segment(remote, local, Segment(1000, 80, 1, 0, SYN, 60000, options))
        self.poll()
        flow = self.stack.tcp.flows[(local, 80, remote, 1000)]
        options = Options(None, None, False, (), (2, 0))
        ack = flow.machine.snd_nxt & MASK
        self.segment(remote, local, Segment(1000, 80, 2, ack, ACK, 60000, options))
        self.poll()
        accepted = self.listener.accept()
        assert accepted is not None
        self.flows.append(accepted)

    # ---- frames --------------------------------------------------------------------------------------------------

    def segment(self, source: bytes, destination: bytes, segment: Segment) -> None:
        self.packet(source, destination, 6, wire_tcp.emit(segment) + bytes(segment.payload))

    def packet(self, source: bytes, destination: bytes, protocol: int, payload: bytes) -> None:
        if len(source) == 4:
            header = ipv4.emit(ipv4.Header(source, destination, protocol, 20 + len(payload)))
            self.frame(b"\x08\x00" + header + payload)
        else:
            header = ipv6.emit(ipv6.Header(source, destination, protocol, len(payload)))
            self.frame(b"\x86\xdd" + header + payload)

    def frame(self, rest: bytes, gso_size: int = 0) -> None:
        self.raw(OUR_MAC + THEIR_MAC + rest, gso_size)

    def raw(self, data: bytes, gso_size: int = 0) -> None:
        self.stack.receive(self.now, self.card, [Incoming(data, True, gso_size)])

    # ---- records -------------------------------------------------------------------------------------------------

    def record(self, kind: int, data: bytes) -> None:
        """Let something happen."""
        wide = bool(kind & 0x80)  # IPv6
        theirs, ours = (THEIRS6, OURS6) if wide else (THEIRS4, OURS4)
        match kind & 0x0F:
            case 0:
                self.raw(data)
            case 1:
                self.frame(b"\x86\xdd" + _repaired6(data) if wide else b"\x08\x00" + _repaired4(data))
            case 2 | 3 | 4 | 5:
                self._near_segment(self.flows[wide], kind, data)
            case 6:
                self.packet(theirs, ours, 17, _ports(data, 53, 53 if kind & 0x40 else 9) + data[2:])
            case 7:
                self._control(wide, data)
            case 8:
                self.frame(b"\x08\x06\x00\x01\x08\x00\x06\x04\x00" + bytes((1 + (kind >> 7),)) + data)
            case 9:
                self._lease(data)
            case 10:
                self._name(kind, data)
            case 11:
                self.now += 1 << min(data[0] if data else 0, 42)
            case 12 | 13:
                self._program(self.flows[wide], data)
            case 14:
                with contextlib.suppress(NetworkError):
                    if kind & 0x40:
                        self.stack.tcp_connect(self.now, theirs, int.from_bytes(data[:2], "big") or 1)
                    else:
                        self.port.send_to(self.now, data * 64, theirs, 9)
            case _:
                first, second = data[:1] or b"\0", data[1:2] or b"\0"
                options = Options(1460 if first[0] & 1 else None, first[0] >> 1 & 15, bool(first[0] & 32))
                self.segment(theirs, ours, Segment(second[0] + 1024, 80, 77, 0, SYN, 999, options))

    def _near_segment(self, flow: Flow, kind: int, data: bytes) -> None:
        """A segment for a connection, its numbers near to those that are expected."""
        machine = flow.machine
        data = data.ljust(8, b"\0")
        scale = 1 << (data[0] & 15)
        seq = (machine.rx.rcv_nxt + int.from_bytes(data[1:2], "big", signed=True) * scale) & MASK
        ack = machine.snd_una + (data[2] * scale >> 3) if kind & 0x40 else machine.snd_nxt - data[2]
        flags = data[3] if kind & 0x20 else ACK
        window = int.from_bytes(data[4:6], "big")
        rest = data[8:]
        if kind & 0x10:  # the rest begins with options
            size = min(len(rest), data[6] % 11 * 4) // 4 * 4
            options, payload = rest[:size], rest[size:]
        else:
            stamps = (machine._ts_recent + data[7] & MASK).to_bytes(4, "big") + bytes(4)
            options, payload = b"\1\1\x08\x0a" + stamps, rest * (1 + data[6])
        bare = wire_tcp.emit(Segment(flow.remote[1], flow.local[1], seq, ack & MASK, flags, window))
        whole = bare[:12] + bytes(((5 + len(options) // 4) << 4,)) + bare[13:] + options + payload[:1400]
        self.packet(flow.remote[0], flow.local[0], 6, whole)

    def _control(self, wide: bool, data: bytes) -> None:
        """ICMP with a good checksum; errors quote a packet of ours when they say so."""
        if wide:
            source = parse("fe80::99") if data[:1] >= b"\x82" else THEIRS6
            destination = parse("ff02::1") if data[:1] == b"\x86" else OURS6
            bare = data[:2] + b"\0\0" + data[4:].ljust(4, b"\0")
            whole = bare[:2] + checksum(bare, pseudo_header(source, destination, 58, len(bare))).to_bytes(2, "big")
            header = ipv6.Header(source, destination, icmpv6.PROTOCOL, len(bare), 255)
            self.frame(b"\x86\xdd" + ipv6.emit(header) + whole + bare[4:])
            return
        bare = data[:2] + b"\0\0" + data[4:].ljust(4, b"\0")
        if data[2:3] >= b"\x80":
            flow = self.flows[0]
            seq = (flow.machine.snd_una & MASK).to_bytes(4, "big")
            ports = flow.local[1].to_bytes(2, "big") + flow.remote[1].to_bytes(2, "big")
            bare = bare[:8] + ipv4.emit(ipv4.Header(OURS4, THEIRS4, 6, 1500)) + ports + seq
        self.packet(THEIRS4, OURS4, 1, bare[:2] + checksum(bare).to_bytes(2, "big") + bare[4:])

    def _lease(self, data: bytes) -> None:
        """A message of DHCP with the identifier that is expected."""
        leases = self.card.leases
        assert leases is not None
        head = b"\2\1\6\0" + leases.client._xid.to_bytes(4, "big") + bytes(8) + b"\x0a\0\0\x09" + bytes(8)
        message = head + OUR_MAC.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63" + data
        whole = udp.emit(udp.Header(67, 68, 8 + len(message))) + message
        header = ipv4.emit(ipv4.Header(THEIRS4, b"\xff" * 4, 17, 20 + len(whole)))
        self.raw(b"\xff" * 6 + THEIR_MAC + b"\x08\x00" + header + whole)

    def _name(self, kind: int, data: bytes) -> None:
        """A question, or an answer to one that has the right identifier, port and question."""
        if not kind & 0x80 or not self.looking:
            self.looking.append(self.stack.resolve(self.now, "a.example", (0, 4, 6)[(kind >> 4) % 3]))
            del self.looking[:-4]
            return
        for ports in list(self.stack.udp.values()):
            for port in ports:
                if port.internal and port.remote is not None:
                    question = self._question_of(port)
                    body = (
                        question[:2] + data[:2] + question[4:6] + data[2:8].ljust(6, b"\0") + question[12:] + data[8:]
                    )
                    whole = udp.emit(udp.Header(53, port.local[1], 8 + len(body))) + body
                    self.packet(port.remote[0], OURS4, 17, whole)

    def _question_of(self, port: Datagrams) -> bytes:
        """Return the datagram that left from a port of the resolver's."""
        for frame in reversed(self.sent):
            data = frame.header + bytes(frame.payload)
            if data[12:14] == b"\x08\x00" and data[23] == 17 and data[34:36] == port.local[1].to_bytes(2, "big"):
                return data[42:-11] if data[-11:-9] == b"\0\0" else data[42:]
        return bytes(12)

    def _program(self, flow: Flow, data: bytes) -> None:
        """What a program does with its connection."""
        what = data[0] & 7 if data else 0
        if what < 2:
            flow.write(self.now, data * 100)
        elif what < 4:
            flow.read(self.now, 1 + len(data) * 1000)
        elif what == 4:
            flow.shutdown_write(self.now)
        elif what == 5 and data[0] & 8:
            flow.close(self.now)
        elif what == 6 and data[0] & 8:
            flow.abort(self.now)
        else:
            while self.listener.accept() is not None or self.port.receive_from() is not None:
                pass

    # ---- what must hold ------------------------------------------------------------------------------------------

    def poll(self) -> None:
        """Have the stack do what is due, until it has nothing to do now."""
        for _ in range(POLLS_MAX):
            for _, frames in self.stack.poll(self.now):
                for frame in frames:
                    _judge(frame)
                self.sent += frames
                del self.sent[:-200]
            self.stack.take_ready()
            due = self.stack.deadline()
            if due is None or due > self.now:
                return
        raise Broken("a timer spins")

    def look(self) -> None:
        """Raise Broken when something that must hold does not."""
        stack = self.stack
        tcp = stack.tcp
        half = sum(flow.machine.state is State.SYN_RECEIVED for flow in tcp._handshakes)
        must(self.listener.half_open == len(tcp._handshakes) >= half, "half-open connections are counted wrongly")
        must(self.listener.half_open <= HANDSHAKES_MAX, "too many handshakes")
        for neighbours in (self.card.neighbours, self.card.neighbours6):
            _look_at_neighbours(neighbours)
        for reassembly in (stack.ipv4.reassembly, stack.ipv6.reassembly):
            _look_at_fragments(reassembly)
        must(self.port.waiting <= DATAGRAMS_MAX and self.port._queued <= DATAGRAM_BYTES_MAX, "too many datagrams wait")
        for flow in {*self.flows, *tcp.flows.values()}:
            _look_at_flow(flow)
        for name, count in stack.statistics().items():
            must(count >= 0, f"{name} is {count}")


def _look_at_neighbours(neighbours: Neighbours) -> None:
    must(len(neighbours._entries) <= ENTRIES_MAX, "too many neighbours")


def _look_at_fragments(reassembly: Reassembly) -> None:
    must(len(reassembly._packets) <= PACKETS_MAX and reassembly._bytes <= BYTES_MAX, "too many fragments")
    held = sum(packet.bytes for packet in reassembly._packets.values())
    must(held == reassembly._bytes, "fragments are counted wrongly")


def _look_at_flow(flow: Flow) -> None:
    machine = flow.machine
    rx, flight = machine.rx, machine._flight
    must(machine.snd_una <= machine.snd_nxt, "more is acknowledged than was sent")
    if machine.state in (State.CLOSED, State.TIME_WAIT):
        return
    must(rx.readable <= rx.buffer_max + 65536, "more is received than there is room for")
    must(len(rx.pieces) <= REASSEMBLY_PIECES_MAX, "too many pieces")
    at = rx.rcv_nxt
    for piece in rx.pieces:
        must(at <= piece.start < piece.end, "pieces overlap, or are out of order")
        must(sum(map(len, piece.chunks)) == piece.end - piece.start, "a piece is not as long as it says")
        at = piece.end
    must(not rx.pieces or at <= rx.rcv_adv, "a piece lies outside of the window")
    sizes = [(unit.end - unit.start, unit.lost, unit.sacked) for unit in flight.units]
    must(all(size > 0 and not (lost and sacked) for size, lost, sacked in sizes), "an impossible unit")
    must(sum(size for size, lost, _ in sizes if lost) == flight.lost_bytes, "lost bytes are counted wrongly")
    must(sum(size for size, _, sacked in sizes if sacked) == flight.sacked_bytes, "sacked bytes are counted wrongly")
    plain = sum(size for size, lost, sacked in sizes if not lost and not sacked)
    must(plain == flight.in_flight, "bytes in flight are counted wrongly")
    if sizes:
        must(
            flight.units[0].start >= machine.snd_una - 65536 and flight.units[-1].end <= machine.snd_nxt,
            "strange units",
        )


def _judge(frame: Outgoing) -> None:
    """What leaves is well formed, and its checksums are what the card wants."""
    data = frame.header + bytes(frame.payload)
    header = ethernet.parse(data)
    must(header.source == OUR_MAC, "a frame in another's name")
    must(len(data) <= (65535 + 14 if frame.gso else 1514), "a frame that is too long")
    if header.ethertype == ethernet.IPV4:
        packet = ipv4.parse(data[14:])
        body = data[14 + packet.size : 14 + packet.total_length]
        whole = not packet.fragment_offset and not packet.flags & ipv4.MORE_FRAGMENTS
        if packet.protocol in (6, 17) and whole:
            pseudo = pseudo_header(packet.source, packet.destination, packet.protocol, len(body))
            _judge_sum(frame, body, pseudo, packet.protocol)
    elif header.ethertype == ethernet.IPV6:
        fixed = ipv6.parse(data[14:])
        body = data[54 : 54 + fixed.payload_length]
        if fixed.next_header in (6, 17, 58):
            pseudo = pseudo_header(fixed.source, fixed.destination, fixed.next_header, len(body))
            _judge_sum(frame, body, pseudo, fixed.next_header)


def _judge_sum(frame: Outgoing, body: bytes, pseudo: int, protocol: int) -> None:
    if frame.checksum_start:
        stored = int.from_bytes(body[16:18], "big")
        must(stored % 65535 == pseudo % 65535, "the pseudo-header's sum is wrong")
    else:
        must(verified(body, pseudo), f"a checksum of protocol {protocol} is wrong")
    if protocol == 6:
        wire_tcp.parse(body)


def _repaired4(data: bytes) -> bytes:
    """An IPv4 packet for us, whatever else it says."""
    data = data.ljust(20, b"\0")
    size = max(20, min((data[0] & 15) * 4, len(data) // 4 * 4, 60))
    source = THEIRS4 if data[12] & 1 else data[12:16]
    bare = bytes((0x40 | size // 4,)) + data[1:2] + len(data).to_bytes(2, "big") + data[4:10] + b"\0\0"
    bare += source + OURS4 + data[20:size]
    return bare[:10] + checksum(bare).to_bytes(2, "big") + bare[12:] + data[size:]


def _repaired6(data: bytes) -> bytes:
    """An IPv6 packet for us, whatever else it says."""
    data = data.ljust(24, b"\0")
    source = THEIRS6 if data[8] & 1 else data[8:24]
    return b"\x60" + data[1:4] + (len(data) - 24).to_bytes(2, "big") + data[6:8] + source + OURS6 + data[24:]


def _ports(data: bytes, first: int, second: int) -> bytes:
    return first.to_bytes(2, "big") + second.to_bytes(2, "big")


def any_story(data: bytes) -> None:
    """Run a story. Raises Broken, or whatever the stack must not."""
    story = Story(data[0] if data else 0)
    at = 1
    for _ in range(RECORDS_MAX):
        if at + 2 > len(data):
            break
        kind, size = data[at], data[at + 1] * 4
        story.record(kind, data[at + 2 : at + 2 + size])
        at += 2 + size
        story.poll()
        story.look()
    story.now += 600 * SECOND
    story.poll()
    story.look()


def seeds() -> list[bytes]:
    """Return stories to begin with: each kind of record, alone and with time behind it."""
    chance = Random(7)
    found = []
    for kind in range(256):
        record = bytes((kind, 10)) + chance.randbytes(40)
        found.append(bytes((kind & 3,)) + record + bytes((11, 1, 30, 0, 0, 0)) + record)
    return found
