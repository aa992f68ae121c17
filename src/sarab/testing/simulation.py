"""Whole stacks on a bad link, each scenario drawn from one seed, on virtual time, every segment judged (reference.py).

    play(seed=4711)        # raises Broken, which names the seed

Hosts with cards of their own kind connect, write, read, stall, close halfway, close and abort at drawn moments, over
wires that lose, delay, reorder, duplicate and damage until they heal. What is promised: every byte arrives once and in
order, and the end behind it; of an aborted connection a beginning; nothing hangs once the wires are well; buffers keep
their bounds; no timer is busy; in the end no connection is left anywhere; and the same seed plays the same frames.
"""

from __future__ import annotations

import random
import zlib
from typing import NamedTuple

from sarab.device.network import Gso, Incoming, Offload, Outgoing
from sarab.net.endpoints import Flow, Listener
from sarab.net.errors import NetworkError
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.proto.tcp.account import MINIMUM, UNLIMITED, Account
from sarab.proto.tcp.values import MILLISECOND, SECOND, Settings, State
from sarab.testing.reference import Broken, Judge
from sarab.testing.tcp_pair import draw_memory, draw_settings, draw_weather
from sarab.testing.wire import Wire
from sarab.wire import ipv4
from sarab.wire import tcp as wire
from sarab.wire.checksum import checksum, pseudo_header, verified
from sarab.wire.errors import Malformed
from sarab.wire.tcp import CWR, FIN, PSH, Segment

PORT = 80
STEPS_MAX = 400_000
TURNS_MAX = 1000
"""Polls of one stack at one moment."""
HEALED_AFTER = 20 * SECOND
OVER_AFTER = 4000 * SECOND
SYNCHRONISED = (State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.FIN_WAIT_2)


class Outcome(NamedTuple):
    """What a scenario came to."""

    ended_at: int
    frames: int
    connections: int
    aborted: int
    digest: int
    """Of every frame and its time."""


class End:
    """The user of one end of a connection."""

    def __init__(self, chance: random.Random, to_write: bytes, expected: bytes, aborts: bool) -> None:
        self.chance, self.to_write, self.expected = chance, to_write, expected
        self.flow: Flow | None = None
        self.written = 0
        self.got = bytearray()
        self.shut = self.eof = self.done = False
        self.aborts = aborts
        self.abort_at = int(chance.random() * 3 * SECOND) if aborts else -1
        self.lost = False
        """The connection ended otherwise than by both sides' FINs."""
        self.next_action = 0
        self.pace = chance.choice((MILLISECOND, 20 * MILLISECOND, 300 * MILLISECOND))
        self.stalls = chance.random() < 0.2
        self.shuts_late = chance.random() < 0.3
        """It says that it will write no more only after the peer has said so."""

    def act(self, now: int, started: int, healed: bool) -> bool:
        """Do what the user does next; return whether it was an abort."""
        flow, chance = self.flow, self.chance
        if flow is None or self.done or now < self.next_action:
            return False
        self.next_action = now + 1 + int(chance.random() * self.pace)
        machine = flow.machine
        if self.abort_at >= 0 and now - started >= self.abort_at and machine.state in SYNCHRONISED:
            self.abort_at = -1
            self.done = self.lost = True
            flow.abort(now)
            return True
        if machine.error or (machine.state is State.CLOSED and not machine.readable and not flow.eof):
            self.got += flow.read(now, 1 << 24)
            self.done = self.lost = True
            flow.close(now)
            return False
        if self.written < len(self.to_write):
            piece = self.to_write[self.written : self.written + chance.choice((1, 100, 1460, 20_000, 100_000))]
            self.written += flow.write(now, piece)
        if not self.stalls or healed or chance.random() < 0.2:
            self.got += flow.read(now, chance.choice((1, 1000, 1 << 20)) if not healed else 1 << 20)
        self.eof = flow.eof and flow.readable == 0
        if self.written == len(self.to_write) and not self.shut and (self.eof or not self.shuts_late):
            flow.shutdown_write(now)
            self.shut = True
        if self.shut and self.eof:
            flow.close(now)
            self.done = True
        return False


