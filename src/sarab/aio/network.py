"""The stack in time: cards below it, loops and sockets above, the lock, and who receives (decision 0043)."""

from __future__ import annotations

import os
import select
import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from sarab.device.network import DeviceLost, Network, Outgoing
from sarab.net.errors import AddressInUse
from sarab.net.stack import Stack

if TYPE_CHECKING:
    from sarab.net.endpoints import Endpoint, Flow, Listener
    from sarab.net.interface import Interface
    from sarab.proto.tcp.values import Settings

RECEIVE_MAX = 256
"""Frames taken from a card at once: a ring's worth; then the others have their turn."""
WAITING_MAX = 1024
"""Frames that wait for a card whose ring is full: what comes on top is dropped, as a queueing discipline would."""
EVENTS_MAX = 256
"""Descriptors of which a loop hears at once: the others are told of in the next turn."""
CONFIGURE_TRIES, CONFIGURE_STEP = 1000, 0.01
"""How often, and how many seconds apart, a connection looks whether an address has come by DHCP: 10 s in all."""
DRAIN_SECONDS = 1.0
"""How long the end of a program waits for what it wrote to be acknowledged: a retransmission or two."""
MILLISECOND = 1_000_000
MSS_MAX = 65535

monotonic_ns = time.monotonic_ns


class Owner(Protocol):
    """Who hears of an endpoint's events; `endpoint.owner`."""

    def notify(self, endpoint: Endpoint, events: int) -> None:
        """Something happened. Called with the stack's lock held, by any thread: only schedule what is to be done."""


class Receiver(Protocol):
    """Who waits for the cards: a loop, or the service thread."""

    def watch(self, descriptor: int) -> None:
        """Wait for this descriptor too; call Network.receive() when it is readable."""

    def unwatch(self, descriptor: int) -> None:
        """Wait for it no more."""

    def wake(self) -> None:
        """Come out of waiting, for the deadline is another. Called by any thread."""


class Card:
    """A card, its interface, and the frames for which it had no room."""

    def __init__(self, device: Network, interface: Interface) -> None:
        self.device, self.interface = device, interface
        self.descriptor = device.fileno()
        self.waiting: list[Outgoing] = []
        self.dropped = 0


