"""What every device.network.Network promises, checked: `check_network(make)`.

    def make() -> tuple[Network, FarEnd]:
        left, right = pair()
        return left, right                    # a card is a far end, too

    check_network(make)

A driver, a fake and a wrapper pass the same check. It raises Broken with the promise that was not kept.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sarab.device.network import Gso, Incoming, Network, Offload, Outgoing
from sarab.testing.checks.promise import Broken as Broken
from sarab.testing.checks.promise import must as _must
from sarab.wire import ethernet, ipv4, tcp
from sarab.wire.checksum import checksum, pseudo_header, verified

PATIENCE_SECONDS = 2.0
"""How long a frame may take from one end to the other: a real device lives in real time."""
MTU_MIN = 576
"""RFC 1122 section 3.3.3: what every link of IPv4 hosts carries."""
FLOOD_MAX = 20_000
"""Frames after which a card that still takes them is taken to be one whose wire is never full."""
ETHERTYPE = 0x88B5
"""IEEE 802's for local experiments: no host answers to it."""
SOURCE, DESTINATION = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
MSS = 1000


class FarEnd(Protocol):
    """The other end of the card's cable; another card will do."""

    def receive(self, limit: int) -> list[Incoming]:
        """Return what the card has sent."""

    def send(self, frames: Sequence[Outgoing]) -> int:
        """Have the card receive frames."""


def check_network(make: Callable[[], tuple[Network, FarEnd]]) -> None:
    """Check a card; `make` returns a fresh one with its far end, on a quiet cable. Raises Broken."""
    for check in (_facts, _receives, _sends, _sums, _cuts, _bounds, _closes):
        card, far = make()
        try:
            check(card, far)
        finally:
            card.close()
            card.close()  # harmless, by the interface


def _frame(number: int, size: int, destination: bytes = ethernet.BROADCAST) -> bytes:
    head = ethernet.emit(ethernet.Header(destination, b"\x02\0\0\0\0\x99", ETHERTYPE))
    return (head + number.to_bytes(4, "big")).ljust(size, bytes((number & 0xFF,)))


def _gather(take: Callable[[int], list[Incoming]], count: int, ours: Callable[[bytes], bool]) -> list[Incoming]:
    """Return `count` frames, whatever else a real wire carries, or what came in time."""
    end = time.monotonic() + PATIENCE_SECONDS
    found: list[Incoming] = []
    while len(found) < count and time.monotonic() < end:
        got = take(64)
        found += [frame for frame in got if ours(frame.data)]
        if not got:
            time.sleep(0.0005)
    return found


def _is_experiment(data: bytes) -> bool:
    return data[12:14] == ETHERTYPE.to_bytes(2, "big")


def _is_tcp(data: bytes) -> bool:
    return data[12:14] == b"\x08\x00" and data[26:34] == SOURCE + DESTINATION


def _settle(card: Network) -> None:
    """Take what a real host says to a new link."""
    while card.receive(64):
        pass


def _facts(card: Network, _far: FarEnd) -> None:
    _must(isinstance(card.mac, bytes) and len(card.mac) == 6 and any(card.mac), "mac is six bytes, not all zero")
    _must(not card.mac[0] & 1, "mac is no multicast address")
    _must(MTU_MIN <= card.mtu <= 65535, "mtu is between 576 and 65535")
    if card.offloads & (Offload.TSO4 | Offload.TSO6):
        _must(bool(card.offloads & Offload.CHECKSUM), "segmentation comes with CHECKSUM")
    _must((card.mac, card.mtu, card.offloads) == (card.mac, card.mtu, card.offloads), "the facts do not change")


def _receives(card: Network, far: FarEnd) -> None:
    _settle(card)
    _must(card.receive(64) == [], "receive() of nothing is an empty list, at once")
    sizes = (60, 61, card.mtu + ethernet.HEADER_SIZE, 1000)
    sent = [_frame(number, size) for number, size in enumerate(sizes)]
    _must(far.send([Outgoing(data) for data in sent]) == len(sent), "the far end could not send: check make()")
    if card.fileno() >= 0:
        ready = select.select([card.fileno()], [], [], PATIENCE_SECONDS)[0]
        _must(bool(ready), "the descriptor is readable when a frame has come")
    first = _gather(lambda _: _at_most(card, 1), 1, _is_experiment)
    rest = _gather(card.receive, len(sent) - 1, _is_experiment)
    got = first + rest
    _must(all(type(frame.data) is bytes for frame in got), "a frame's data is bytes")
    _must([frame.data for frame in got] == sent, "frames are received whole, once each, in order")
    _must(all(frame.gso_size == 0 for frame in got), "a frame that is no burst has no gso_size")
    _settle(card)
    if card.fileno() >= 0:
        _must(
            not select.select([card.fileno()], [], [], 0.01)[0] or bool(card.receive(64)),
            "the descriptor is not readable when everything has been received",
        )
    _must(far.send([Outgoing(_frame(9, 60))]) == 1, "the far end could not send: check make()")
    if card.fileno() >= 0:
        ready = select.select([card.fileno()], [], [], PATIENCE_SECONDS)[0]
        _must(bool(ready), "the descriptor becomes readable again")
    _must(len(_gather(card.receive, 1, _is_experiment)) == 1, "a frame that comes later is received")


def _at_most(card: Network, limit: int) -> list[Incoming]:
    got = card.receive(limit)
    _must(len(got) <= limit, "receive() returns no more than it was asked for")
    return got