class Talk:
    """One connection, from its client's first attempt until both users are done."""

    def __init__(self, index: int, chance: random.Random, client: Host, server: Host, amount_max: int) -> None:
        sizes = (0, 1, 1000, chance.randrange(amount_max))
        up, down = chance.randbytes(chance.choice(sizes)), chance.randbytes(chance.choice(sizes))
        self.aborted = chance.random() < 0.15
        by_client = chance.random() < 0.5
        late = chance.random() < 0.3
        self.index, self.client_host, self.server_host = index, client, server
        self.client = End(random.Random(chance.random()), up, down, self.aborted and by_client)
        self.server = End(random.Random(chance.random()), down, up, self.aborted and not by_client)
        if self.client.shuts_late and self.server.shuts_late:
            self.server.shuts_late = False  # else each would wait for the other
        self.starts_at = int(chance.random() * 2 * SECOND) if late else 0
        self.attempts = 0

    def _failed(self) -> bool:
        """The attempt to connect failed: nobody answered while the wires were bad."""
        return self.client.lost and self.server.flow is None and not self.aborted

    def over(self) -> bool:
        """Both users are done."""
        return self.client.done and (self.server.done or (self.client.lost and not self._failed()))

    def connect(self, now: int) -> None:
        """Try, and try again where the attempt failed."""
        flow = self.client.flow
        if flow is not None and not self._failed():
            return
        self.attempts += 1
        if flow is not None:
            chance = random.Random(f"{self.index}/{self.attempts}")
            self.client = End(chance, self.client.to_write, self.client.expected, False)
            self.client.shuts_late = False
        self.client.flow = self.client_host.stack.tcp_connect(now, self.server_host.address, PORT)
        self.client_host.watch(self.client.flow, self.client.to_write)


