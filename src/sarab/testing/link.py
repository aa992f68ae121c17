"""A switch on virtual time, and the cards on it: what hosts of a World are connected by.

link.loss = 0.1                      # of ten frames one is lost, by the world's seed
link.delay = 0.050                   # seconds from card to card
link.partition(first, second)        # the hosts of the two groups do not hear each other
link.heal()
link.lines()                         # every frame that was sent, in packetdrill's notation
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sarab.device.errors import DeviceLost
from sarab.device.network import Gso, Incoming, Offload, Outgoing
from sarab.driver.tracer import frame_line
from sarab.testing.wire import Weather, Wire
from sarab.wire import ethernet

SECOND = 1_000_000_000
BEGIN = SECOND
"""What a world's clock shows when it begins, in nanoseconds: 0 is no time for a stack."""
DELAY_DEFAULT = 0.0001
"""Seconds: a switch in the same room."""
MTU_DEFAULT = 1500
WAITING_MAX = 4096
"""Frames that wait for a card whose host does not fetch them; what comes on top is lost, as in a ring."""
SENT_BYTES_MAX = 64 << 20
"""Of frames that are remembered; of a longer test, the last."""
SENT_COST = 200
"""Bytes that each is counted for beside its own: what Python needs to hold it."""


class Sent(NamedTuple):
    """A frame as it left its card."""

    time: int
    """Nanoseconds of virtual time."""
    sender: str
    """The name of the card's host."""
    data: bytes


