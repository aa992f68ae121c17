"""Two TCP machines and the wires between them, a whole scenario drawn from one seed, on virtual time.

    outcome = run(seed=4711)        # raises Broken, naming the seed, when a promise is broken

Promises: every byte written arrives once, in order, and the end of the stream behind it; no connection hangs once the
wire has healed; buffers keep their bounds; a machine with nothing to do does not ask to be polled; every change of
state is one that RFC 9293's figure 5 has.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from sarab.proto.tcp.account import MINIMUM, UNLIMITED, Account
from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import Event, Settings, State
from sarab.testing.wire import MILLISECOND, Weather, Wire
from sarab.wire.tcp import ACK, RST, SYN, Segment

SECOND = 1_000_000_000
NEVER = 1 << 63
STEPS_MAX = 200_000
IDLE_POLLS_MAX = 50
"""Polls in a row at one moment that send nothing: more is a busy timer."""

S = State
TRANSITIONS = {
    S.SYN_SENT: {S.SYN_RECEIVED, S.ESTABLISHED, S.CLOSE_WAIT, S.CLOSED},
    S.SYN_RECEIVED: {S.ESTABLISHED, S.FIN_WAIT_1, S.CLOSE_WAIT, S.CLOSED},
    S.ESTABLISHED: {S.FIN_WAIT_1, S.CLOSE_WAIT, S.CLOSED},
    S.FIN_WAIT_1: {S.FIN_WAIT_2, S.CLOSING, S.TIME_WAIT, S.CLOSED},
    S.FIN_WAIT_2: {S.TIME_WAIT, S.CLOSED},
    S.CLOSE_WAIT: {S.LAST_ACK, S.CLOSED},
    S.CLOSING: {S.TIME_WAIT, S.CLOSED},
    S.LAST_ACK: {S.CLOSED},
    S.TIME_WAIT: {S.CLOSED},
    S.CLOSED: set(),
}
"""RFC 9293 section 3.3.2 with the resets, and the steps that one segment makes at once (an ACK that carries a FIN)."""


class Broken(AssertionError):
    """A promise was broken; the text names the seed."""


class Outcome(NamedTuple):
    """What a scenario came to."""

    ended_at: int
    segments: int
    retransmissions: int
    digest: int
    """Of every segment and its time: equal for equal seeds."""


class Host:
    """One end: a machine, and a user who writes, reads and closes at drawn moments."""

    def __init__(self, name: str, chance: random.Random, settings: Settings, amount: int) -> None:
        self.name, self.chance, self.settings = name, chance, settings
        self.account = Account()
        self.machine: Connection | None = None
        self.to_write = chance.randbytes(amount)
        self.view = memoryview(self.to_write)
        self.written = 0
        self.got = bytearray()
        self.eof = False
        self.shut = False
        self.closed = False
        self.next_action = NEVER
        """Its user has something to do from when there is a machine until it is closed."""
        self.reads_slowly = chance.random() < 0.25
        self.pace = chance.choice((MILLISECOND, 10 * MILLISECOND, 100 * MILLISECOND))
        self.state: State | None = None

    def act(self, now: int, healed: bool) -> bool:
        """Do what the user does next; say whether that was anything: mostly nothing has come, or there is no room."""
        machine = self.machine
        assert machine is not None
        self.next_action = now + int(self.chance.random() * self.pace) + 1
        acted = False
        if self.written < len(self.to_write):
            end = self.written + self.chance.choice((1, 100, 1460, 20000, 100000))
            to_write = self.to_write if machine.writable else self.view  # which costs no copy
            if taken := machine.write(now, to_write[self.written : end]):
                self.written += taken
                acted = True
        if self.written == len(self.to_write) and not self.shut:
            machine.shutdown_write(now)
            self.shut = acted = True
        if not self.reads_slowly or healed or self.chance.random() < 0.3:
            limit = 1 << 20 if healed or not self.reads_slowly else self.chance.choice((1, 700, 5000))
            if data := machine.read(now, limit):
                self.got += data
                acted = True
        self.eof = machine.eof and machine.readable == 0
        if self.shut and self.eof and not self.closed:
            self.closed = acted = True
            self.next_action = NEVER
            machine.close(now)
        return acted

    def finished(self) -> bool:
        """Both directions are done."""
        return self.shut and self.eof and self.machine is not None and self.machine.state in (S.CLOSED, S.TIME_WAIT)


def draw_settings(chance: random.Random) -> Settings:
    """Return settings from `chance`."""
    return Settings(
        mss=chance.choice((536, 1220, 1460, 8960)),
        gso=chance.random() < 0.5,
        nagle=chance.random() < 0.5,
        congestion=chance.choice(("cubic", "newreno")),
        ecn=chance.random() < 0.3,
        timestamps=chance.random() < 0.7,
        sack=chance.random() < 0.8,
        snd_buffer_max=chance.choice((4096, 65536, 1 << 20)),
        rcv_buffer=chance.choice((2048, 16384, 131072)),
        rcv_buffer_max=chance.choice((131072, 1 << 20, 4 << 20)),
        keepalive_idle=chance.choice((0, 0, 2 * SECOND)),
        retries=1000,  # loss alone must not end a connection here
        syn_retries=1000,
        time_wait=2 * SECOND,
        fin_wait_2=1000 * SECOND,
    )


def draw_memory(chance: random.Random) -> int:
    """Return what all connections of a host may hold: often next to nothing."""
    return chance.choice((UNLIMITED, UNLIMITED, 1, 10_000, 100_000))


def draw_weather(chance: random.Random) -> Weather:
    """Return the weather of one direction."""
    bad = chance.random() < 0.7
    return Weather(
        delay=int(chance.choice((0.05, 1, 20, 200)) * MILLISECOND),
        jitter=chance.choice((0, 0, MILLISECOND, 50 * MILLISECOND)),
        loss=chance.choice((0.01, 0.1, 0.3)) if bad else 0.0,
        duplicate=chance.choice((0.0, 0.05)) if bad else 0.0,
        corrupt=chance.choice((0.0, 0.02)) if bad else 0.0,
        rate=chance.choice((0, 0, 100_000, 10_000_000)),
        queue=chance.choice((20_000, 1 << 20)),
    )


def run(seed: int, *, amount_max: int = 200_000) -> Outcome:
    """Play the scenario of `seed` to its end. Raises Broken."""
    chance = random.Random(seed)
    hosts = []
    for name in ("a", "b"):
        amount = chance.choice((0, 1, 1000, chance.randrange(amount_max)))
        host = Host(name, random.Random(chance.random()), draw_settings(chance), amount)
        host.account = Account(draw_memory(random.Random(f"{seed}/{name}/memory")))
        hosts.append(host)
    wires: list[Wire[Segment]] = [
        Wire(random.Random(chance.random()), draw_weather(chance), lambda segment: len(segment.payload) + 40)
        for _ in hosts
    ]
    simultaneous = chance.random() < 0.05
    heals_at = int(chance.random() * 20 * SECOND)
    now, start = chance.randrange(1 << 40), 0
    start = now
    isns = [chance.choice((chance.getrandbits(32), 0xFFFFFFFF - chance.randrange(5000))) for _ in hosts]
    hosts[0].machine = Connection.active(now, 1000, 2000, isns[0], hosts[0].settings, hosts[0].account)
    hosts[0].next_action = now
    if simultaneous:
        hosts[1].machine = Connection.active(now, 2000, 1000, isns[1], hosts[1].settings, hosts[1].account)
        hosts[1].next_action = now
    segments, digest, idle, healed = 0, 0, 0, False
    for _ in range(STEPS_MAX):
        if not healed and now - start >= heals_at:
            healed = True
            for wire in wires:
                wire.heal()
        progress = False
        following = NEVER
        for index, host in enumerate(hosts):
            arrival = wires[1 - index].deadline()
            if arrival is not None and arrival <= now:
                for segment in wires[1 - index].receive(now):
                    progress = True
                    digest = hash((digest, now, index, segment[:6], len(segment.payload)))
                    _deliver(now, host, segment, isns[index], wires[index], seed)
                    _check(host, seed)
            touched = now >= host.next_action and host.act(now, healed)
            machine = host.machine
            if machine is None:
                continue
            deadline = machine.deadline()
            if deadline is not None and deadline <= now:
                touched = True
                out = machine.poll(now)
                machine.take_events()
                for segment in out:
                    progress = True
                    segments += 1
                    _check_segment(host, segment, seed)
                    for cut in _cut(segment, machine.snd_mss):
                        wires[index].send(now, cut)
                deadline = machine.deadline()
            if touched:
                _check(host, seed)
            if deadline is not None and deadline < following:
                following = deadline
        if hosts[0].finished() and hosts[1].finished():
            break
        for wire in wires:
            arrival = wire.deadline()
            if arrival is not None and arrival < following:
                following = arrival
        following = _users(hosts, following if healed else min(following, start + heals_at), healed, seed)
        if following == NEVER:
            raise Broken(f"seed {seed}: everything waits: {_describe(hosts)}")
        idle = 0 if progress or following > now else idle + 1
        if idle > IDLE_POLLS_MAX:
            raise Broken(f"seed {seed}: a timer is busy at {now - start} ns: {_describe(hosts)}")
        now = max(now, following)
        if now - start > 4000 * SECOND:
            raise Broken(f"seed {seed}: not over after an hour: {_describe(hosts)}")
    else:
        raise Broken(f"seed {seed}: more than {STEPS_MAX} steps: {_describe(hosts)}")
    for host, peer in (hosts, reversed(hosts)):
        if bytes(host.got) != peer.to_write:
            raise Broken(f"seed {seed}: {host.name} got {len(host.got)} bytes, not the {len(peer.to_write)} sent")
        if host.account.used or host.account.keepers:
            raise Broken(f"seed {seed}: {host.name} still holds {host.account.used} bytes")
    retransmissions = sum(host.machine.counters["retransmissions"] for host in hosts if host.machine)
    return Outcome(now - start, segments, retransmissions, digest)


def _users(hosts: list[Host], until: int, healed: bool, seed: int) -> int:
    """Let the users act until one has done something, or it is `until`; return when that is."""
    one, other = hosts
    for _ in range(STEPS_MAX):
        host = one if one.next_action <= other.next_action else other
        moment = host.next_action
        if moment >= until:
            return until
        if host.act(moment, healed):
            _check(host, seed)
            return moment
    raise Broken(f"seed {seed}: more than {STEPS_MAX} moments in which nothing happens: {_describe(hosts)}")


def _deliver(now: int, host: Host, segment: Segment, isn: int, back: Wire[Segment], seed: int) -> None:
    if host.machine is None or host.machine.state is S.CLOSED:
        if host.machine is None and segment.flags & (SYN | ACK | RST) == SYN:
            host.machine = Connection.passive(now, segment, isn, host.settings, host.account)
            host.next_action = now
        elif not segment.flags & RST:
            back.send(now, Segment(segment.dst_port, segment.src_port, segment.ack, 0, RST, 0))
        return
    events = host.machine.receive(now, segment)
    if events & (Event.RESET | Event.REFUSED | Event.TIMEOUT | Event.UNREACHABLE):
        raise Broken(f"seed {seed}: {host.name} was told {events!r} by {segment}")


def _cut(segment: Segment, mss: int) -> list[Segment]:
    """Cut as a card does."""
    payload = segment.payload
    if len(payload) <= mss:
        return [segment]
    pieces = []
    for at in range(0, len(payload), mss):
        last = at + mss >= len(payload)
        flags = segment.flags if last else segment.flags & ~9
        pieces.append(
            segment._replace(seq=(segment.seq + at) & 0xFFFFFFFF, flags=flags, payload=payload[at : at + mss])
        )
    return pieces


def _check_segment(host: Host, segment: Segment, seed: int) -> None:
    machine = host.machine
    assert machine is not None
    size = len(segment.payload)
    limit = host.settings.gso_size_max if host.settings.gso else machine.snd_mss
    if size > limit:
        raise Broken(f"seed {seed}: {host.name} sends {size} bytes in a segment, and {limit} is the most")
    if segment.flags & RST:
        raise Broken(f"seed {seed}: {host.name} sends a reset in state {machine.state}")


def _check(host: Host, seed: int) -> None:
    machine = host.machine
    if machine is None:
        return
    flight = machine._flight
    if machine.rx.readable > machine.rx.buffer_size:
        raise Broken(f"seed {seed}: {host.name} holds {machine.rx.readable} of {machine.rx.buffer_size} bytes")
    if machine.unsent > host.settings.snd_buffer_max:
        raise Broken(f"seed {seed}: {host.name} holds {machine.unsent} bytes to be sent")
    account, held = host.account, machine.unsent + machine.rx.readable + machine.rx.kept
    if account.used != held or held > account.limit + 2 * MINIMUM:
        raise Broken(f"seed {seed}: {host.name} holds {held} bytes of {account.limit}, and counts {account.used}")
    pipe = sum(unit.end - unit.start for unit in flight.units if not unit.lost and not unit.sacked)
    if machine._use_sack and pipe != flight.in_flight:
        raise Broken(f"seed {seed}: {host.name} believes in {flight.in_flight} bytes in flight, and there are {pipe}")
    if machine.state is not host.state:
        if host.state is not None and machine.state not in TRANSITIONS[host.state]:
            raise Broken(f"seed {seed}: {host.name} goes from {host.state} to {machine.state}")
        host.state = machine.state


def _describe(hosts: list[Host]) -> str:
    words = []
    for host in hosts:
        machine = host.machine
        if machine is None:
            words.append(f"{host.name} was never reached")
            continue
        words.append(
            f"{host.name} {machine.state.name} una {machine.snd_una - machine._iss} "
            f"nxt {machine.snd_nxt - machine._iss} wnd {machine.snd_wnd} rcv {machine.rx.rcv_nxt - machine._irs} "
            f"written {host.written}/{len(host.to_write)} "
            f"got {len(host.got)} eof {host.eof} deadline {machine.deadline()} cwnd {machine.congestion.cwnd} "
            f"flight {machine._flight.in_flight} lost {machine._flight.lost_bytes}"
        )
    return "; ".join(words)
