"""TCP in the stack: which segment is for which connection, handshakes, and frames for what the machines send."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from struct import Struct
from typing import TYPE_CHECKING

from sarab.device.network import WHOLE, Gso, Offload, Outgoing, outgoing
from sarab.net.endpoints import HANDSHAKES_MAX, Address, Arrived, Flow, Listener, Path
from sarab.net.errors import AddressInUse, NetworkUnreachable, PortsExhausted
from sarab.proto.tcp.account import Account
from sarab.proto.tcp.block import TOTALS
from sarab.proto.tcp.isn import COOKIE_PERIOD, COOKIE_PERIODS_VALID, Secrets
from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.send import PREDICTED_FLAGS
from sarab.proto.tcp.seq import MASK
from sarab.proto.tcp.values import MSS_DEFAULT, MSS_MIN, Event, Settings, State
from sarab.wire import tcp as wire
from sarab.wire.checksum import checksum, partial, pseudo_header
from sarab.wire.tcp import ACK, FIN, RST, SYN, Options, Segment

if TYPE_CHECKING:
    from sarab.net.stack import Stack

EPHEMERAL_FIRST, EPHEMERAL_LAST = 32768, 60999
"""Linux's net.ipv4.ip_local_port_range."""
FLOWS_MAX = 65536
FLOW_SIZE = 6500
"""Bytes that an idle connection costs, its asyncio transport included (measured: docs/performance.md)."""
MEMORY = 64 << 20
"""Of all buffers together, where nobody says it: a quarter of 256 MiB."""
TIME_WAIT_MAX = 16384
"""The oldest goes early when there are more: a port reused in a minute is better than no memory."""
POLL_BURST = 64
HEAP_SLACK = 256
"""Overtaken deadlines that the heap keeps, beside as many again as there are connections."""

_SUM = Struct("!H")
_IP = Struct("!16sH6sH8s")
_PLAIN = Struct("!16sH6sH8sHHIIBBHHH")
_NOTHING_ELSE = wire.NO_OPTIONS[:4]
_STAMPED = Struct("!16sH6sH8sHHIIBBHHHIII")
_QUICK_PLAIN = Struct("!16sH6sH12sIIHHHH")
_QUICK_STAMPED = Struct("!16sH6sH12sIIHHHHIII")