class NetworkDriver:
    """One stack with its cards. Every method may be called by any thread."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.lock = stack.lock
        self.acquire: Any = self.lock.acquire
        """Of the lock: where `with` would cost as much as what it is for."""
        self.release: Any = self.lock.release
        self.cards: list[Card] = []
        self.dirty = True
        """Somebody used the stack since the last poll()."""
        self.due: int | None = None
        """When poll() must be called, by monotonic_ns()."""
        self.moment = monotonic_ns()
        """When the stack was looked at last: the time of what is done for that look's sake."""
        self.receiver: Receiver | None = None
        self._loops: list[Receiver] = []
        self._service: Receiver | None = None
        self.lost: list[str] = []
        """Of every card that was lost, why."""
        self.before_drain: Callable[[], None] | None = None
        """Called first by drain()."""

    # ---- what the stack has in several forms ---------------------------------------------------------------------

    def listen(self, address: bytes, port: int, backlog: int, reuse_port: bool = False) -> Listener:
        """Return a listener; b"": on every address of both families. The lock is held."""
        return self.stack.tcp_listen(monotonic_ns(), address, port, backlog=backlog, reuse_port=reuse_port, v6only=True)

    def connect(
        self,
        target: tuple[bytes, int],
        source: tuple[bytes, int],
        adapt: Callable[[Settings], Settings] | None = None,
    ) -> Flow:
        """Return a flow towards `target`, from `source`, b"" and 0 for any. The lock is held. Raises NetworkError.

        `adapt` makes its settings from the stack's.
        """
        stack = self.stack
        for other in stack.tcp.listeners.get(source[1], ()) if source[1] else ():
            if not any(source[0]) or not any(other.local[0]) or other.local[0] == source[0]:
                raise AddressInUse(f"TCP port {source[1]} has a listener")
        # The path says how large its segments are.
        settings = None if adapt is None else adapt(stack.tcp.settings._replace(mss=MSS_MAX))
        return stack.tcp_connect(monotonic_ns(), *target, local=source[0], local_port=source[1], settings=settings)

    def is_configured(self, target: bytes) -> bool:
        """Say whether a connection to `target` need not wait for an interface's address."""
        stack = self.stack
        if not self.cards or not any(target) or stack.is_local(target):
            return True
        size, interfaces = len(target), [card.interface for card in self.cards]
        if any(len(own) == size for interface in interfaces for own, _ in interface.addresses):
            return True
        # Where nobody gives addresses of this family there is nothing to wait for.
        return not any(interface.ipv6 if size == 16 else interface.leases is not None for interface in interfaces)

    # ---- cards ---------------------------------------------------------------------------------------------------

    def add_card(self, device: Network, interface: Interface) -> None:
        """Drive `device` as `interface` of the stack."""
        card = Card(device, interface)
        with self.lock:
            self.cards.append(card)
            if self.receiver is not None and card.descriptor >= 0:
                self.receiver.watch(card.descriptor)

    def remove_card(self, device: Network) -> None:
        """Drive `device` no more. What its interface still sends is dropped."""
        with self.lock:
            for card in tuple(self.cards):
                if card.device is device:
                    self.poll()  # what was written leaves
                    self._forget(card)

    def _forget(self, card: Card) -> None:
        if card in self.cards:  # not lost
            self.cards.remove(card)
            if self.receiver is not None and card.descriptor >= 0:
                self.receiver.unwatch(card.descriptor)

    def _lose(self, card: Card, why: DeviceLost) -> None:
        self._forget(card)
        self.lost.append(str(why))
        os.write(2, f"sarab: the network card {card.interface.name} is lost: {why}\n".encode())

    # ---- moving frames, with the lock held -----------------------------------------------------------------------

    def poll(self) -> None:
        """Let the stack send and run its timers, and tell the owners. The lock is held."""
        self.dirty = False
        stack = self.stack
        self.moment = now = monotonic_ns()
        for interface, frames in stack.poll(now):
            for card in self.cards:
                if card.interface is interface:
                    self._send(card, frames)
                    break
        self.tell()
        self.due = stack.deadline()

    def poll_if_due(self) -> None:
        """Poll, if there is a reason. The lock is held."""
        if self.dirty or (self.due is not None and self.due <= monotonic_ns()):
            self.poll()

    def _send(self, card: Card, frames: list[Outgoing]) -> None:
        if card.waiting:
            frames = card.waiting + frames
            card.waiting = []
        try:
            sent = card.device.send(frames)
        except DeviceLost as why:
            self._lose(card, why)
            return
        if sent < len(frames):
            card.waiting = frames[sent : sent + WAITING_MAX]
            card.dropped += len(frames) - sent - len(card.waiting)

    def receive(self) -> None:
        """Take what the cards have, and tell the owners; poll() is left to whoever waits next. The lock is held."""
        stack = self.stack
        self.moment = now = monotonic_ns()
        for card in tuple(self.cards):
            try:
                frames = card.device.receive(RECEIVE_MAX)
            except DeviceLost as why:
                self._lose(card, why)
                continue
            if frames:
                stack.receive(now, card.interface, frames)
                self.dirty = True
            if card.waiting:
                self._send(card, [])
        self.tell()

    def tell(self) -> None:
        """Tell every owner what happened to its endpoint. The lock is held."""
        for endpoint, events in self.stack.take_ready():
            owner: Owner | None = endpoint.owner  # type: ignore[assignment]  # whatever we put there
            if owner is not None:
                owner.notify(endpoint, events)

    def flush(self) -> None:
        """Send what was written, at once, and have whoever waits know of a new deadline."""
        with self.lock:
            self.poll()
            if self.receiver is not None:
                self.receiver.wake()

    # ---- who receives --------------------------------------------------------------------------------------------

    def enter(self, loop: Receiver) -> None:
        """A loop begins to run."""
        with self.lock:
            self._loops.append(loop)
            self._arrange()

    def leave(self, loop: Receiver) -> None:
        """A loop has stopped."""
        with self.lock:
            self._loops.remove(loop)
            self._arrange()

    def serve(self, service: Receiver | None) -> None:
        """The service thread receives from now on; None: it does so no more."""
        with self.lock:
            self._service = service
            self._arrange()

    def _arrange(self) -> None:
        """Give the cards to the service thread, else to the first loop."""
        wanted = self._service or (self._loops[0] if self._loops else None)
        before = self.receiver
        if wanted is before:
            return
        self.receiver = wanted
        self.dirty = True
        for card in self.cards:
            if card.descriptor >= 0:
                if before is not None:
                    before.unwatch(card.descriptor)
                if wanted is not None:
                    wanted.watch(card.descriptor)
        if wanted is not None:
            wanted.wake()

    # ---- the end -------------------------------------------------------------------------------------------------

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Wait until what was written is acknowledged, at most `seconds`. Nobody else receives any more."""
        end = monotonic_ns() + int(seconds * 1e9)
        if self.before_drain is not None:
            self.before_drain()
        poll = select.poll()
        for card in self.cards:
            if card.descriptor >= 0:
                poll.register(card.descriptor, select.POLLIN)
        while True:
            with self.lock:
                self.poll()
                now = monotonic_ns()
                if now >= end or not any(flow.machine.unsent for flow in self.stack.tcp.flows.values()):
                    return
                until = end if self.due is None else max(min(end, self.due), now)
            poll.poll(-(-(until - now) // MILLISECOND))
            with self.lock:
                self.receive()


class Wait:
    """What a loop's selector does between two turns: what was written leaves, who waits sleeps, what came is told."""

    def __init__(
        self,
        driver: NetworkDriver,
        loop: Any,
        epoll: select.epoll,
        keys: dict[int, selectors.SelectorKey],
        cards: set[int],
    ) -> None:
        """`keys`: what the selector waits for by descriptor; `cards`: the cards' descriptors."""
        self._driver, self._loop, self._epoll = driver, loop, epoll
        self._keys, self._cards = keys, cards

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Send, wait, receive. `timeout` in seconds."""
        driver, loop = self._driver, self._loop
        callbacks = loop._ready
        if driver.receiver is loop:
            with driver.lock:
                driver.poll_if_due()
                due = driver.due
            if callbacks:
                timeout = 0.0
            elif due is not None and timeout != 0:
                left = max(due - monotonic_ns(), 0) / 1e9
                if timeout is None or left < timeout:
                    timeout = left
        elif driver.dirty:
            driver.flush()
            if callbacks:
                timeout = 0.0
        # epoll counts milliseconds, and poll() rounds up: a wait that ends early would be a turn for nothing.
        try:
            found = self._epoll.poll(-1.0 if timeout is None else timeout, EVENTS_MAX)
        except InterruptedError:
            return []
        self._loop.woken = False
        ready: list[tuple[selectors.SelectorKey, int]] = []
        came = False
        for descriptor, event in found:
            if descriptor in self._cards:
                came = True
                continue
            key = self._keys.get(descriptor)
            if key is not None:
                events = (selectors.EVENT_WRITE if event & ~select.EPOLLIN else 0) | (
                    selectors.EVENT_READ if event & ~select.EPOLLOUT else 0
                )
                ready.append((key, events & key.events))
        if came:
            with driver.lock:
                driver.receive()
        return ready
