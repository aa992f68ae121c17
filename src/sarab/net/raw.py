"""What the stack does not speak itself, handed to whoever does: protocols of IP, and types of Ethernet frames."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sarab.device.network import Outgoing
from sarab.net.endpoints import Endpoint
from sarab.net.errors import AddressInUse, MessageTooLong
from sarab.proto.tcp.values import Event
from sarab.wire import ethernet, ipv4, ipv6

if TYPE_CHECKING:
    from sarab.net.interface import Interface
    from sarab.net.stack import Stack

WAITING_MAX = 512
"""Packets or frames that wait for one reader, as of a port of UDP."""
WAITING_BYTES_MAX = 1 << 20
PAYLOAD_MAX = 65535 - ipv4.HEADER_SIZE
OWN_PROTOCOLS = frozenset(
    (
        ipv4.ICMP, ipv4.TCP, ipv4.UDP, ipv6.ICMPV6,
        ipv6.HOP_BY_HOP, ipv6.ROUTING, ipv6.FRAGMENT, ipv6.NO_NEXT, ipv6.DESTINATION,
    )
)  # fmt: skip
"""With IPv6's extension headers, which are no protocols (RFC 8200 section 4)."""
OWN_TYPES = frozenset((ethernet.IPV4, ethernet.IPV6, ethernet.ARP))


class Packets(Endpoint):
    """The packets of one protocol, of both families."""

    def __init__(self, stack: Stack, protocol: int) -> None:
        super().__init__(stack)
        self.protocol = protocol
        self.dropped = 0
        """Packets lost because nobody read the others."""
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._queued = 0

    def deliver(self, payload: bytes, source: bytes) -> bool:
        """Queue what came. False: it was dropped."""
        if len(self._queue) >= WAITING_MAX or self._queued + len(payload) > WAITING_BYTES_MAX:
            self.dropped += 1
            return False
        self._queue.append((payload, source))
        self._queued += len(payload)
        return True

    def receive_from(self) -> tuple[bytes, bytes] | None:
        """Return a packet's payload and its sender, or None."""
        if not self._queue:
            return None
        found = self._queue.popleft()
        self._queued -= len(found[0])
        return found

    def send_to(self, now: int, payload: bytes, address: bytes) -> None:
        """Send a packet, in fragments where it is too long. Raises MessageTooLong, NetworkUnreachable."""
        if len(payload) > PAYLOAD_MAX:
            raise MessageTooLong(f"{len(payload)} bytes do not fit into a packet: {PAYLOAD_MAX} do")
        self.stack.send_packet(now, self.protocol, payload, address)

    def close(self, now: int) -> None:
        """Receive no more."""
        if not self.closed:
            self.closed = True
            self.owner = None
            self._queue.clear()
            self.stack.raw.packets.pop(self.protocol, None)


class Frames(Endpoint):
    """Frames of a card: of one type, or of all that the stack does not speak and nobody has asked for."""

    def __init__(self, stack: Stack, interface: Interface, ethertype: int) -> None:
        super().__init__(stack)
        self.interface, self.ethertype = interface, ethertype
        self.dropped = 0
        """Frames lost because nobody read the others."""
        self._queue: deque[bytes] = deque()
        self._queued = 0

    def deliver(self, data: bytes) -> bool:
        """Queue a frame. False: it was dropped."""
        if len(self._queue) >= WAITING_MAX or self._queued + len(data) > WAITING_BYTES_MAX:
            self.dropped += 1
            return False
        self._queue.append(data)
        self._queued += len(data)
        return True

    def receive(self) -> bytes | None:
        """Return a frame, from its Ethernet header on, or None."""
        if not self._queue:
            return None
        data = self._queue.popleft()
        self._queued -= len(data)
        return data

    def send(self, destination: bytes, ethertype: int, payload: bytes) -> None:
        """Send a frame. Raises MessageTooLong."""
        if len(payload) > self.interface.mtu:
            raise MessageTooLong(f"{len(payload)} bytes do not fit into a frame: {self.interface.mtu} do")
        header = ethernet.emit(ethernet.Header(destination, self.interface.mac, ethertype))
        self.interface.queue(Outgoing(header, payload))

    def close(self, now: int) -> None:
        """Receive no more."""
        if not self.closed:
            self.closed = True
            self.owner = None
            self._queue.clear()
            self.stack.raw.frames.pop((self.interface.name, self.ethertype), None)


class Raw:
    """Who has which protocol and which frames."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.packets: dict[int, Packets] = {}
        self.frames: dict[tuple[str, int], Frames] = {}
        """By the interface's name and the type; 0: every other."""

    def open_packets(self, protocol: int) -> Packets:
        """Return the packets of a protocol. Raises AddressInUse."""
        if protocol in OWN_PROTOCOLS or not 0 <= protocol <= 255:
            raise AddressInUse(f"the stack itself speaks protocol {protocol} of IP")
        if protocol in self.packets:
            raise AddressInUse(f"protocol {protocol} of IP is in use")
        endpoint = self.packets[protocol] = Packets(self._stack, protocol)
        return endpoint

    def open_frames(self, interface: Interface, ethertype: int = 0) -> Frames:
        """Return a card's frames of a type, 0: of every type that nobody else has. Raises AddressInUse."""
        key = interface.name, ethertype
        if ethertype in OWN_TYPES or key in self.frames:
            raise AddressInUse(f"frames of type {ethertype:#06x} on {interface.name} are in use")
        endpoint = self.frames[key] = Frames(self._stack, interface, ethertype)
        return endpoint

    def packet(self, protocol: int, source: bytes, payload: bytes | memoryview) -> bool:
        """A packet came of a protocol that the stack does not speak. False: nobody else does."""
        endpoint = self.packets.get(protocol)
        if endpoint is None:
            return False
        if endpoint.deliver(bytes(payload), source):
            self._stack.ready(endpoint, Event.READABLE)
        return True

    def frame(self, interface: Interface, data: bytes) -> bool:
        """A frame came of a type that the stack does not speak. False: nobody else does."""
        if len(data) < ethernet.HEADER_SIZE or not (data[0] & 1 or data[:6] == interface.mac):
            return False
        kind = int.from_bytes(data[12:14], "big")
        endpoint = self.frames.get((interface.name, kind)) or self.frames.get((interface.name, 0))
        if endpoint is None:
            return False
        if endpoint.deliver(data):
            self._stack.ready(endpoint, Event.READABLE)
        return True
