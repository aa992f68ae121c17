"""Hosts on a link of virtual time: whole stacks, with the frames between them, and no clock but ours.

net = VirtualLink()
a, b = net.host("10.0.0.1/24"), net.host("10.0.0.2/24")
listener = b.stack.tcp_listen(net.now, b"", 80)
flow = a.stack.tcp_connect(net.now, b.address, 80)
net.run()
assert listener.accept()
"""

from __future__ import annotations

import random
from collections.abc import Callable

from sarab.device.network import Gso, Incoming, Offload, Outgoing
from sarab.net.endpoints import Endpoint
from sarab.net.interface import Configuration, Interface
from sarab.net.stack import Stack
from sarab.proto.tcp.values import Event
from sarab.testing.wire import Weather, Wire
from sarab.wire import ethernet
from sarab.wire.address import parse, parse_network

SECOND = 1_000_000_000
STEPS_MAX = 1_000_000


class Host:
    """A stack with one card on the link."""

    def __init__(self, link: VirtualLink, index: int, cidr: str, gateway: str, mtu: int, offloads: Offload) -> None:
        chance = random.Random(f"{link.seed}/{index}")
        self.stack = Stack(chance.randbytes)
        self.address, prefix = parse_network(cidr)
        self.mac = bytes((2, 0, 0, 0, index >> 8, index & 0xFF))
        gateways = (parse(gateway),) if gateway else ()
        configuration = Configuration(((self.address, prefix),), gateways)
        self.interface: Interface = self.stack.add_interface("eth0", self.mac, mtu, offloads, configuration)
        self.events: dict[Endpoint, int] = {}
        """Everything that was told of an endpoint so far."""
        self.on_ready: Callable[[Endpoint, int], None] | None = None


class VirtualLink:
    """A hub: every frame reaches every other host, through the weather of its sender's wire."""

    def __init__(self, seed: int = 0, weather: Weather | None = None) -> None:
        self.seed = seed
        self.now = 1 * SECOND
        self.weather = weather or Weather(delay=100_000)
        self.hosts: list[Host] = []
        self.seen: list[bytes] = []
        """Every frame, whole, as it left its host."""
        self._wires: list[Wire[Incoming]] = []
        self._chance = random.Random(seed)

    def host(self, cidr: str, *, gateway: str = "", mtu: int = 1500, offloads: Offload = Offload.NONE) -> Host:
        """Return a new host."""
        made = Host(self, len(self.hosts) + 1, cidr, gateway, mtu, offloads)
        self.hosts.append(made)
        chance = random.Random(f"{self.seed}/wire{len(self.hosts)}")
        self._wires.append(Wire(chance, self.weather, lambda frame: len(frame.data), self._corrupted))
        return made

    def _corrupted(self, frame: Incoming) -> Incoming | None:
        damaged = bytearray(frame.data)
        bit = self._chance.randrange(14 * 8, len(damaged) * 8)
        damaged[bit // 8] ^= 1 << bit % 8
        return Incoming(bytes(damaged))

    def inject(self, frame: bytes, host: Host) -> None:
        """Have `host` receive a frame now."""
        host.stack.receive(self.now, host.interface, [Incoming(frame)])

    def step(self) -> bool:
        """Deliver what has arrived and let every stack do what is due; return whether anything happened."""
        happened = False
        for index, host in enumerate(self.hosts):
            for other, wire in enumerate(self._wires):
                if other != index and (frames := self._pending[other]):
                    host.stack.receive(self.now, host.interface, frames)
                    happened = True
                    assert wire
        self._pending = [[] for _ in self.hosts]
        for index, host in enumerate(self.hosts):
            for _, frames_out in host.stack.poll(self.now):
                for frame in frames_out:
                    happened = True
                    for whole in self._cut(frame, host):
                        self.seen.append(whole.data)
                        self._wires[index].send(self.now, whole)
            for endpoint, events in host.stack.take_ready():
                happened = True
                host.events[endpoint] = host.events.get(endpoint, Event.NONE) | events
                if host.on_ready is not None:
                    host.on_ready(endpoint, events)
        return happened

    _pending: list[list[Incoming]]

    def run(self, seconds: float = 1.0, until: Callable[[], bool] | None = None) -> None:
        """Let virtual time pass, or until something is so. Raises AssertionError when it never becomes so."""
        end = self.now + int(seconds * SECOND)
        for _ in range(STEPS_MAX):
            self._pending = [wire.receive(self.now) for wire in self._wires]
            happened = self.step()
            if until is not None and until():
                return
            if happened:
                continue
            times = [wire.deadline() for wire in self._wires] + [host.stack.deadline() for host in self.hosts]
            following = min((time for time in times if time is not None), default=end)
            if following >= end:
                self.now = end
                break
            self.now = max(self.now + 1, following)
        assert until is None, "it never became so"

    def _cut(self, frame: Outgoing, host: Host) -> list[Incoming]:
        """Do what the card of `host` promises: sums, and cutting is left to the receiver, as between two guests."""
        data = bytearray(frame.header + bytes(frame.payload))
        assert len(data) - ethernet.HEADER_SIZE <= (65535 if frame.gso else host.interface.mtu)
        if frame.gso is not Gso.NONE:
            return [Incoming(bytes(data), True, frame.gso_size)]
        return [Incoming(bytes(data), bool(frame.checksum_start))]
