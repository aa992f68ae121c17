"""The field: a victim that serves, a client that behaves, a router, and an attacker who puts any frame on the wire.

What must hold in every attack: the client is served in bounded virtual time, the victim's memory and the work that one
attack frame costs it stay below a stated bound, it sends no more than the attacker does, and what is dropped is counted
by a counter with a name. Work is counted in lines of sarab that were run, which is the same on every machine.
"""

from __future__ import annotations

import gc
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from sarab.device.network import Incoming
from sarab.net.endpoints import Endpoint, Flow, Listener
from sarab.testing.network import Host, VirtualLink
from sarab.wire import arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, udp
from sarab.wire import tcp as wire_tcp
from sarab.wire.address import parse
from sarab.wire.checksum import checksum, partial, pseudo_header
from sarab.wire.tcp import Segment

PORT = 80
EVIL = bytes((2, 6, 6, 6, 6, 6))
"""The attacker's Ethernet address."""
VICTIM4, CLIENT4, ROUTER4, VICTIM6, CLIENT6, ROUTER6 = map(
    parse, ("10.0.0.1", "10.0.0.2", "10.0.0.254", "fd00::1", "fd00::2", "fd00::fe")
)
FAR4, FAR6 = parse("192.0.2.1"), parse("2001:db8::1")
ASKS = (ndp.NEIGHBOUR_SOLICITATION, ndp.ROUTER_SOLICITATION)
PATIENCE = 10.0
"""Virtual seconds in which a client must have been served."""


class Service:
    """An echo server on the victim: what comes goes back, for everybody who connects."""

    def __init__(self, link: VirtualLink, host: Host, backlog: int = 512) -> None:
        self._link = link
        self.reads = True
        """False: the program is busy elsewhere, and nobody reads."""
        self.listener: Listener = host.stack.tcp_listen(link.now, b"", PORT, backlog=backlog)
        self.accepted = 0
        host.on_ready = self.on_ready

    def on_ready(self, endpoint: Endpoint, events: int) -> None:
        if endpoint is self.listener:
            while (flow := self.listener.accept()) is not None:
                self.accepted += 1
                self._serve(flow)
        elif isinstance(endpoint, Flow) and endpoint.parent is None and not endpoint.closed:
            self._serve(endpoint)

    def _serve(self, flow: Flow) -> None:
        if not self.reads:
            return
        now = self._link.now
        while data := flow.read(now, min(flow.writable, 65536)):
            flow.write(now, data)
        if flow.readable and not flow.writable:
            flow.write(now, b"?")  # takes nothing, and asks to be told of room
        if flow.eof and not flow.readable:
            flow.close(now)


