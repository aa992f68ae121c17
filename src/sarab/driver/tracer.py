"""A card that prints a line a frame, in packetdrill's notation (the only driver that knows wire formats).

    0.000012 > 10.0.0.2.40000 > 10.0.0.1.80: S 0:0(0) win 65535 <mss 1460>

`>` left us, `<` came to us; the number is seconds since the first line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sarab.device.network import Incoming, Network, Outgoing
from sarab.driver.around import Around
from sarab.wire import arp, ethernet, icmpv4, ipv4, ipv6, tcp, udp
from sarab.wire.address import text
from sarab.wire.errors import Malformed

SECOND = 1_000_000_000
ICMPV4, ICMPV6 = 1, 58


class Tracer(Around):
    """A card around a card; device.network.Network."""

    def __init__(
        self, device: Network, write: Callable[[str], object], clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """Give each line, without its end, to `write`."""
        super().__init__(device)
        self._print, self._clock = write, clock
        self._first: int | None = None

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        frames = self._device.receive(limit)
        for frame in frames:
            self._show("<", frame.data, frame.gso_size)
        return frames

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network. Only what the card took is shown."""
        count = self._device.send(frames)
        for frame in frames[:count]:
            self._show(">", frame.header + bytes(frame.payload), frame.gso_size)
        return count

    def _show(self, direction: str, data: bytes, gso_size: int) -> None:
        now = self._clock()
        if self._first is None:
            self._first = now
        cut = f" [segments of {gso_size}]" if gso_size else ""
        self._print(f"{(now - self._first) / SECOND:.6f} {direction} {frame_line(data)}{cut}")


def frame_line(data: bytes) -> str:
    """Return one line for a frame, whatever its bytes are."""
    try:
        head = ethernet.parse(data)
        body = memoryview(data)[head.size :]
        if head.ethertype == ethernet.ARP:
            return arp.line(arp.parse(body))
        if head.ethertype == ethernet.IPV4:
            return _ipv4_line(body)
        if head.ethertype == ethernet.IPV6:
            return _ipv6_line(body)
        return f"{ethernet.line(head)} ({len(body)})"
    except Malformed as why:
        return f"malformed ({len(data)} bytes): {why}"


def _ipv4_line(packet: memoryview) -> str:
    head = ipv4.parse(packet)
    body = packet[head.size : head.total_length]
    if head.fragment_offset or head.flags & ipv4.MORE_FRAGMENTS:
        return f"{ipv4.line(head)} ({len(body)})"
    if head.protocol == ICMPV4:
        return f"{text(head.source)} > {text(head.destination)}: {icmpv4.line(icmpv4.parse(body))}"
    return _transport_line(head.source, head.destination, head.protocol, body) or f"{ipv4.line(head)} ({len(body)})"


def _ipv6_line(packet: memoryview) -> str:
    head = ipv6.parse(packet)
    whole = packet[: ipv6.HEADER_SIZE + head.payload_length]
    chain = ipv6.walk(whole, head.next_header)
    body = whole[chain.offset :]
    if chain.fragment is not None:
        part = f"frag {chain.fragment.identification}:{chain.fragment.offset}{'+' if chain.fragment.more else ''}"
        return f"{text(head.source)} > {text(head.destination)} {part} ({len(body)})"
    if chain.protocol == ICMPV6 and len(body) >= 2:
        return f"{text(head.source)} > {text(head.destination)}: icmp6 type {body[0]} code {body[1]} ({len(body)})"
    return _transport_line(head.source, head.destination, chain.protocol, body) or f"{ipv6.line(head)} ({len(body)})"


def _transport_line(source: bytes, destination: bytes, protocol: int, body: memoryview) -> str:
    if protocol == tcp.PROTOCOL:
        segment = tcp.parse(body)
        ports, what = (segment.src_port, segment.dst_port), tcp.line(segment)
    elif protocol == udp.PROTOCOL:
        head = udp.parse(body)
        ports, what = (head.src_port, head.dst_port), f"udp ({head.length - udp.HEADER_SIZE})"
    else:
        return ""
    return f"{text(source)}.{ports[0]} > {text(destination)}.{ports[1]}: {what}"
