"""One stack: interfaces below, endpoints above, and the time from outside.

    stack = Stack(os.urandom)
    card = stack.add_interface("eth0", mac, 1500, offloads, Configuration(((address, 24),), (gateway,)))
    stack.receive(now, card, frames)
    for interface, outgoing in stack.poll(now): ...
    for endpoint, events in stack.take_ready(): ...

Not thread-safe: whoever drives it holds `stack.lock`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

from sarab.device.network import Incoming, Offload, Outgoing
from sarab.net import ipv6, tcp
from sarab.net.endpoints import Arrived, Datagrams, Endpoint, Flow, Listener, Path
from sarab.net.errors import AddressInUse, AddressNotAvailable, NetworkUnreachable, PortsExhausted
from sarab.net.interface import Changes, Configuration, Interface
from sarab.net.ipv4 import Ipv4
from sarab.net.names import Lookup, Names
from sarab.net.raw import Raw
from sarab.proto.tcp.values import Event, Settings
from sarab.wire import ethernet, ipv4, udp
from sarab.wire import tcp as wire_tcp
from sarab.wire.address import BROADCAST4, LOOPBACK4, LOOPBACK6, is_loopback, is_multicast, multicast_mac
from sarab.wire.checksum import checksum, partial, pseudo_header, verified
from sarab.wire.errors import Malformed
from sarab.wire.tcp import Segment

SECOND = 1_000_000_000
COMPLAINTS_PER_SECOND = 100
"""ICMP errors and resets sent: enough for tools, useless for amplification (RFC 1812 section 4.3.2.8; Linux: 1000)."""
COMPLAINTS_HIDDEN = 32
"""Up to so many fewer, at random, each second: who counts them must not learn from the last one whether a packet that
he sent in another's name was complained of, and so which port is open (CVE-2020-25705)."""
LOOPBACK_MTU = 65535
LOOPBACK_QUEUE_MAX = 4096
LOOPBACK_ROUNDS_MAX = 64
"""How often poll() goes round for what loops back, before it lets others in."""
MTU_MIN = 68
PMTU_ENTRIES_MAX = 1024
PMTU_LIFETIME = 600 * SECOND
"""RFC 1191 section 6.3: ten minutes, then the path may have grown."""


_QUICK = Struct("!6s6xHHHHHHH12sIIBBH4xIII")
"""Of Ethernet, IPv4 without options (its words but the addresses) and TCP with timestamps: what is looked at."""
_Quick = tuple[bytes, int, int, int, int, int, int, int, bytes, int, int, int, int, int, int, int, int]
"""What comes of it. Said, mypyc adds the numbers without making objects of them."""
_QUICK_SIZE: Final = 66
_IPV4: Final = 0x0800
_VERSION: Final = 0x45
"""IPv4, and a header without options."""
_TCP: Final = 6
_ECN: Final = 3
"""Of the type of service; both set: congestion was experienced."""
_STAMPS: Final = 0x0101080A
"""The first four bytes of TCP's options, where timestamps are all there is: two paddings, kind, length."""
_COPIED: Final = 1024
"""A payload below this is copied out of its frame, for the bytes are less than a view and the frame."""