class Tcp:
    """Every connection and listener of a stack."""

    def __init__(self, stack: Stack, random: bytes, memory: int, flows_max: int) -> None:
        self._stack = stack
        self.account = Account(memory)
        self.flows_max = flows_max
        self.secrets = Secrets(random)
        self.flows: dict[tuple[bytes, int, bytes, int], Flow] = {}
        self.ways: dict[bytes, Flow] = {}
        """The flows by what stands in a packet for them: both addresses, the peer's first, and both ports."""
        self.listeners: dict[int, list[Listener]] = {}
        self.settings = Settings()
        self._dirty: list[Flow] = []
        self._heap: list[tuple[int, int, Flow]] = []
        self._serial = 0
        self._time_wait: dict[Flow, None] = {}
        self._connecting: dict[Flow, None] = {}
        """Those that we opened and nobody has answered yet."""
        self._handshakes: dict[Flow, Listener] = {}
        """Who counts a flow in SYN_RECEIVED as half open."""
        self.segments_in = self.segments_out = 0
        self.counters = dict.fromkeys(
            (
                "malformed", "bad_checksum", "resets_out", "cookies_sent",
                "cookies_accepted", "cookies_refused", "no_listener", "strays", "backlog_full", "flows_refused",
            ),
            0,
        )  # fmt: skip

        self._of_the_gone = dict.fromkeys(TOTALS, 0)
        """What connections counted that are no more."""

    def statistics(self) -> dict[str, int]:
        """Return every counter, those of connections added up over all that ever were, and how many there are now."""
        found = dict(self._of_the_gone)
        for flow in self.flows.values():
            _add_up(found, flow.machine)
        found.update(segments_in=self.segments_in, segments_out=self.segments_out, flows=len(self.flows))
        account = self.account
        found.update(memory_used=account.used, memory_pruned=account.pruned, memory_refused=account.refused)
        return {**found, **self.counters}

    # ---- users ---------------------------------------------------------------------------------------------------

    def listen(self, local: Address, backlog: int, shared: bool = False) -> Listener:
        """Return a listener; several that are `shared` may have one address. Raises AddressInUse."""
        address, port = local
        if port == 0:
            port = self._free_port(address, b"", 0)
        for other in self.listeners.get(port, ()):
            if overlap(address, other.local[0]) and not (shared and other.shared):
                raise AddressInUse(f"TCP port {port} has a listener already")
        listener = Listener(self._stack, (address, port), backlog)
        listener.shared = shared
        self.listeners.setdefault(port, []).append(listener)
        return listener

    def forget_listener(self, listener: Listener) -> None:
        """Take a listener off its port."""
        port = listener.local[1]
        others = [other for other in self.listeners.get(port, ()) if other is not listener]
        if others:
            self.listeners[port] = others
        else:
            self.listeners.pop(port, None)

    def connect(self, now: int, local: Address, remote: Address, settings: Settings) -> Flow:
        """Return a flow whose SYN leaves at the next poll. Raises AddressInUse, PortsExhausted."""
        address, port = local
        if port == 0:
            port = self._free_port(address, *remote)
        key = (address, port, *remote)
        if key in self.flows and not self._reusable(self.flows[key]):
            raise AddressInUse(f"TCP port {port} is in use towards this peer")
        machine = Connection.active(now, port, remote[1], self.secrets.isn(now, key), settings, self.account)
        flow = self._add(Flow(self._stack, machine, (address, port), remote))
        self._connecting[flow] = None
        return flow

    def _reusable(self, flow: Flow) -> bool:
        """A connection in TIME-WAIT may make room for a new one (RFC 6191)."""
        if flow.machine.state in (State.TIME_WAIT, State.CLOSED):
            self._remove(flow)
            return True
        return False

    def _free_port(self, address: bytes, remote: bytes, remote_port: int) -> int:
        count = EPHEMERAL_LAST - EPHEMERAL_FIRST + 1
        start = self.secrets.port_offset((address, 0, remote, remote_port)) + self._serial
        self._serial += 1
        for step in range(count):
            port = EPHEMERAL_FIRST + (start + step) % count
            if remote and (address, port, remote, remote_port) not in self.flows and port not in self.listeners:
                return port
            if not remote and port not in self.listeners:
                return port
        raise PortsExhausted("every TCP port towards this peer is in use")

    def _add(self, flow: Flow) -> Flow:
        self.flows[flow.key] = flow
        self.ways[flow.way] = flow
        self.touch(flow)
        return flow

    def _remove(self, flow: Flow) -> None:
        if self.flows.get(flow.key) is flow:
            del self.flows[flow.key]
            del self.ways[flow.way]
            _add_up(self._of_the_gone, flow.machine)
        self._time_wait.pop(flow, None)
        self._connecting.pop(flow, None)
        flow.due = 0
        self._handshake_over(flow)

    # ---- segments that come --------------------------------------------------------------------------------------

    def arrived(self, now: int, arrived: Arrived) -> None:
        """Take a segment whose checksum is good."""
        self.segments_in += 1
        segment = arrived.segment
        flow = self.flows.get((arrived.destination, segment.dst_port, arrived.source, segment.src_port))
        if flow is None:
            self._for_nobody(now, arrived)
            return
        if flow.machine.gives_way(segment):
            self._remove(flow)
            self._for_nobody(now, arrived)
            return
        self._deliver(now, flow, segment, arrived.ce, arrived.gso_size)

    def predicted(
        self,
        now: int,
        flow: Flow,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        value: int,
        echo: int,
        payload: bytes | memoryview,
        gso_size: int,
    ) -> bool:
        """Take a segment of a connection if it is the one that was to come: Connection.receive_predicted()."""
        events = flow.machine.receive_predicted(now, seq, ack, flags, window, value, echo, payload, gso_size)
        if events < 0:
            return False
        self.segments_in += 1
        if events:
            self._stack.ready(flow, events)  # of an established connection: nobody else hears of them
        if not flow.dirty:
            flow.dirty = True
            self._dirty.append(flow)
        return True

    def for_flow(self, now: int, flow: Flow, segment: Segment, ce: bool, gso_size: int) -> None:
        """Take a segment of a connection whose checksum is good."""
        if flow.machine.state is State.TIME_WAIT:
            self.arrived(now, Arrived(flow.remote[0], flow.local[0], segment, ce, gso_size))
            return
        self.segments_in += 1
        self._deliver(now, flow, segment, ce, gso_size)

    def _deliver(self, now: int, flow: Flow, segment: Segment, ce: bool, gso_size: int) -> None:
        events = flow.machine.receive(now, segment, ce=ce, gso_size=gso_size)
        if events:
            self._happened(now, flow, events)
        if not flow.dirty:
            flow.dirty = True
            self._dirty.append(flow)

    def _happened(self, now: int, flow: Flow, events: int) -> None:
        listener = flow.parent
        if events & Event.ESTABLISHED:
            self._connecting.pop(flow, None)
        if listener is not None and events & Event.ESTABLISHED:
            self._handshake_over(flow)
            if listener.closed or not listener.made(flow):
                self.counters["backlog_full"] += 1
                flow.parent = None
                flow.abort(now)
                return
            self._stack.ready(listener, Event.READABLE)
        if events & Event.CLOSED:
            if flow.machine.state is State.TIME_WAIT:
                self._time_wait[flow] = None
                if len(self._time_wait) > TIME_WAIT_MAX:
                    self._remove(next(iter(self._time_wait)))
            else:
                self._handshake_over(flow)
        self._stack.ready(flow, events)

    def _handshake_over(self, flow: Flow) -> None:
        # Once a flow, however many roads lead here: else who resets what he began makes room for more than there is.
        listener = self._handshakes.pop(flow, None)
        if listener is not None:
            listener.half_open -= 1

    def _for_nobody(self, now: int, arrived: Arrived) -> None:
        """No connection: a SYN for a listener, an ACK with a cookie, or a reset (RFC 9293 section 3.10.7.1 and .2)."""
        segment = arrived.segment
        if segment.flags & RST:
            self.counters["strays"] += 1
            return
        listener = self._listener(arrived)
        if listener is None:
            self.counters["no_listener"] += 1
        else:
            try:
                if segment.flags & (SYN | ACK) == SYN and not segment.flags & FIN:
                    self._syn(now, arrived, listener)
                    return
                if segment.flags & (SYN | ACK) == ACK and now < listener.cookies_until:
                    if self._cookie(now, arrived, listener):
                        return
            except NetworkUnreachable:
                return  # nothing that we say would get there; route() has counted it
            self.counters["strays"] += 1
        self._reset(now, arrived)

    def _listener(self, arrived: Arrived) -> Listener | None:
        """Return who takes connections there: who named the address before who takes any."""
        address, port = arrived.destination, arrived.segment.dst_port
        here = self.listeners.get(port)
        if here is None:
            return None
        exact: list[Listener] = []
        others: list[Listener] = []
        for listener in here:
            own = listener.local[0]
            if listener.silent:
                continue
            if own == address:
                exact.append(listener)
            elif not own or (not any(own) and len(own) == len(address)):
                others.append(listener)
        found = exact or others
        if len(found) < 2:
            return found[0] if found else None
        # Shared: each peer has its own, the same for its SYN and for its cookie.
        drawn = self.secrets.port_offset((address, port, arrived.source, arrived.segment.src_port))
        return found[drawn % len(found)]

    def _settings(self, arrived: Arrived, listener: Listener) -> Settings:
        settings = self._stack.settings_for(arrived.destination, arrived.source)
        return settings if listener.adapt is None else listener.adapt(settings)

    def _syn(self, now: int, arrived: Arrived, listener: Listener) -> None:
        if self._is_full():
            self.counters["flows_refused"] += 1
            return
        segment = arrived.segment
        local, remote = (arrived.destination, segment.dst_port), (arrived.source, segment.src_port)
        key = (*local, *remote)
        settings = self._settings(arrived, listener)
        if listener.half_open >= HANDSHAKES_MAX or listener.waiting >= listener.backlog:
            if listener.waiting >= listener.backlog:
                self.counters["backlog_full"] += 1
                return  # the peer tries again, as with Linux
            self.counters["cookies_sent"] += 1
            listener.cookies_until = now + COOKIE_PERIODS_VALID * COOKIE_PERIOD
            mss = max(MSS_MIN, min(segment.options.mss or MSS_DEFAULT, settings.mss))
            isn = self.secrets.cookie(now, key, segment.seq, mss)
            answer = Segment(
                local[1], remote[1], isn, (segment.seq + 1) & MASK, SYN | ACK, 65535, Options(settings.mss)
            )
            self._stack.send_segment(now, local[0], remote[0], answer)
            return
        machine = Connection.passive(now, segment, self.secrets.isn(now, key), settings, self.account)
        flow = Flow(self._stack, machine, local, remote)
        flow.parent = listener
        self._handshakes[flow] = listener
        listener.half_open += 1
        self._add(flow)

    def _is_full(self) -> bool:
        """Say whether there are too many connections; the oldest in TIME-WAIT makes room."""
        if len(self.flows) >= self.flows_max and self._time_wait:
            self._remove(next(iter(self._time_wait)))
        return len(self.flows) >= self.flows_max

    def _cookie(self, now: int, arrived: Arrived, listener: Listener) -> bool:
        segment = arrived.segment
        key = (arrived.destination, segment.dst_port, arrived.source, segment.src_port)
        mss = self.secrets.check_cookie(now, key, (segment.seq - 1) & MASK, (segment.ack - 1) & MASK)
        if mss is None:
            self.counters["cookies_refused"] += 1
            return False
        if listener.waiting >= listener.backlog or self._is_full():
            self.counters["backlog_full"] += 1
            return True  # the peer sends its data again; there may be room then
        self.counters["cookies_accepted"] += 1
        settings = self._settings(arrived, listener)
        machine = Connection.from_cookie(now, segment, Options(mss), settings, self.account)
        flow = Flow(self._stack, machine, key[:2], key[2:])
        flow.parent = listener
        self._handshakes[flow] = listener
        listener.half_open += 1
        self._add(flow)
        self._happened(now, flow, machine.take_events() | Event.ESTABLISHED)
        return True

    def _reset(self, now: int, arrived: Arrived) -> None:
        """RFC 9293 section 3.10.7.1."""
        segment = arrived.segment
        if segment.flags & ACK:
            answer = Segment(segment.dst_port, segment.src_port, segment.ack, 0, RST, 0)
        else:
            length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
            ack = (segment.seq + length) & MASK
            answer = Segment(segment.dst_port, segment.src_port, 0, ack, RST | ACK, 0)
        if self._stack.may_complain(now):
            self.counters["resets_out"] += 1
            self._stack.send_segment(now, arrived.destination, arrived.source, answer)

    # ---- segments that go ----------------------------------------------------------------------------------------

    def touch(self, flow: Flow) -> None:
        """The flow may have something to send: ask it at the next poll."""
        if not flow.dirty:
            flow.dirty = True
            self._dirty.append(flow)

    def poll(self, now: int) -> bool:
        """Ask every flow that was touched or is due; return whether any was."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, flow = heapq.heappop(heap)
            if flow.due == due:
                flow.due = 0
                self.touch(flow)
        if not self._dirty:
            return False
        flows, self._dirty = self._dirty, []
        for flow in flows:
            flow.dirty = False
            machine = flow.machine
            if not self._quick(now, flow, machine):
                segments = machine.poll(now, POLL_BURST)
                if segments:
                    self.segments_out += len(segments)
                    self._stack.send_segments(now, flow, segments)
            events = machine.take_events()
            if events:
                self._happened(now, flow, events)
            deadline = machine.deadline()
            if deadline is None:
                if machine.state is State.CLOSED:
                    self._remove(flow)
            elif deadline <= now:
                self.touch(flow)
            elif not flow.due or deadline < flow.due:
                # A later deadline is left where it is: the flow is asked once for nothing, and the heap stays small.
                flow.due = deadline
                self._serial += 1
                heapq.heappush(heap, (deadline, self._serial, flow))
        if len(heap) > 2 * len(self.flows) + HEAP_SLACK:
            # Deadlines that were overtaken, some of them hours away (keepalive): each holds its connection.
            heap[:] = [entry for entry in heap if entry[2].due == entry[0]]
            heapq.heapify(heap)
        return True

    def _quick(self, now: int, flow: Flow, machine: Connection) -> bool:
        """The short way of nearly all that is sent: a segment with all that was written, over IPv4. False: it is none.

        What it makes is what frames() would make of what poll() would give.
        """
        path = self._stack.quick_path(now, flow)
        if path is None or machine.uses_ecn:
            return False
        interface = path.interface
        payload = machine.transmit_predicted(now) if interface is not None else None
        if interface is None or payload is None:
            return False
        size = len(payload)
        seq, ack, window = machine.predicted_seq, machine.rx.rcv_nxt & MASK, machine.predicted_window
        value, echo = machine.timestamps(now)
        if value >= 0:
            total = size + 52
            header = _QUICK_STAMPED.pack(
                path.head, total, path.middle, 65535 - (path.ip_sum + total) % 65535, path.ends, seq, ack,
                0x8000 | PREDICTED_FLAGS, window, (path.pseudo_sum + size + 32) % 65535, 0, 0x0101080A, value, echo,
            )  # fmt: skip
        else:
            total = size + 40
            header = _QUICK_PLAIN.pack(
                path.head, total, path.middle, 65535 - (path.ip_sum + total) % 65535, path.ends, seq, ack,
                0x5000 | PREDICTED_FLAGS, window, (path.pseudo_sum + size + 20) % 65535, 0,
            )  # fmt: skip
        interface.queue_sized(outgoing((header, payload, 34, 16, WHOLE, 0)), total + 14)
        self.segments_out += 1
        return True

    def deadline(self) -> int | None:
        """Return when poll() has something to do; 0: at once."""
        if self._dirty:
            return 0
        heap = self._heap
        while heap and heap[0][2].due != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def neighbours_failed(self, now: int, addresses: list[bytes]) -> None:
        """Nobody on the link has these addresses: who is connecting through them need not wait longer."""
        for flow in list(self._connecting):
            if flow.machine.state is State.SYN_SENT and flow.path is not None and flow.path.hop in addresses:
                flow.machine.icmp_error(now, True)
                self._happened(now, flow, flow.machine.take_events())
                self.touch(flow)

    def unreachable(self, now: int, local: Address, remote: Address, seq: int, hard: bool, mtu: int) -> bool:
        """An ICMP error quoted a segment of ours; believed only about one that is in flight (RFC 5927 section 4.1).

        `mtu`: the payload that the path carries, 0 for another error. Return whether it was believed.
        """
        flow = self.flows.get((*local, *remote))
        if flow is None:
            return False
        machine = flow.machine
        if (seq - machine.snd_una) & MASK > (machine.snd_nxt - machine.snd_una) & MASK:
            return False
        if mtu:
            machine.path_mtu(now, mtu)
            self.touch(flow)
        else:
            machine.icmp_error(now, hard)
            events = machine.take_events()
            if events:
                self._happened(now, flow, events)
                self.touch(flow)
        return True


def overlap(one: bytes, other: bytes) -> bool:
    """Say whether two local addresses, b"" or zeros among them, have an address in common."""
    if not one or not other or one == other:
        return True
    return len(one) == len(other) and (not any(one) or not any(other))


def frames(path: Path, segments: Iterable[Segment], offloads: Offload, mss: int) -> list[Outgoing]:
    """Return the IPv4 frames for segments of one flow. Where the card completes checksums it is one pack() each."""
    head, middle, tail, ip_sum, pseudo_sum = path.head, path.middle, path.tail, path.ip_sum, path.pseudo_sum
    out = []
    offload = offloads != 0
    for segment in segments:
        src_port, dst_port, seq, ack, flags, window, options, payload, urgent = segment
        size = len(payload)
        if offload and options is wire.NO_OPTIONS:
            total = size + 40
            header = _PLAIN.pack(
                head, total, middle, 65535 - (ip_sum + total) % 65535, tail,
                src_port, dst_port, seq, ack, 0x50, flags, window, (pseudo_sum + size + 20) % 65535, urgent,
            )  # fmt: skip
        elif offload and (stamps := options.timestamps) is not None and options[:4] == _NOTHING_ELSE:
            total = size + 52
            header = _STAMPED.pack(
                head, total, middle, 65535 - (ip_sum + total) % 65535, tail,
                src_port, dst_port, seq, ack, 0x80, flags, window, (pseudo_sum + size + 32) % 65535, urgent,
                0x0101080A, stamps[0], stamps[1],
            )  # fmt: skip
        else:
            bare = wire.emit(segment)
            length = len(bare) + size
            total = length + 20
            if offload:
                stored = (pseudo_sum + length) % 65535
            else:
                stored = checksum(bare, pseudo_sum + length + partial(payload))
            start = _IP.pack(head, total, middle, 65535 - (ip_sum + total) % 65535, tail)
            header = start + bare[:16] + _SUM.pack(stored) + bare[18:]
        if size > mss:
            out.append(Outgoing(header, payload, 34, 16, Gso.TCPV4, mss))
        elif offload:
            out.append(outgoing((header, payload, 34, 16, WHOLE, 0)))
        else:
            out.append(Outgoing(header, payload))
    return out


def capable(frame: Outgoing) -> Outgoing:
    """Return the frame with ECT(0) in its IP header (RFC 3168 section 5)."""
    header = frame.header
    if header[14] >> 4 == 6:
        return frame._replace(header=header[:15] + bytes((header[15] | 0x20,)) + header[16:])
    # The checksum is of words, and one has grown by two (RFC 1624).
    stored = (_SUM.unpack_from(header, 24)[0] + 65535 - 2) % 65535
    marked = header[:15] + bytes((header[15] | 2,)) + header[16:24] + _SUM.pack(stored) + header[26:]
    return frame._replace(header=marked)


def whole_checksum(header: bytes, payload: bytes | memoryview, source: bytes, destination: bytes) -> bytes:
    """Return a TCP header with its checksum in place."""
    initial = pseudo_header(source, destination, wire.PROTOCOL, len(header) + len(payload)) + partial(payload)
    return header[:16] + _SUM.pack(checksum(header, initial)) + header[18:]


def _add_up(found: dict[str, int], machine: Connection) -> None:
    for name, count in machine.totals().items():
        found[name] = found.get(name, 0) + count