class Host:
    """A stack with a card."""

    def __init__(self, index: int, chance: random.Random, keepalive: bool) -> None:
        self.name = f"host {index}"
        self.stack = Stack(random.Random(chance.random()).randbytes)
        self.address, self.mac = bytes((10, 0, 0, index)), bytes((2, 0, 0, 0, 0, index))
        self.offloads = chance.choice((Offload.NONE, Offload.CHECKSUM, Offload.CHECKSUM | Offload.TSO4))
        mtu = chance.choice((576, 1280, 1500, 1500, 9000))
        self.interface = self.stack.add_interface(
            "eth0", self.mac, mtu, self.offloads, Configuration(((self.address, 24),))
        )
        settings = draw_settings(chance)._replace(syn_retries=6)
        if keepalive:
            settings = settings._replace(keepalive_idle=2 * SECOND, keepalive_interval=SECOND)
        self.settings: Settings = settings
        self.stack.tcp.settings = settings
        self.coalesces = chance.random() < 0.5
        """What another's card did not cut is received as it is."""
        self.judges: dict[tuple[int, bytes, int], tuple[Flow, Judge]] = {}
        """By local port, remote address and port: the connection that is there, or was last."""
        self.listener: Listener | None = None

    def watch(self, flow: Flow, stream: bytes | None) -> Judge:
        """Have a connection judged."""
        judge = Judge(f"{self.name} port {flow.local[1]} to {flow.remote[1]}", stream)
        judge.state = flow.machine.state
        judge.short_of_memory = self.stack.tcp.account.limit < UNLIMITED
        self.judges[(flow.local[1], *flow.remote)] = flow, judge
        return judge

    def steps(self, cause: str) -> None:
        """Look at the state of every connection."""
        for flow, judge in self.judges.values():
            judge.step(flow.machine.state, cause)

    def receive(self, now: int, frame: Incoming) -> None:
        """Give a frame to the stack, and judge what comes of it."""
        segment, key = _tcp_of(frame, self)
        before = None
        if segment is not None and key is not None:
            before = self.judges.get(key)
            if before is not None and before[0] is self.stack.tcp.flows.get((self.address, *key)):
                before[1].received(segment)
            else:
                before = None
        self.stack.receive(now, self.interface, [frame])
        if segment is None or key is None:
            return
        flow = self.stack.tcp.flows.get((self.address, *key))
        if flow is not None and (before is None or before[0] is not flow):
            judge = self.watch(flow, None)
            judge.received(segment)
        elif before is not None:
            before[1].step(before[0].machine.state, "segment")

    def sent(self, frame: Outgoing) -> None:
        """Judge what the stack sends."""
        data = frame.header + bytes(frame.payload)
        if data[12:14] != b"\x08\x00" or data[23] != ipv4.TCP:
            return
        body = memoryview(data)[34:]
        if frame.gso is Gso.NONE and len(data) - 14 > self.interface.mtu:
            raise Broken(f"{self.name}: a packet of {len(data) - 14} bytes over an MTU of {self.interface.mtu}")
        if not frame.checksum_start and not verified(body, pseudo_header(data[26:30], data[30:34], 6, len(body))):
            raise Broken(f"{self.name}: a wrong checksum leaves")
        segment = wire.parse(body)
        found = self.judges.get((segment.src_port, data[30:34], segment.dst_port))
        if found is not None and found[0].machine.state is not State.CLOSED:
            found[1].sent(segment)

    def bounds(self) -> None:
        """Look at the buffers."""
        account = self.stack.tcp.account
        if account.used > account.limit + 2 * MINIMUM * len(self.judges):
            raise Broken(f"{self.name}: TCP holds {account.used} bytes of {account.limit}")
        for flow, judge in self.judges.values():
            machine, settings = flow.machine, self.settings
            if machine.readable > max(settings.rcv_buffer, settings.rcv_buffer_max):
                raise Broken(f"{judge.name}: {machine.readable} bytes wait to be read")
            if machine.unsent > settings.snd_buffer_max:
                raise Broken(f"{judge.name}: {machine.unsent} bytes wait to be sent")


def _tcp_of(frame: Incoming, host: Host) -> tuple[Segment | None, tuple[int, bytes, int] | None]:
    """Return the segment that a frame brings to `host`, if it will be believed."""
    data = frame.data
    if data[:6] != host.mac or data[12:14] != b"\x08\x00" or data[23] != ipv4.TCP or data[30:34] != host.address:
        return None, None
    body = memoryview(data)[34:]
    if data[14] != 0x45 or int.from_bytes(data[16:18], "big") != len(data) - 14 or not verified(data[14:34]):
        return None, None
    if not frame.verified and not verified(body, pseudo_header(data[26:30], data[30:34], 6, len(body))):
        return None, None
    try:
        segment = wire.parse(body)
    except Malformed:
        return None, None
    return segment, (segment.dst_port, data[26:30], segment.src_port)


def cut(frame: Incoming) -> list[Incoming]:
    """Cut a frame of `gso_size` as a card does (virtio 1.3 section 5.1.6.2)."""
    size = frame.gso_size
    header_size = 34 + (frame.data[46] >> 4) * 4
    payload = frame.data[header_size:]
    if not size or len(payload) <= size:
        return [frame._replace(gso_size=0)]
    pieces = []
    for at in range(0, len(payload), size):
        piece = payload[at : at + size]
        header = bytearray(frame.data[:header_size])
        header[16:18] = (header_size - 14 + len(piece)).to_bytes(2, "big")
        header[24:26] = bytes(2)
        header[24:26] = checksum(header[14:34]).to_bytes(2, "big")
        seq = int.from_bytes(header[38:42], "big") + at
        header[38:42] = (seq & 0xFFFFFFFF).to_bytes(4, "big")
        if at + size < len(payload):
            header[47] &= ~(FIN | PSH)
        if at:
            header[47] &= ~CWR
        pieces.append(Incoming(bytes(header) + piece, True))
    return pieces