class Stack:
    """The network of one image."""

    def __init__(
        self, random: Callable[[int], bytes], *, tcp_memory: int = tcp.MEMORY, tcp_flows: int = tcp.FLOWS_MAX
    ) -> None:
        """`tcp_memory`: bytes that TCP's buffers may hold in all; `tcp_flows`: connections that others may open."""
        self.lock = threading.RLock()
        self.random = random
        self.interfaces: list[Interface] = []
        self._changes = Changes()
        self.tcp = tcp.Tcp(self, random(32), tcp_memory, tcp_flows)
        self.udp: dict[int, list[Datagrams]] = {}
        self.ipv4 = Ipv4(self)
        self.ipv6 = ipv6.Ipv6(self)
        self.names = Names(self)
        self.raw = Raw(self)
        self._ready: dict[Endpoint, int] = {}
        self._loopback: list[bytes | Arrived] = []
        self._path_mtus: dict[bytes, tuple[int, int]] = {}
        self._complaint_second = self._complaints_left = 0
        self.counters = dict.fromkeys(
            (
                "frames_in", "malformed", "not_for_us", "no_protocol", "bad_checksum", "fragments_in", "reassembled",
                "datagrams_in", "datagrams_out", "no_port", "datagrams_dropped", "echoes", "complaints_suppressed",
                "no_route", "loopback_dropped", "icmp_errors_in", "icmp_errors_ignored", "icmp_ignored",
                "source_routed", "arp_in", "ndp_in", "address_conflicts",
            ),
            0,
        )  # fmt: skip

    # ---- interfaces ----------------------------------------------------------------------------------------------

    def add_interface(
        self,
        name: str,
        mac: bytes,
        mtu: int,
        offloads: Offload = Offload.NONE,
        configuration: Configuration | None = None,
    ) -> Interface:
        """Return a new interface for a card."""
        interface = Interface(name, mac, mtu, offloads, configuration or Configuration(), self._changes)
        self.interfaces.append(interface)
        if configuration is not None:
            if configuration.dns:
                self.names.servers = tuple(dict.fromkeys(self.names.by_hand + configuration.dns))
            if configuration.dhcp:
                from sarab.net.leases import Leases  # where addresses are given there is nothing to lease

                interface.leases = Leases(self, interface, configuration.hostname, self.random)
        return interface

    def route(self, destination: bytes) -> tuple[Interface, bytes]:
        """Return through which card, and to whom on its link. Raises NetworkUnreachable."""
        for interface in self.interfaces:
            hop = interface.next_hop(destination)
            if hop is not None:
                return interface, hop
        if destination == BROADCAST4 or is_multicast(destination):
            for interface in self.interfaces:
                if len(destination) == 4 or interface.addresses6:
                    return interface, destination
        self.counters["no_route"] += 1
        raise NetworkUnreachable("no interface leads to this address")

    def is_local(self, address: bytes) -> bool:
        """Say whether packets for `address` stay here."""
        return is_loopback(address) or any(interface.has(address) for interface in self.interfaces)

    def source_for(self, destination: bytes) -> bytes:
        """Return the address of ours that `destination` will see. Raises NetworkUnreachable."""
        if is_loopback(destination):
            return LOOPBACK4 if len(destination) == 4 else LOOPBACK6
        if self.is_local(destination):
            return destination
        interface, _ = self.route(destination)
        source = interface.source_for(destination)
        if source is None:
            raise NetworkUnreachable("the interface towards this address has no address itself")
        return source

    def reaches(self, destination: bytes) -> bool:
        """Say whether a packet for `destination` could leave now."""
        if self.is_local(destination):
            return True
        return any(
            interface.next_hop(destination) is not None and interface.source_for(destination) is not None
            for interface in self.interfaces
        )

    def path_mtu(self, destination: bytes, now: int) -> int:
        """Return the largest packet for `destination` as far as is known."""
        if self.is_local(destination):
            return LOOPBACK_MTU
        known = self._path_mtus.get(destination)
        try:
            interface = self.route(destination)[0]
            mtu = interface.mtu if len(destination) == 4 else interface.mtu6
        except NetworkUnreachable:
            return MTU_MIN
        if known is not None and known[1] > now:
            return min(known[0], mtu)
        return mtu

    def settings_for(self, local: bytes, remote: bytes) -> Settings:
        """Return the settings of a connection between two addresses."""
        if self.is_local(remote):
            return self.tcp.settings._replace(mss=LOOPBACK_MTU - (40 if len(remote) == 4 else 60), gso=False)
        interface, _ = self.route(remote)
        if len(remote) == 16:
            gso = bool(interface.offloads & Offload.TSO6)
            return self.tcp.settings._replace(mss=interface.mtu6 - 60, gso=gso)
        return self.tcp.settings._replace(mss=interface.mtu - 40, gso=bool(interface.offloads & Offload.TSO4))

    # ---- users ---------------------------------------------------------------------------------------------------

    def tcp_listen(
        self,
        now: int,
        address: bytes,
        port: int,
        *,
        backlog: int = 128,
        reuse_address: bool = True,
        reuse_port: bool = False,
        v6only: bool = False,
    ) -> Listener:
        """Return a listener on a port, 0 for any free one. Raises NetworkError.

        `address` b"": every one of both families, as `::` without `v6only`; zeros: every one of their family.
        `reuse_address` changes nothing: a connection in TIME-WAIT never keeps a listener off. With `reuse_port` others
        that have it may listen there too; each takes a part of the peers.
        """
        self._check_local(address)
        if len(address) == 16 and not any(address) and not v6only:
            address = b""
        return self.tcp.listen((address, port), backlog, reuse_port)

    def tcp_connect(
        self,
        now: int,
        address: bytes,
        port: int,
        *,
        local: bytes = b"",
        local_port: int = 0,
        settings: Settings | None = None,
    ) -> Flow:
        """Return a flow that is being established; ESTABLISHED, or CLOSED with why, follows. Raises NetworkError."""
        if not any(address):
            address = LOOPBACK6 if len(address) == 16 else LOOPBACK4
        if not any(local):
            local = self.source_for(address)
        self._check_local(local)
        base = self.settings_for(local, address)
        if settings is not None:
            base = settings._replace(mss=min(settings.mss, base.mss), gso=base.gso)
        return self.tcp.connect(now, (local, local_port), (address, port), base)

    def udp_open(self, now: int, address: bytes, port: int, *, reuse_address: bool = False) -> Datagrams:
        """Return a port for datagrams, 0 for any free one. Raises NetworkError.

        `address` b"": every one of both families; zeros: every one of their family.
        """
        self._check_local(address)
        if port == 0:
            port = self._free_udp_port()
        elif not reuse_address:
            for other in self.udp.get(port, ()):
                if tcp.overlap(address, other.local[0]):
                    raise AddressInUse(f"UDP port {port} is in use")
        endpoint = Datagrams(self, (address, port))
        self.udp.setdefault(port, []).append(endpoint)
        return endpoint

    def resolve(self, now: int, name: str, family: int) -> Lookup:
        """Return a lookup of a name in ASCII; family 4, 6, or 0 for both."""
        return self.names.resolve(now, name, family)

    def _free_udp_port(self) -> int:
        count = tcp.EPHEMERAL_LAST - tcp.EPHEMERAL_FIRST + 1
        start = int.from_bytes(self.random(4), "big")
        for step in range(count):
            port = tcp.EPHEMERAL_FIRST + (start + step) % count
            if port not in self.udp:
                return port
        raise PortsExhausted("every UDP port is in use")

    def _check_local(self, address: bytes) -> None:
        if any(address) and not self.is_local(address):
            raise AddressNotAvailable("no interface has this address")

    def forget_listener(self, listener: Listener) -> None:
        """For Listener.close()."""
        self.tcp.forget_listener(listener)

    def forget_datagrams(self, endpoint: Datagrams) -> None:
        """For Datagrams.close()."""
        port = endpoint.local[1]
        others = [other for other in self.udp.get(port, ()) if other is not endpoint]
        if others:
            self.udp[port] = others
        else:
            self.udp.pop(port, None)

    def touch(self, flow: Flow) -> None:
        """The flow may have something to send."""
        self.tcp.touch(flow)

    def touch_if_due(self, now: int, flow: Flow) -> None:
        """The flow was read from: it may want to tell of its window."""
        deadline = flow.machine.deadline()
        if deadline is not None and deadline <= now:
            self.tcp.touch(flow)

    def ready(self, endpoint: Endpoint, events: int) -> None:
        """Something happened to an endpoint."""
        if not endpoint.internal:  # poll() looks at these
            self._ready[endpoint] = self._ready.get(endpoint, 0) | events

    def take_ready(self) -> list[tuple[Endpoint, int]]:
        """Return what has happened since the last call, each endpoint once."""
        if not self._ready:
            return []
        found = list(self._ready.items())
        self._ready.clear()
        return found

    def statistics(self) -> dict[str, int]:
        """Return every counter."""
        found = dict(self.counters)
        found.update({f"tcp_{name}": value for name, value in self.tcp.statistics().items()})
        found.update({f"names_{name}": value for name, value in self.names.statistics().items()})
        reassembly, reassembly6 = self.ipv4.reassembly, self.ipv6.reassembly
        found["reassembly_timed_out"] = reassembly.timed_out + reassembly6.timed_out
        found["reassembly_overlapping"] = reassembly.overlapping + reassembly6.overlapping
        found["reassembly_dropped"] = reassembly.dropped + reassembly6.dropped
        for interface in self.interfaces:
            for name in ("packets_in", "packets_out", "bytes_in", "bytes_out", "dropped"):
                found[f"{interface.name}_{name}"] = getattr(interface, name)
            neighbours, neighbours6 = interface.neighbours, interface.neighbours6
            found[f"{interface.name}_neighbours_dropped"] = neighbours.dropped + neighbours6.dropped
            contradictions = neighbours.contradictions + neighbours6.contradictions
            found[f"{interface.name}_neighbours_contradicted"] = contradictions
            found[f"{interface.name}_slaac_dropped"] = interface.auto.dropped if interface.auto is not None else 0
            found[f"{interface.name}_dhcp_dropped"] = interface.leases.dropped if interface.leases is not None else 0
        return found

    # ---- time ----------------------------------------------------------------------------------------------------

    def poll(self, now: int) -> list[tuple[Interface, list[Outgoing]]]:
        """Do what is due; return the frames to send. What loops back is delivered here."""
        for _ in range(LOOPBACK_ROUNDS_MAX):
            self.names.poll(now)
            self.tcp.poll(now)
            if not self._loopback:
                break
            packets, self._loopback = self._loopback, []
            for packet in packets:
                if isinstance(packet, Arrived):
                    self.tcp.arrived(now, packet)
                elif packet[0] >> 4 == 4:
                    self.ipv4.receive(now, None, packet, True, 0)
                else:
                    self.ipv6.receive(now, None, packet, True, 0)
        self.ipv4.reassembly.poll(now)
        self.ipv6.reassembly.poll(now)
        out = []
        for interface in self.interfaces:
            if interface.leases is not None:
                interface.leases.poll(now)
            for question in interface.neighbours.poll(now):
                self.ipv4.ask(interface, question.address, question.mac)
            if interface.neighbours.failed:
                self.tcp.neighbours_failed(now, interface.neighbours.failed)
                interface.neighbours.failed.clear()
            if interface.ipv6:
                self.ipv6.discovery.poll(now, interface)
                if interface.neighbours6.failed:
                    self.tcp.neighbours_failed(now, interface.neighbours6.failed)
                    interface.neighbours6.failed.clear()
            if interface.outgoing:
                out.append((interface, interface.outgoing))
                interface.outgoing = []
        return out

    def deadline(self) -> int | None:
        """Return when poll() must be called; 0: at once."""
        if self._loopback:
            return 0
        due = sooner(self.tcp.deadline(), self.ipv4.reassembly.deadline())
        due = sooner(due, self.names.deadline())
        due = sooner(due, self.ipv6.reassembly.deadline())
        for interface in self.interfaces:
            due = sooner(due, interface.neighbours.deadline())
            if interface.leases is not None:
                due = sooner(due, interface.leases.client.deadline())
            if interface.ipv6:
                due = sooner(due, self.ipv6.discovery.deadline(interface))
        return due

    # ---- frames that come ----------------------------------------------------------------------------------------

    def receive(self, now: int, interface: Interface, frames: Iterable[Incoming]) -> None:
        """Take frames that a card received."""
        counters = self.counters
        taken = taken_bytes = 0
        for data, was_verified, gso_size in frames:
            taken += 1
            taken_bytes += len(data)
            try:
                if self._tcp_of_flow(now, interface, data, was_verified, gso_size):
                    continue
                kind = data[12:14]
                if kind == b"\x08\x00":
                    if data[0] & 1 or data[:6] == interface.mac:
                        self.ipv4.receive(now, interface, memoryview(data)[14:], was_verified, gso_size)
                    else:
                        counters["not_for_us"] += 1
                elif kind == b"\x86\xdd":
                    self.ipv6.frame(now, interface, data, was_verified, gso_size)
                elif kind == b"\x08\x06":
                    self.ipv4.arp(now, interface, data)
                elif not self.raw.frames or not self.raw.frame(interface, data):
                    counters["no_protocol"] += 1
            except Malformed:
                counters["malformed"] += 1
        counters["frames_in"] += taken
        interface.packets_in += taken
        interface.bytes_in += taken_bytes

    def _tcp_of_flow(self, now: int, interface: Interface, data: bytes, was_verified: bool, gso_size: int) -> bool:
        """The short way of nearly all frames: a whole IPv4 packet without options for a connection that we have.

        False: it was not looked at further, and goes the long way.
        """
        size = len(data)
        got: _Quick = _QUICK.unpack_from(data if size >= _QUICK_SIZE else data.ljust(_QUICK_SIZE, b"\0"))
        mac, kind, tos, length, ident, piece, ttl, stored, way, seq, ack, offset, flags, window, lead, value, echo = got
        # `tos` is with the version before it, `ttl` with the protocol behind it: the words of which the sum is made.
        if kind != _IPV4 or tos >> 8 != _VERSION or ttl & 0xFF != _TCP or piece & 0x3FFF:
            return False
        end = 14 + length
        flow = self.tcp.ways.get(way)
        if flow is None or flow.stays or mac != interface.mac or not 54 <= end <= size:
            return False
        if flow.local[0] not in interface.own:
            return False
        if (tos + length + ident + piece + ttl + stored + flow.addresses_sum) % 65535:
            return False
        if not was_verified:
            initial = pseudo_header(flow.remote[0], flow.local[0], _TCP, length - 20)
            if not verified(memoryview(data)[34:end], initial):
                self.tcp.counters["bad_checksum"] += 1
                return True
        ce = tos & _ECN == _ECN
        start = 0
        if offset == 0x80 and lead == _STAMPS and end >= _QUICK_SIZE:
            start = _QUICK_SIZE
        elif offset == 0x50:
            start, value, echo = 54, -1, 0
        if start and not ce:
            payload = data[start:end] if end - start < _COPIED else memoryview(data)[start:end]
            if self.tcp.predicted(now, flow, seq, ack, flags, window, value, echo, payload, gso_size):
                return True
        self.tcp.for_flow(now, flow, wire_tcp.parse(memoryview(data)[34:end]), ce, gso_size)
        return True

    def deliver_datagram(
        self, destination: bytes, dst_port: int, source: bytes, src_port: int, data: bytes, many: bool
    ) -> bool:
        """Give a datagram to whose port it is, `many`: to all of them. False: nobody has it."""
        self.counters["datagrams_in"] += 1
        found = False
        for endpoint in list(self.udp.get(dst_port, ())):
            local = endpoint.local[0]
            if local and local != destination and (len(local) != len(destination) or (any(local) and not many)):
                continue
            if endpoint.remote is not None and endpoint.remote != (source, src_port):
                continue
            found = True
            if endpoint.deliver(data, source, src_port):
                self.ready(endpoint, Event.READABLE)
            else:
                self.counters["datagrams_dropped"] += 1
            if not many:
                break
        if not found:
            self.counters["no_port"] += 1
        return found

    # ---- errors --------------------------------------------------------------------------------------------------

    def may_complain(self, now: int) -> bool:
        """Say whether one more error or reset may leave in this second, and count it."""
        second = now // SECOND
        if second != self._complaint_second:
            self._complaint_second = second
            self._complaints_left = COMPLAINTS_PER_SECOND - self.random(1)[0] % COMPLAINTS_HIDDEN
        if not self._complaints_left:
            self.counters["complaints_suppressed"] += 1
            return False
        self._complaints_left -= 1
        return True

    def remember_mtu(self, now: int, destination: bytes, mtu: int) -> None:
        """The path to `destination` carries no more, for a time."""
        if len(self._path_mtus) >= PMTU_ENTRIES_MAX:
            self._path_mtus.pop(next(iter(self._path_mtus)))
        self._path_mtus[destination] = (mtu, now + PMTU_LIFETIME)

    # ---- packets that go -----------------------------------------------------------------------------------------

    def mac_of(self, now: int, interface: Interface, hop: bytes) -> bytes | None:
        """Return the Ethernet address of who is on the link; None: it must be asked for first."""
        if is_multicast(hop):
            return multicast_mac(hop)
        if len(hop) == 16:
            return interface.neighbours6.lookup(now, hop)
        if interface.is_broadcast(hop):
            return ethernet.BROADCAST
        return interface.neighbours.lookup(now, hop)

    def _send(self, now: int, source: bytes, destination: bytes, protocol: int, payload: bytes) -> None:
        """Send a packet, in fragments where it is too long. Raises NetworkUnreachable only for what a user sends."""
        if len(destination) == 4:
            self.ipv4.send(now, source, destination, protocol, payload)
        else:
            self.ipv6.send(now, source, destination, protocol, payload)

    def loop(self, packet: bytes) -> None:
        """Deliver a packet to ourselves at the next round."""
        if len(self._loopback) >= LOOPBACK_QUEUE_MAX:
            self.counters["loopback_dropped"] += 1
            return
        self._loopback.append(packet)

    def send_datagram(
        self, now: int, endpoint: Datagrams, data: bytes | bytearray | memoryview, address: bytes, port: int
    ) -> None:
        """For Datagrams.send_to()."""
        source = endpoint.local[0]
        if not any(source):
            if source and len(source) != len(address):
                raise NetworkUnreachable("a port of one family does not send to the other")
            source = self.source_for(address)
        length = udp.HEADER_SIZE + len(data)
        bare = udp.emit(udp.Header(endpoint.local[1], port, length))
        whole = checksum(bare, pseudo_header(source, address, ipv4.UDP, length) + partial(data))
        self.counters["datagrams_out"] += 1
        self._send(now, source, address, ipv4.UDP, bare[:6] + (whole or 65535).to_bytes(2, "big") + bytes(data))

    def send_packet(self, now: int, protocol: int, payload: bytes, address: bytes) -> None:
        """For raw.Packets.send_to()."""
        self._send(now, self.source_for(address), address, protocol, payload)

    def send_segment(self, now: int, source: bytes, destination: bytes, segment: Segment) -> None:
        """Send a segment that belongs to no flow: a reset, a cookie."""
        header = tcp.whole_checksum(wire_tcp.emit(segment), segment.payload, source, destination)
        self._send(now, source, destination, ipv4.TCP, header + bytes(segment.payload))

    def send_segments(self, now: int, flow: Flow, segments: list[Segment]) -> None:
        """Send segments of a flow, by a header that is made once for as long as the way is the same."""
        path = flow.path
        if path is None or path.changes != self._changes.count or not path.is_current(now):
            try:
                path = self._path(now, flow)
            except NetworkUnreachable:
                return  # the machine sends them again, and gives up in the end
            flow.path = path
            if path.mac is not None and path.interface is not None and path.interface.offloads and len(path.tail) == 8:
                path.ends = path.tail + flow.local[1].to_bytes(2, "big") + flow.remote[1].to_bytes(2, "big")
        interface = path.interface
        if interface is None:
            source, destination = flow.local[0], flow.remote[0]
            for segment in segments:
                if len(self._loopback) < LOOPBACK_QUEUE_MAX:
                    self._loopback.append(Arrived(source, destination, segment, False, 0))
                else:
                    self.counters["loopback_dropped"] += 1
            return
        machine = flow.machine
        make = tcp.frames if len(path.tail) == 8 else ipv6.frames
        frames = make(path, segments, interface.offloads, machine.snd_mss)
        if machine.uses_ecn:
            frames = [tcp.capable(f) if machine.ect(s) else f for f, s in zip(frames, segments, strict=True)]
        if path.mac is not None:
            interface.queue_all(frames)
            return
        neighbours = path.neighbours or interface.neighbours
        for frame in frames:
            neighbours.enqueue(now, path.hop, frame)

    def quick_path(self, now: int, flow: Flow) -> Path | None:
        """Return the way of a flow's segments, if they may take the short one: see Path.ends."""
        path = flow.path
        if path is None or not path.ends or path.changes != self._changes.count or not path.is_current(now):
            return None
        return path

    def _path(self, now: int, flow: Flow) -> Path:
        """Return the way that a flow's segments take now. Raises NetworkUnreachable."""
        source, destination = flow.local[0], flow.remote[0]
        changes = self._changes.count
        if self.is_local(destination):
            return Path(changes, None, destination, None, b"", b"", b"", 0, 0)
        if len(destination) == 16:
            return self.ipv6.path(now, source, destination, changes)
        return self.ipv4.path(now, source, destination, changes)


def sooner(one: int | None, other: int | None) -> int | None:
    """Return the deadline that comes first; None: there is none."""
    if one is None or (other is not None and other < one):
        return other
    return one