class Field:
    """Victim, client and router on one link; every host has both families."""

    def __init__(self, seed: int = 1, backlog: int = 512) -> None:
        self.link = VirtualLink(seed)
        self.victim = self._host(VICTIM4, VICTIM6)
        self.client = self._host(CLIENT4, CLIENT6)
        self.router = self._host(ROUTER4, ROUTER6)
        self.random = random.Random(f"attack/{seed}")
        self.service = Service(self.link, self.victim, backlog)
        self.link.run(3)  # duplicate address detection
        for family in (4, 6):
            self.exchange(family, 10)
            port = self.victim.stack.udp_open(self.link.now, b"", 0)
            port.send_to(self.link.now, b"", far(family, 0), 9)
            port.close(self.link.now)
            self.link.run(0.1)  # now everybody knows everybody
        self.frames = self.answers = 0
        """Attack frames; and what the victim sent meanwhile, but to the client and to find neighbours."""
        self.bytes = self.answered_bytes = 0
        self.questions = 0
        """What the victim has asked for on the link, by ARP or NDP, whomever it asked."""
        self.link.seen.clear()
        self._before = self.counters()

    def _host(self, own4: bytes, own6: bytes) -> Host:
        host = self.link.host(f"fd00::{own6[15]:x}/64")
        host.interface.set_addresses([(own4, 24), (own6, 64)])
        if own4 != ROUTER4:
            host.interface.set_gateways((ROUTER4, ROUTER6))
        return host

    # ---- what is measured ----------------------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Return the victim's statistics."""
        return self.victim.stack.statistics()

    def counted(self, *names: str) -> int:
        """Return by how much the victim's counters have grown since the field was made, together."""
        now = self.counters()
        return sum(now[name] - self._before.get(name, 0) for name in names)

    def strike(self, frame: bytes) -> None:
        """Have the victim receive one attack frame."""
        self.frames += 1
        self.bytes += len(frame)
        self.link.inject(frame, self.victim)

    def look(self) -> None:
        """Note what the victim has sent since the last look, and forget it."""
        good = (self.client.mac, self.router.mac)
        for frame in self.link.seen:
            if frame[6:12] != self.victim.mac:
                continue
            is_arp, is_icmp6 = frame[12:14] == b"\x08\x06", frame[12:21:8] == b"\x86\x3a"
            if (is_arp and frame[21] == arp.REQUEST) or (is_icmp6 and frame[54] in ASKS):
                self.questions += 1
            elif frame[:6] not in good or (frame[:6] == self.router.mac and not is_arp and not _is_na(frame, is_icmp6)):
                self.answers += 1
                self.answered_bytes += len(frame)
        self.link.seen.clear()

    def work(self, frames: Iterable[bytes]) -> float:
        """Return how many lines of sarab the victim runs for one of these frames, each in a turn of its own."""
        stack, interface = self.victim.stack, self.victim.interface
        lines = count = 0

        def on_line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal lines
            if event == "line":
                lines += 1
            return on_line

        for data in frames:
            count += 1
            sys.settrace(on_line)
            try:
                stack.receive(self.link.now, interface, [Incoming(data)])
                stack.poll(self.link.now)
                stack.deadline()
                stack.take_ready()
            finally:
                sys.settrace(None)
        return lines / count

    def siege(
        self, attack: Iterator[bytes], *, each: int = 40, size: int = 60_000, families: tuple[int, ...] = (4, 6)
    ) -> int:
        """Serve the client while `each` frames of the attack come at every moment; return what memory has grown.

        Raises AssertionError when the client is not served in PATIENCE.
        """

        struck_at = 0

        def strike() -> None:
            nonlocal struck_at
            if self.link.now != struck_at:  # else the answers of the victim would keep time from passing
                struck_at = self.link.now
                for _, frame in zip(range(each), attack, strict=False):
                    self.strike(frame)
            self.look()

        self.look()
        gc.collect()
        tracemalloc.start()
        try:
            for family in families:
                self.exchange(family, size, strike)
            self.look()
            self.link.run(0.01)
            self.look()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    # ---- the client ----------------------------------------------------------------------------------------------

    def exchange(self, family: int, size: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Have the client connect, send `size` bytes, get them back and close. Raises AssertionError when it is not."""
        link, stack = self.link, self.client.stack
        data = random.Random(size).randbytes(size)
        flow = stack.tcp_connect(link.now, VICTIM4 if family == 4 else VICTIM6, PORT)
        got = bytearray()
        sent = 0

        def served() -> bool:
            nonlocal sent
            meanwhile()
            if flow.established and sent < size:
                sent += flow.write(link.now, data[sent : sent + 65536])
            got.extend(flow.read(link.now, 1 << 20))
            return len(got) == size

        link.run(PATIENCE, until=served)
        assert got == data
        flow.close(link.now)
        link.run(0.01)

    def still_serves(self) -> None:
        """Check that both families are served, to the last byte, and let what is over go."""
        for family in (4, 6):
            self.exchange(family, 10_000)

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass without an attack."""
        self.link.run(seconds)
        self.look()


def _is_na(frame: bytes, is_icmp6: bool) -> bool:
    return is_icmp6 and frame[54] == ndp.NEIGHBOUR_ADVERTISEMENT


# ---- frames ------------------------------------------------------------------------------------------------------


def frame(kind: int, packet: bytes, source: bytes = EVIL, destination: bytes = b"\x02\0\0\0\0\x01") -> bytes:
    """Return an Ethernet frame for the victim."""
    return ethernet.emit(ethernet.Header(destination, source, kind)) + packet


def packet4(source: bytes, protocol: int, payload: bytes, destination: bytes = VICTIM4, **fields: Any) -> bytes:
    """Return a frame of IPv4; `fields` are those of its header."""
    length = 20 + len(fields.get("options", b"")) + len(payload)
    return frame(ethernet.IPV4, ipv4.emit(ipv4.Header(source, destination, protocol, length, **fields)) + payload)


def packet6(source: bytes, following: int, payload: bytes, destination: bytes = VICTIM6, **fields: Any) -> bytes:
    """Return a frame of IPv6."""
    header = ipv6.Header(source, destination, following, len(payload), **fields)
    return frame(ethernet.IPV6, ipv6.emit(header) + payload)


def packet(source: bytes, protocol: int, payload: bytes, destination: bytes = b"") -> bytes:
    """Return a frame of the family of `source`."""
    if len(source) == 4:
        return packet4(source, protocol, payload, destination or VICTIM4)
    return packet6(source, protocol, payload, destination or VICTIM6)


def tcp(source: bytes, segment: Segment, destination: bytes = b"") -> bytes:
    """Return a frame with a segment, its checksum good."""
    destination = destination or (VICTIM4 if len(source) == 4 else VICTIM6)
    bare, payload = wire_tcp.emit(segment), bytes(segment.payload)
    initial = pseudo_header(source, destination, 6, len(bare) + len(payload)) + partial(payload)
    whole = bare[:16] + checksum(bare, initial).to_bytes(2, "big") + bare[18:] + payload
    return packet(source, 6, whole, destination)


def datagram(source: bytes, src_port: int, dst_port: int, data: bytes, destination: bytes = b"") -> bytes:
    """Return a frame with a datagram, its checksum good."""
    destination = destination or (VICTIM4 if len(source) == 4 else VICTIM6)
    length = 8 + len(data)
    bare = udp.emit(udp.Header(src_port, dst_port, length))
    whole = checksum(bare, pseudo_header(source, destination, 17, length) + partial(data)) or 65535
    return packet(source, 17, bare[:6] + whole.to_bytes(2, "big") + data, destination)


def icmp(source: bytes, message: icmpv4.Message | icmpv6.Message, destination: bytes = b"") -> bytes:
    """Return a frame with a message of ICMP."""
    if isinstance(message, icmpv4.Message):
        return packet(source, 1, icmpv4.emit(message), destination)
    destination = destination or VICTIM6
    return packet(source, 58, icmpv6.emit(message, source, destination), destination)


def near(family: int, number: int) -> bytes:
    """Return an address on the link that nobody has: IPv4 gives 100 of them, IPv6 as many as are wanted."""
    return bytes((10, 0, 0, 100 + number % 100)) if family == 4 else VICTIM6[:8] + (1 << 40 | number).to_bytes(8, "big")


def far(family: int, number: int) -> bytes:
    """Return an address behind the router."""
    return (0xC0_00_02_00 + number).to_bytes(4, "big") if family == 4 else FAR6[:8] + number.to_bytes(8, "big")


def is_over(flow: Flow) -> bool:
    """Say whether a flow has ended, one way or the other."""
    return not flow.established and bool(flow.error or flow.eof or flow.closed)