class Card:
    """A card of one host; device.network.Network. Made by Link.card()."""

    def __init__(self, link: Link, owner: str, mac: bytes, descriptor: bool) -> None:
        self.link, self.owner, self.mac = link, owner, mac
        self.mtu, self.offloads = link.mtu, link.offloads
        self.closed = False
        self.lost = 0
        """Frames that found no room."""
        self.arrived: deque[Incoming] = deque()
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) if descriptor else -1

    def fileno(self) -> int:
        """See Network; -1 for the card of a host's own stack, which the world drives."""
        return self._descriptor

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        if self.closed:
            raise DeviceLost(f"the card of {self.owner} is closed")
        arrived = self.arrived
        frames = [arrived.popleft() for _ in range(min(limit, len(arrived)))]
        if self._descriptor >= 0 and not arrived:
            try:
                os.eventfd_read(self._descriptor)
            except BlockingIOError:
                pass  # nobody had written
        return frames

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network. A closed card sends nothing, and says nothing: its host has no power any more."""
        if not self.closed:
            for frame in frames:
                self.link.send(self, frame)
        return len(frames)

    def close(self) -> None:
        """See Network."""
        if not self.closed:
            self.closed = True
            self.arrived.clear()
            self.link.leave(self)
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def take(self, frame: Incoming) -> bool:
        """For Link: a frame has come. False: it is lost."""
        if self.closed:
            return False
        if len(self.arrived) >= WAITING_MAX:
            self.lost += 1
            return False
        self.arrived.append(frame)
        if self._descriptor >= 0:
            os.eventfd_write(self._descriptor, 1)
        return True


class Link:
    """A switch: a frame goes to the card that it is for, or to all others."""

    def __init__(
        self,
        name: str,
        seed: int,
        clock: Callable[[], int],
        *,
        mtu: int = MTU_DEFAULT,
        offloads: Offload = Offload.NONE,
    ) -> None:
        """`clock` tells nanoseconds of virtual time."""
        self.name, self.mtu, self.offloads = name, mtu, offloads
        self.sent: deque[Sent] = deque()
        """Every frame, in the order of sending, also those that got lost."""
        self._sent_bytes = 0
        self.lost = 0
        """Frames that did not arrive, whatever the reason."""
        self._clock = clock
        self._seed = seed
        self._weather = Weather(delay=int(DELAY_DEFAULT * SECOND))
        self._cards: list[Card] = []
        self._wires: dict[Card, Wire[tuple[Card, Incoming]]] = {}
        self._made = 0
        self._groups: tuple[frozenset[str], ...] = ()

    # ---- what a test sets ----------------------------------------------------------------------------------------

    @property
    def weather(self) -> Weather:
        """All that the wires do to frames, at once; times in nanoseconds."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        for wire in self._wires.values():
            wire.weather = weather

    @property
    def loss(self) -> float:
        """How likely a frame is lost: 0 to 1."""
        return self._weather.loss

    @loss.setter
    def loss(self, chance: float) -> None:
        self.weather = self._weather._replace(loss=_chance("loss", chance))

    @property
    def duplicate(self) -> float:
        """How likely a frame comes twice: 0 to 1."""
        return self._weather.duplicate

    @duplicate.setter
    def duplicate(self, chance: float) -> None:
        self.weather = self._weather._replace(duplicate=_chance("duplicate", chance))

    @property
    def corrupt(self) -> float:
        """How likely one bit of a frame is turned: 0 to 1."""
        return self._weather.corrupt

    @corrupt.setter
    def corrupt(self, chance: float) -> None:
        self.weather = self._weather._replace(corrupt=_chance("corrupt", chance))

    @property
    def delay(self) -> float:
        """Seconds from card to card."""
        return self._weather.delay / SECOND

    @delay.setter
    def delay(self, seconds: float) -> None:
        self.weather = self._weather._replace(delay=_nanoseconds("delay", seconds))

    @property
    def jitter(self) -> float:
        """Seconds that are added at random, at most: what is sent later may arrive before."""
        return self._weather.jitter / SECOND

    @jitter.setter
    def jitter(self, seconds: float) -> None:
        self.weather = self._weather._replace(jitter=_nanoseconds("jitter", seconds))

    @property
    def rate(self) -> int:
        """Bytes a second that a card can send; 0: no bound."""
        return self._weather.rate

    @rate.setter
    def rate(self, bytes_a_second: int) -> None:
        if bytes_a_second < 0:
            raise ValueError(f"a rate is 0 or more bytes a second, not {bytes_a_second}")
        self.weather = self._weather._replace(rate=bytes_a_second)

    def partition(self, *groups: Iterable[str]) -> None:
        """Let only hosts of one group hear each other; those that are in no group are a group of their own.

        A group is made of names of hosts: `link.partition(["web"], ["database"])`.
        """
        self._groups = tuple(frozenset(group) for group in groups)

    def heal(self) -> None:
        """Let everybody hear everybody, and lose, delay and damage nothing any more."""
        self._groups = ()
        self.weather = Weather(delay=int(DELAY_DEFAULT * SECOND))

    def lines(self) -> list[str]:
        """Return a line for every frame: seconds, the sender's name, and the frame in packetdrill's notation."""
        return [f"{(sent.time - BEGIN) / SECOND:.6f} {sent.sender}: {frame_line(sent.data)}" for sent in self.sent]

    # ---- cards ---------------------------------------------------------------------------------------------------

    def card(self, owner: str, *, descriptor: bool = True) -> Card:
        """Return a new card of the host `owner`; without `descriptor` its fileno() is -1."""
        self._made += 1
        number = self._made
        mac = bytes((2, 0, 0)) + number.to_bytes(3, "big")
        card = Card(self, owner, mac, descriptor)
        chance = random.Random(f"{self._seed}/{self.name}/{number}")
        damage = random.Random(f"{self._seed}/{self.name}/{number}/damage")
        self._wires[card] = Wire(
            chance, self._weather, lambda thing: len(thing[1].data), lambda thing: _damaged(thing, damage)
        )
        self._cards.append(card)
        return card

    def leave(self, card: Card) -> None:
        """For Card: it is closed. What it has sent before still arrives."""
        self._cards.remove(card)

    def send(self, card: Card, frame: Outgoing) -> None:
        """For Card."""
        now = self._clock()
        data = bytes(frame.header) + bytes(frame.payload)
        self._remember(Sent(now, card.owner, data))
        whole = Incoming(data, frame.checksum_start != 0, frame.gso_size if frame.gso is not Gso.NONE else 0)
        wire = self._wires[card]
        destination = data[:6]
        receivers = [other for other in self._cards if other is not card]
        exact = [other for other in receivers if other.mac == destination]
        for other in exact or receivers:
            if self._apart(card.owner, other.owner):
                self.lost += 1
                continue
            before = wire.lost
            wire.send(now, (other, whole))
            self.lost += wire.lost - before

    def _remember(self, sent: Sent) -> None:
        self.sent.append(sent)
        self._sent_bytes += len(sent.data) + SENT_COST
        while self._sent_bytes > SENT_BYTES_MAX:
            self._sent_bytes -= len(self.sent.popleft().data) + SENT_COST

    def _apart(self, left: str, right: str) -> bool:
        if not self._groups:
            return False
        sides = [next((i for i, group in enumerate(self._groups) if name in group), -1) for name in (left, right)]
        return sides[0] != sides[1]

    # ---- time ----------------------------------------------------------------------------------------------------

    def deliver(self, now: int) -> None:
        """Give the cards what has arrived by `now`."""
        for card, wire in tuple(self._wires.items()):
            for receiver, frame in wire.receive(now):
                if not receiver.take(frame):
                    self.lost += 1
            if card.closed and wire.deadline() is None:
                del self._wires[card]

    def deadline(self) -> int | None:
        """Return when a frame arrives next."""
        times = [time for wire in self._wires.values() if (time := wire.deadline()) is not None]
        return min(times, default=None)


def _chance(name: str, chance: float) -> float:
    if not 0 <= chance <= 1:
        raise ValueError(f"{name} is between 0 and 1, not {chance}")
    return chance


def _nanoseconds(name: str, seconds: float) -> int:
    if seconds < 0:
        raise ValueError(f"{name} is 0 or more seconds, not {seconds}")
    return int(seconds * SECOND)


def _damaged(thing: tuple[Card, Incoming], chance: random.Random) -> tuple[Card, Incoming]:
    card, frame = thing
    data = bytearray(frame.data)
    bit = chance.randrange(ethernet.HEADER_SIZE * 8, len(data) * 8)
    data[bit // 8] ^= 1 << bit % 8
    return card, Incoming(bytes(data))