class Simulation:
    """One scenario."""

    def __init__(self, seed: int, amount_max: int) -> None:
        chance = self.chance = random.Random(f"stacks {seed}")
        self.seed = seed
        count = chance.choice((2, 2, 3))
        aborting = chance.random() < 0.3
        self.hosts = [Host(index + 1, random.Random(chance.random()), True) for index in range(count)]
        for host in self.hosts:
            host.stack.tcp.account = Account(draw_memory(random.Random(f"stacks {seed}/{host.name}/memory")))
        self.wires = [
            Wire(random.Random(chance.random()), draw_weather(chance), lambda frame: len(frame.data), self._damage)
            for _ in self.hosts
        ]  # fmt: skip
        self.talks = []
        for index in range(chance.choice((1, 1, 2, 4))):
            client, server = chance.sample(self.hosts, 2)
            self.talks.append(Talk(index, random.Random(chance.random()), client, server, amount_max))
            if not aborting:
                self._no_abort(self.talks[-1])
        self.now = self.start = chance.randrange(1 << 40)
        self.heals_at = self.start + int(chance.random() * HEALED_AFTER)
        self.healed = False
        self.digest = self.frames = 0

    @staticmethod
    def _no_abort(talk: Talk) -> None:
        talk.aborted = False
        talk.client.abort_at = talk.server.abort_at = -1

    def _damage(self, frame: Incoming) -> Incoming | None:
        """Flip a bit behind the Ethernet header. ARP has no checksum but the link's: it is lost."""
        if frame.data[12:14] != b"\x08\x00":
            return None
        damaged = bytearray(frame.data)
        bit = self.chance.randrange(14 * 8, len(damaged) * 8)
        damaged[bit // 8] ^= 1 << bit % 8
        return Incoming(bytes(damaged))

    def run(self) -> Outcome:
        """Play it to its end. Raises Broken."""
        for host in self.hosts:
            host.listener = host.stack.tcp_listen(self.now, b"", PORT)
        for _ in range(STEPS_MAX):
            self._turn()
            if all(talk.over() for talk in self.talks) and not any(host.stack.tcp.flows for host in self.hosts):
                break
            self._let_time_pass()
        else:
            raise Broken(f"more than {STEPS_MAX} steps")
        self._verdict()
        aborted = sum(talk.aborted for talk in self.talks)
        return Outcome(self.now - self.start, self.frames, len(self.talks), aborted, self.digest)

    def _let_time_pass(self) -> None:
        moments = [moment for wire in self.wires if (moment := wire.deadline()) is not None]
        moments += [moment for host in self.hosts if (moment := host.stack.deadline()) is not None]
        for talk in self.talks:
            moments += [end.next_action for end in (talk.client, talk.server) if end.flow is not None and not end.done]
            if talk.client.flow is None:
                moments.append(self.start + talk.starts_at)
        if not self.healed:
            moments.append(self.heals_at)
        self.now = max(self.now + 1, min(moments, default=0))
        if self.now - self.start > OVER_AFTER:
            raise Broken(f"not over after {OVER_AFTER // SECOND} s: {self._describe()}")

    def _turn(self) -> None:
        now = self.now
        if not self.healed and now >= self.heals_at:
            self.healed = True
            for link in self.wires:
                link.heal()
        for source, link in enumerate(self.wires):
            for frame in link.receive(now):
                for host in self.hosts:
                    if host is not self.hosts[source]:
                        for piece in [frame] if host.coalesces or not frame.gso_size else cut(frame):
                            host.receive(now, piece)
        for talk in self.talks:
            self._users(now, talk)
        for index, host in enumerate(self.hosts):
            self._poll(now, index, host)

    def _users(self, now: int, talk: Talk) -> None:
        if now >= self.start + talk.starts_at:
            try:
                talk.connect(now)
            except NetworkError as wrong:
                raise Broken(f"connect: {wrong}") from wrong
        for end, host in ((talk.client, talk.client_host), (talk.server, talk.server_host)):
            end.act(now, self.start, self.healed)
            if end.flow is not None:
                found = host.judges.get((end.flow.local[1], *end.flow.remote))
                if found is not None and found[0] is end.flow:
                    found[1].step(end.flow.machine.state, "user")

    def _poll(self, now: int, index: int, host: Host) -> None:
        for _ in range(TURNS_MAX):
            polled = host.stack.poll(now)
            for _, frames in polled:
                for frame in frames:
                    self._leaves(now, index, host, frame)
            host.steps("poll")
            host.stack.take_ready()
            self._accept(host)
            deadline = host.stack.deadline()
            if not polled and (deadline is None or deadline > now):
                host.bounds()
                return
        raise Broken(f"{host.name} has a busy timer: {self._describe()}")

    def _leaves(self, now: int, index: int, host: Host, frame: Outgoing) -> None:
        host.sent(frame)
        data = frame.header + bytes(frame.payload)
        self.frames += 1
        self.digest = zlib.crc32(data, self.digest ^ (now - self.start & 0xFFFFFFFF))
        size = frame.gso_size if frame.gso is not Gso.NONE else 0
        self.wires[index].send(now, Incoming(data, bool(frame.checksum_start), size))

    def _accept(self, host: Host) -> None:
        assert host.listener is not None
        while (flow := host.listener.accept()) is not None:
            for talk in self.talks:
                client = talk.client.flow
                if talk.server_host is host and client is not None and client.local == flow.remote:
                    if talk.server.flow is None:
                        talk.server.flow = flow
                        host.judges[(flow.local[1], *flow.remote)][1].stream = talk.server.to_write
                        break
            else:
                flow.abort(self.now)  # its client has given it up
                host.steps("user")

    def _verdict(self) -> None:
        aborted = any(talk.aborted for talk in self.talks)
        for talk in self.talks:
            for name, end, other in (("client", talk.client, talk.server), ("server", talk.server, talk.client)):
                whole = not (talk.aborted and (end.lost or other.lost))
                if whole and end.lost:
                    raise Broken(f"connection {talk.index}: its {name} lost it, and nobody aborted")
                if bytes(end.got) != (end.expected if whole else end.expected[: len(end.got)]):
                    raise Broken(f"connection {talk.index}: its {name} got {len(end.got)} of {len(end.expected)} bytes")
        for host in self.hosts:
            assert host.listener is not None
            if host.listener.half_open or host.listener.waiting:
                raise Broken(f"{host.name}: its listener still counts {host.listener.half_open} handshakes")
            account = host.stack.tcp.account
            if not aborted and (account.used or account.keepers):
                raise Broken(f"{host.name}: TCP still holds {account.used} bytes")

    def _describe(self) -> str:
        words = []
        for talk in self.talks:
            for end in (talk.client, talk.server):
                state = "no flow" if end.flow is None else end.flow.machine.state.name
                words.append(
                    f"{talk.index} {state} wrote {end.written}/{len(end.to_write)} "
                    f"got {len(end.got)}/{len(end.expected)} shut {end.shut} eof {end.eof} done {end.done}"
                )
        words += [f"{host.name} has {len(host.stack.tcp.flows)} flows" for host in self.hosts]
        return "; ".join(words)


def play(seed: int, *, amount_max: int = 60_000) -> Outcome:
    """Play the scenario of `seed`. Raises Broken."""
    try:
        return Simulation(seed, amount_max).run()
    except Broken as broken:
        raise Broken(f"seed {seed}: {broken}") from broken