def _sends(card: Network, far: FarEnd) -> None:
    _must(card.send([]) == 0, "send() of nothing takes nothing")
    payload = bytearray(b"payload that the sender uses again")
    whole = _frame(1, 60)
    outgoing = [
        Outgoing(whole),
        Outgoing(whole, payload),
        Outgoing(whole, memoryview(bytes(payload))[2:9]),
        Outgoing(_frame(2, card.mtu + ethernet.HEADER_SIZE)),
    ]
    expected = [frame.header + bytes(frame.payload) for frame in outgoing]
    _must(card.send(outgoing) == len(outgoing), "a card at rest takes four frames")
    payload[:] = bytes(len(payload))
    got = _gather(far.receive, len(outgoing), _is_experiment)
    _must(
        [frame.data for frame in got] == expected,
        "frames arrive whole, once each, in order, and as they were when send() was called",
    )


def _segment(payload: bytes, seq: int) -> tuple[bytes, int, int]:
    """Return header and where the checksum starts and stands; its place holds the pseudo-header's sum."""
    size = tcp.HEADER_SIZE + len(payload)
    head = ipv4.Header(SOURCE, DESTINATION, ipv4.TCP, ipv4.HEADER_SIZE + size)
    bare = tcp.emit(tcp.Segment(1000, 2000, seq, 1, tcp.ACK, 1000))
    partial = pseudo_header(SOURCE, DESTINATION, ipv4.TCP, size).to_bytes(2, "big")
    at = tcp.CHECKSUM_OFFSET
    link = ethernet.emit(ethernet.Header(ethernet.BROADCAST, b"\x02\0\0\0\0\x99", ethernet.IPV4))
    start = len(link) + ipv4.HEADER_SIZE
    return link + ipv4.emit(head) + bare[:at] + partial + bare[at + 2 :], start, at


def _is_good(frame: Incoming) -> bool:
    """Whether the receiver may believe its TCP checksum: summed up, or vouched for by the device."""
    packet = frame.data[ethernet.HEADER_SIZE :]
    head = ipv4.parse(packet)
    body = packet[head.size : head.total_length]
    return frame.verified or verified(body, pseudo_header(head.source, head.destination, head.protocol, len(body)))


def _sums(card: Network, far: FarEnd) -> None:
    payload = bytes(range(200))
    header, start, offset = _segment(payload, 1)
    if card.offloads & Offload.CHECKSUM:
        _must(card.send([Outgoing(header, payload, start, offset)]) == 1, "a card at rest takes a frame")
        got = _gather(far.receive, 1, _is_tcp)
        _must(len(got) == 1 and got[0].data.endswith(payload), "a frame whose checksum is left to the card arrives")
        _must(_is_good(got[0]), "CHECKSUM: the card completes the checksum, or tells the receiver to trust it")
    size = tcp.HEADER_SIZE + len(payload)
    bare = header[start : start + offset] + b"\0\0" + header[start + offset + 2 :]
    total = checksum(bare + payload, pseudo_header(SOURCE, DESTINATION, ipv4.TCP, size)).to_bytes(2, "big")
    complete = header[:start] + bare[:offset] + total + bare[offset + 2 :] + payload
    _must(far.send([Outgoing(complete)]) == 1, "the far end could not send: check make()")
    received = _gather(card.receive, 1, _is_tcp)
    _must([frame.data for frame in received] == [complete], "a frame with its checksum comes as it is")


def _cuts(card: Network, far: FarEnd) -> None:
    if not card.offloads & Offload.TSO4:
        return
    payload = bytes(range(250)) * 4 * 9 + b"end"
    header, start, offset = _segment(payload, 7)
    _must(card.send([Outgoing(header, payload, start, offset, Gso.TCPV4, MSS)]) == 1, "a card at rest takes a burst")
    end = time.monotonic() + PATIENCE_SECONDS
    rebuilt: dict[int, bytes] = {}
    while time.monotonic() < end and sum(map(len, rebuilt.values())) < len(payload):
        for frame in far.receive(64):
            if not _is_tcp(frame.data):
                continue
            packet = frame.data[ethernet.HEADER_SIZE :]
            segment = tcp.parse(packet[ipv4.HEADER_SIZE : ipv4.parse(packet).total_length])
            _must(_is_good(frame), "TSO4: each piece has its checksum, or is vouched for")
            _must(
                len(segment.payload) <= MSS or frame.gso_size == MSS,
                "TSO4: pieces are of gso_size, or the burst arrives whole and says its gso_size",
            )
            rebuilt[segment.seq] = bytes(segment.payload)
    joined = b"".join(rebuilt[seq] for seq in sorted(rebuilt))
    _must(joined == payload, "TSO4: the pieces make up the burst")


def _bounds(card: Network, far: FarEnd) -> None:
    batch = [Outgoing(_frame(number, 1000)) for number in range(100)]
    taken = 0
    while taken < FLOOD_MAX:
        count = card.send(batch)
        _must(0 <= count <= len(batch), "send() returns how many it took")
        taken += count
        if count < len(batch):
            break
    marker = _frame(7, 60)
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        card.receive(64)  # a card may use the occasion to send what waits
        if any(frame.data == marker for frame in far.receive(64)):
            return
        card.send([Outgoing(marker)])  # it may be lost behind the flood, as on any wire
    raise Broken("a card that was full sends again when the far end has received")


def _closes(card: Network, _far: FarEnd) -> None:
    card.close()
    card.close()
