"""An attacker with connections of his own."""

from __future__ import annotations

import gc
import tracemalloc

from sarab.net.endpoints import Flow
from sarab.wire.tcp import ACK, FIN, NO_OPTIONS, SYN, Options, Segment
from tests.attack.field import PORT, VICTIM4, Field, far, tcp

MASK = 0xFFFFFFFF


class Peer:
    """A connection of the attacker's own: he sees the wire, and says what he likes."""

    def __init__(self, field: Field, number: int, options: Options = NO_OPTIONS, window: int = 65535) -> None:
        self.field, self.window = field, window
        self.address, self.port = far(4, 1 + number // 60_000), 1024 + number % 60_000
        self.seq = 1000
        self._say(Segment(self.port, PORT, self.seq, 0, SYN, window, options))
        self.seq += 1
        self.flow: Flow = field.victim.stack.tcp.flows[(VICTIM4, PORT, self.address, self.port)]
        self.send(b"")

    def _say(self, segment: Segment) -> None:
        self.field.strike(tcp(self.address, segment))
        self.field.victim.stack.poll(self.field.link.now)

    def segment(self, payload: bytes, at: int = 0, ack: int | None = None, flags: int = ACK) -> Segment:
        """Return a segment `at` bytes behind what was sent in order; all of the victim's data is acknowledged."""
        if ack is None:
            ack = self.flow.machine.snd_nxt
        return Segment(self.port, PORT, self.seq + at & MASK, ack & MASK, flags, self.window, NO_OPTIONS, payload)

    def send(self, payload: bytes, at: int = 0, ack: int | None = None, flags: int = ACK) -> None:
        """Have the victim take a segment now."""
        self._say(self.segment(payload, at, ack, flags))
        if not at:
            self.seq += len(payload) + bool(flags & FIN)

    def take(self) -> None:
        """Have the program take connections and answer."""
        for endpoint, events in self.field.victim.stack.take_ready():
            self.field.service.on_ready(endpoint, events)
        self.field.victim.stack.poll(self.field.link.now)


def memory() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def full(field: Field, peers: int, window: int) -> list[Peer]:
    """Return peers for whom the program has written as much as it could, and who take nothing."""
    made = [Peer(field, number, window=window) for number in range(peers)]
    made[0].take()
    for peer in made:
        while peer.flow.write(field.link.now, bytes(65536)):
            pass
    field.victim.stack.poll(field.link.now)
    return made
