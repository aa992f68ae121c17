"""packetdrill's scripts (script.py), played to a whole stack on virtual time.

    play(read("close.pkt", text))        # raises ScriptError, with what was expected and what came

The stack is the real one: sockets above, frames below, and nothing in between is replaced. The player is the user, the
peer and the time. A script counts sequence numbers of sarab's from what it likes, mostly 0; the player translates. What
the peer sends is taken as it is written. Timestamps of sarab's are learnt from the first that a script names, and must
tick in milliseconds from there (`--ts_tick=0`: are learnt each time anew).
Each byte that is written or sent by the peer has its place in one endless pattern, so what is delivered is
verified, too.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from sarab.device.network import Gso, Incoming, Offload, Outgoing
from sarab.net.endpoints import Flow, Listener
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.net.tcp import whole_checksum
from sarab.proto.tcp.values import Event as Happened
from sarab.proto.tcp.values import Settings, State
from sarab.testing.notation import MASK, Pattern, matches, pattern_bytes, show, show_pattern
from sarab.testing.script import (
    SECOND,
    Assertion,
    Call,
    Event,
    Inbound,
    Outbound,
    Script,
    ScriptError,
    Unreachable,
    When,
)
from sarab.wire import arp, ethernet, icmpv4, ipv4
from sarab.wire import tcp as wire
from sarab.wire.checksum import pseudo_header, verified
from sarab.wire.tcp import ACK, RST, SYN, Segment

START = 1000 * SECOND
"""The stack's time when a script begins: not 0, so that nobody takes "never" for a time."""
TOLERANCE = 1_000_000
"""How far a packet's time may be from the script's: time is virtual, but a round trip is rounded in places."""
TURNS_MAX = 10_000
"""Polls at one moment, or between two events: more is a busy timer."""
LOCAL, REMOTE = bytes((192, 168, 0, 1)), bytes((192, 168, 0, 2))
LOCAL_MAC, REMOTE_MAC = bytes((2, 0, 0, 0, 0, 1)), bytes((2, 0, 0, 0, 0, 2))
REMOTE_PORT, LOCAL_PORT = 50000, 8080
ECN = {"noecn": ipv4.NOT_ECT, "ect0": ipv4.ECT0, "ect1": ipv4.ECT1, "ce": ipv4.CE}
CODES = {
    "net_unreachable": icmpv4.NET, "host_unreachable": icmpv4.HOST, "protocol_unreachable": icmpv4.PROTOCOL,
    "port_unreachable": icmpv4.PORT, "frag_needed": icmpv4.FRAGMENTATION_NEEDED,
}  # fmt: skip
OPTIONS = ("mtu", "gso", "seed", "tolerance_usecs", "ts_tick")
"""Options of a script that are no field of Settings."""


class Sent(NamedTuple):
    """A segment of the stack's and its time."""

    time: int
    segment: Segment
    frame: bytes


class Opened:
    """What a number of a script's calls stands for."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.flow: Flow | None = None
        self.options: dict[str, int] = {}
        self.port = 0
        self.written = self.got = 0
        self.shut = False


class Wait(Exception):
    """The call would block."""


class Player:
    """One run of one script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        options = dict(script.options)
        self.tolerance = int(options.pop("tolerance_usecs", str(TOLERANCE // 1000))) * 1000
        self.ts_tick = int(options.pop("ts_tick", "1"))
        mtu, gso = int(options.pop("mtu", "1500")), int(options.pop("gso", "0"))
        self.stack = Stack(random.Random(options.pop("seed", script.name)).randbytes)
        configuration = Configuration(((LOCAL, 24),), ())
        offloads = Offload.TSO4 | Offload.CHECKSUM if gso else Offload.NONE
        self.interface = self.stack.add_interface("eth0", LOCAL_MAC, mtu, offloads, configuration)
        self.stack.tcp.settings = _settings(script, self.stack.tcp.settings, options)
        self.now = self.began = self.previous = START
        self.sent: list[Sent] = []
        self.history: list[Sent] = []
        self.files: dict[int, Opened] = {}
        self.blocked: list[tuple[Call, int]] = []
        """Calls that have not returned, and when they must."""
        self.flow: Flow | None = None
        self.local_port, self.remote_port = LOCAL_PORT, REMOTE_PORT
        self.iss: int | None = None
        self.script_iss = 0
        self.peer_iss = 0
        self.ts_delta: int | None = None

    def run(self) -> None:
        """Play the script. Raises ScriptError."""
        self._arp_reply()
        for event in self.script.events:
            try:
                self._step(event)
            except ScriptError as wrong:
                at = (self.previous - self.began) / SECOND
                where = f"{self.script.name}:{event.line}: {event.text}"
                raise ScriptError(f"{where}\n  after {at:.6f} s: {wrong}\n{self._story()}") from None
        if self.blocked:
            raise ScriptError(f"{self.script.name}: at the end {self.blocked[0][0].name}() still blocks")
        if self.sent:
            left = self._shown(self.sent[0].segment)
            raise ScriptError(f"{self.script.name}: at the end sarab had sent this, too: > {left}\n{self._story()}")

    # ---- time ----------------------------------------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        when, what = event.when, event.what
        base = self.previous if when.relative else self.began
        due = base + when.time
        until = None if when.until is None else base + when.until
        if due < self.previous - self.tolerance:
            raise ScriptError(f"it is later than that: {(self.previous - self.began) / SECOND} s")
        if isinstance(what, Outbound):
            self._expect(when, due, until, what.pattern)
            return
        self._advance(due)
        for sent in self.sent:
            if sent.time < due - self.tolerance:
                raise ScriptError(f"nothing was to be sent before, and this was: > {self._shown(sent.segment)}")
        self.previous = due
        if isinstance(what, Inbound):
            self._inject(what.pattern)
        elif isinstance(what, Unreachable):
            self._unreachable(what)
        elif isinstance(what, Assertion):
            self._assert(what)
        else:
            self._call(what, until)
        self.settle()

    def settle(self) -> None:
        """Let the stack do what is due at this moment."""
        for _ in range(TURNS_MAX):
            polled = self.stack.poll(self.now)
            for _, frames in polled:
                for frame in frames:
                    self._took(frame)
            self.stack.take_ready()
            if self.blocked:
                self._unblock()
            deadline = self.stack.deadline()
            if not polled and (deadline is None or deadline > self.now):
                return
        raise ScriptError("the stack wants to be polled again and again: a busy timer")

    def _advance(self, until: int, *, stop_when_sent: bool = False) -> None:
        self.settle()
        for _ in range(TURNS_MAX):
            if stop_when_sent and self.sent:
                return
            deadline = self.stack.deadline()
            if deadline is None or deadline > until:
                self.now = max(self.now, until)
                return
            self.now = max(self.now, deadline)
            self.settle()
        raise ScriptError("the stack's timers go off too often: a busy timer")

    # ---- packets -------------------------------------------------------------------------------------------------

    def _expect(self, when: When, due: int, until: int | None, pattern: Pattern) -> None:
        last = due if until is None else until
        if when.any_time:
            last = self.now + 3600 * SECOND
        self._advance(last + self.tolerance, stop_when_sent=True)
        wanted = show_pattern(pattern)
        if not self.sent:
            raise ScriptError(f"expected > {wanted}\n  got      nothing")
        sent = self.sent.pop(0)
        self._learn(pattern.segment, sent.segment)
        translated = self._translated(sent.segment)
        if not matches(pattern, translated):
            got = show(translated, window=pattern.window)
            raise ScriptError(f"expected > {wanted}\n  got      > {got}")
        self._check_ecn(pattern, sent)
        self._check_payload(sent.segment)
        if not when.any_time and not due - self.tolerance <= sent.time <= last + self.tolerance:
            early = (due - sent.time) / SECOND
            off = f"{early:.6f} s too early" if early > 0 else f"{(sent.time - last) / SECOND:.6f} s too late"
            raise ScriptError(f"expected > {wanted}\n  got      it {off}")
        self.previous = sent.time if when.any_time or until is not None else due

    def _learn(self, wanted: Segment, got: Segment) -> None:
        """A SYN of sarab's says what its numbers count from; the first timestamp, what its clock does."""
        if wanted.flags & got.flags & SYN:
            self.iss, self.script_iss = got.seq, wanted.seq
        stamps, named = got.options.timestamps, wanted.options.timestamps
        if stamps is not None and named is not None and (self.ts_delta is None or not self.ts_tick):
            self.ts_delta = (stamps[0] - named[0]) & MASK

    def _translated(self, segment: Segment) -> Segment:
        """Return a segment of sarab's in the script's numbers."""
        seq, options = segment.seq, segment.options
        if self.iss is not None and not (segment.flags & RST and not seq):
            seq = (seq - self.iss + self.script_iss) & MASK
        if options.timestamps is not None and self.ts_delta is not None:
            stamps = ((options.timestamps[0] - self.ts_delta) & MASK, options.timestamps[1])
            options = options._replace(timestamps=stamps)
        return segment._replace(seq=seq, options=options)

    def _shown(self, segment: Segment) -> str:
        return show(self._translated(segment))

    def _took(self, frame: Outgoing) -> None:
        """A frame left the stack."""
        data = bytes(frame.header) + bytes(frame.payload)
        header = ethernet.parse(data)
        if header.ethertype == ethernet.ARP:
            if arp.parse(data[header.size :]).op == arp.REQUEST:
                self._arp_reply()
            return
        packet = data[header.size :]
        ip = ipv4.parse(packet)
        if ip.protocol != ipv4.TCP:
            return
        body = packet[ip.size : ip.total_length]
        if not frame.checksum_start and not verified(body, pseudo_header(ip.source, ip.destination, 6, len(body))):
            raise ScriptError("a segment leaves with a wrong checksum")
        if frame.gso is Gso.NONE and len(packet) > self.interface.mtu:
            raise ScriptError(f"a packet of {len(packet)} bytes leaves over an MTU of {self.interface.mtu}")
        sent = Sent(self.now, wire.parse(body), data)
        self.sent.append(sent)
        self.history.append(sent)
        if sent.segment.flags & (SYN | ACK) == SYN:
            self.local_port, self.remote_port = sent.segment.src_port, sent.segment.dst_port

    def _check_ecn(self, pattern: Pattern, sent: Sent) -> None:
        if pattern.ecn in ECN and ECN[pattern.ecn] != sent.frame[15] & 3:
            raise ScriptError(f"expected [{pattern.ecn}], and the IP header's codepoint is {sent.frame[15] & 3}")

    def _check_payload(self, segment: Segment) -> None:
        """What sarab sends is what was written."""
        if segment.payload and self.iss is not None:
            offset = (segment.seq - self.iss - 1) & MASK
            if offset < 1 << 30 and bytes(segment.payload) != pattern_bytes(offset, len(segment.payload)):
                raise ScriptError("the bytes sent are not those that were written")

    def _inject(self, pattern: Pattern) -> None:
        segment = pattern.segment
        if segment.flags & SYN:
            self.peer_iss = segment.seq
        ack, options = segment.ack, segment.options
        if segment.flags & ACK and self.iss is not None:
            ack = (ack - self.script_iss + self.iss) & MASK
        if options.timestamps is not None and options.timestamps[1] and self.ts_delta is not None:
            stamps = (options.timestamps[0], (options.timestamps[1] + self.ts_delta) & MASK)
            options = options._replace(timestamps=stamps)
        if options.sack and self.iss is not None:
            move = self.iss - self.script_iss
            sack = tuple(((left + move) & MASK, (right + move) & MASK) for left, right in options.sack)
            options = options._replace(sack=sack)
        offset = (segment.seq + bool(segment.flags & SYN) - self.peer_iss - 1) & MASK
        payload = pattern_bytes(offset, len(segment.payload))
        whole = segment._replace(
            src_port=self.remote_port, dst_port=self.local_port, ack=ack, options=options, payload=payload
        )
        body = whole_checksum(wire.emit(whole), payload, REMOTE, LOCAL) + payload
        self.receive_packet(ipv4.TCP, body, ECN.get(pattern.ecn, ipv4.NOT_ECT))

    def _unreachable(self, what: Unreachable) -> None:
        if what.code not in CODES:
            raise ScriptError(f"'{what.code}' is no code that is known here: {', '.join(CODES)} are")
        seq = what.seq if self.iss is None else (what.seq - self.script_iss + self.iss) & MASK
        quoted = wire.emit(Segment(self.local_port, self.remote_port, seq, 0, ACK, 0))
        header = ipv4.emit(ipv4.Header(LOCAL, REMOTE, ipv4.TCP, ipv4.HEADER_SIZE + len(quoted) + what.size))
        message = icmpv4.Message(icmpv4.UNREACHABLE, CODES[what.code], 0, what.mtu, header + quoted)
        self.receive_packet(ipv4.ICMP, icmpv4.emit(message))

    def receive_packet(
        self, protocol: int, body: bytes, ecn: int = 0, *, source: bytes = REMOTE, destination: bytes = LOCAL,
        options: bytes = b"",
    ) -> None:  # fmt: skip
        """Have the stack receive an IP packet now. Public, as settle() is, for tests that a script cannot write."""
        size = ipv4.HEADER_SIZE + len(options) + len(body)
        header = ipv4.Header(source, destination, protocol, size, ecn=ecn, options=options)
        frame = ethernet.emit(ethernet.Header(LOCAL_MAC, REMOTE_MAC, ethernet.IPV4)) + ipv4.emit(header) + body
        self.stack.receive(self.now, self.interface, [Incoming(frame)])

    def _arp_reply(self) -> None:
        packet = arp.emit(arp.Packet(arp.REPLY, REMOTE_MAC, REMOTE, LOCAL_MAC, LOCAL))
        frame = ethernet.emit(ethernet.Header(LOCAL_MAC, REMOTE_MAC, ethernet.ARP)) + packet
        self.stack.receive(self.now, self.interface, [Incoming(frame)])

    def _story(self) -> str:
        """Return the packets sarab sent last, for a reader in need."""
        lines = [
            f"    {(sent.time - self.began) / SECOND:.6f} > {self._shown(sent.segment)}" for sent in self.history[-8:]
        ]
        return "\n".join(["  what sarab sent last:", *lines]) if lines else "  sarab has sent nothing"

    # ---- calls ---------------------------------------------------------------------------------------------------

    def _assert(self, what: Assertion) -> None:
        flow = self.flow
        if flow is None:
            raise ScriptError("there is no connection to say something about yet")
        machine = flow.machine
        names: dict[str, object] = {
            **machine.statistics(),
            "state": machine.state.name, "eof": machine.eof, "error": machine.error,
            "cwnd_segments": machine.congestion.cwnd // machine.snd_mss, "recovering": machine.recovering,
            "rto": machine.rtt.rto / SECOND, "srtt": machine.rtt.srtt / SECOND,
            "flows": len(self.stack.tcp.flows),
        }  # fmt: skip
        for expression in what.expressions:
            # The scripts are the project's own tests, not input: as trusted as a test in Python.
            try:
                so = eval(expression, {"__builtins__": {"abs": abs, "min": min, "max": max}}, names)
            except Exception as wrong:
                raise ScriptError(f"'{expression}' cannot be evaluated: {wrong}") from wrong
            if not so:
                used = {name: value for name, value in names.items() if name in expression}
                raise ScriptError(f"it is not so that {expression}: {used}")

    def _call(self, call: Call, until: int | None) -> None:
        outcome = self._try(call)
        if outcome is None and until is not None:
            self.blocked.append((call, until))
            return
        _compare(call, outcome or "-1 EAGAIN")
        if until is not None and until > self.now + self.tolerance:
            raise ScriptError(f"{call.name}() did not block until {(until - self.began) / SECOND} s")

    def _try(self, call: Call) -> str | None:
        """Return the call's result as a script writes it; None: it blocks."""
        method: Callable[[Call], int] | None = getattr(self, f"_do_{call.name}", None)
        if method is None:
            raise ScriptError(f"'{call.name}' is no call that is known here")
        try:
            return str(method(call))
        except Wait:
            return None
        except OSError as wrong:
            return f"-1 {errno.errorcode.get(wrong.errno or 0, str(wrong))}"

    def _unblock(self) -> None:
        """Try the calls that block again."""
        for call, until in list(self.blocked):
            outcome = self._try(call)
            if outcome is None and self.now <= until + self.tolerance:
                continue
            self.blocked.remove((call, until))
            _compare(call, outcome or "to block for longer")
            if abs(self.now - until) > self.tolerance:
                raise ScriptError(f"{call.name}() blocked until {(self.now - self.began) / SECOND} s")

    def _opened(self, call: Call, index: int = 0) -> Opened:
        try:
            return self.files[int(call.args[index])]
        except (KeyError, ValueError, IndexError) as wrong:
            raise ScriptError(f"{call.name}() is about no socket that is open") from wrong

    def _connection(self, call: Call) -> tuple[Opened, Flow]:
        opened = self._opened(call)
        if opened.flow is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return opened, opened.flow

    def _do_socket(self, call: Call) -> int:
        self.files[call.result] = Opened()
        return call.result

    def _do_bind(self, call: Call) -> int:
        self._opened(call).port = LOCAL_PORT
        return 0

    def _do_fcntl(self, call: Call) -> int:
        self._opened(call)
        return call.result

    def _do_listen(self, call: Call) -> int:
        opened = self._opened(call)
        opened.listener = self.stack.tcp_listen(self.now, b"", opened.port or LOCAL_PORT, backlog=int(call.args[1]))
        return 0

    def _do_accept(self, call: Call) -> int:
        opened = self._opened(call)
        if opened.listener is None:
            raise OSError(errno.EINVAL, "not listening")
        flow = opened.listener.accept()
        if flow is None:
            raise Wait
        made = self.files[call.result] = Opened()
        made.flow = self.flow = flow
        for name, value in opened.options.items():
            _set(made, name, value)
        return call.result

    def _do_connect(self, call: Call) -> int:
        opened = self._opened(call)
        if opened.flow is None:
            base = self.stack.tcp.settings
            settings = base._replace(**_fields(opened.options, base))
            flow = self.stack.tcp_connect(self.now, REMOTE, LOCAL_PORT, local_port=opened.port, settings=settings)
            opened.flow = self.flow = flow
            self.settle()
            if call.errno == "EINPROGRESS":
                raise OSError(errno.EINPROGRESS, "in progress")
        flow = opened.flow
        if flow.machine.error:
            raise _error(flow)
        if flow.machine.state is State.SYN_SENT or flow.machine.state is State.SYN_RECEIVED:
            raise Wait
        return 0

    def _do_write(self, call: Call) -> int:
        opened, flow = self._connection(call)
        if flow.machine.error:
            raise _error(flow)
        size = int(call.args[2])
        if opened.shut or flow.machine.state is State.CLOSED:
            raise OSError(errno.EPIPE, "closed")
        taken = flow.write(self.now, pattern_bytes(opened.written, size))
        opened.written += taken
        if size and not taken:
            raise Wait
        return taken

    _do_send = _do_write

    def _do_read(self, call: Call) -> int:
        opened, flow = self._connection(call)
        data = flow.read(self.now, int(call.args[2]))
        if data:
            if data != pattern_bytes(opened.got, len(data)):
                raise ScriptError("the bytes read are not those that the peer sent")
            opened.got += len(data)
            return len(data)
        if flow.eof:
            return 0
        if flow.machine.error:
            raise _error(flow)
        if flow.machine.state is State.CLOSED:
            return 0
        raise Wait

    _do_recv = _do_read

    def _do_shutdown(self, call: Call) -> int:
        opened, flow = self._connection(call)
        if call.args[1] not in ("SHUT_WR", "SHUT_RDWR"):
            raise ScriptError("shutdown() is SHUT_WR or SHUT_RDWR here")
        opened.shut = True
        flow.shutdown_write(self.now)
        return 0

    def _do_close(self, call: Call) -> int:
        opened = self._opened(call)
        del self.files[int(call.args[0])]
        if opened.listener is not None:
            opened.listener.close(self.now)
        if opened.flow is not None:
            if opened.options.get("SO_LINGER", 1) == 0:
                opened.flow.abort(self.now)
            else:
                opened.flow.close(self.now)
        return 0

    def _do_setsockopt(self, call: Call) -> int:
        opened = self._opened(call)
        name, written = call.args[2], call.args[3].strip("[]{} ")
        if name == "SO_LINGER":
            opened.options[name] = int(written.rpartition("linger=")[2] or 1) if "onoff=1" in written else 1
            return 0
        _set(opened, name, int(written))
        return 0

    def _do_getsockopt(self, call: Call) -> int:
        opened, flow = self._connection(call)
        if call.args[2] != "SO_ERROR" or opened.flow is None:
            raise ScriptError("getsockopt() knows SO_ERROR alone")
        wanted, got = call.args[3].strip("[]"), "0"
        if flow.machine.error:
            got = errno.errorcode[_error(flow).errno or 0]
        if wanted != got:
            raise ScriptError(f"expected SO_ERROR {wanted}\n  got      {got}")
        return 0


def _fields(options: dict[str, int], base: Settings) -> dict[str, Any]:
    """Return the fields of Settings that a socket's options stand for."""
    found: dict[str, Any] = {}
    if "TCP_NODELAY" in options:
        found["nagle"] = not options["TCP_NODELAY"]
    if options.get("SO_KEEPALIVE"):
        found["keepalive_idle"] = options.get("TCP_KEEPIDLE", 7200) * SECOND
    if "TCP_KEEPINTVL" in options:
        found["keepalive_interval"] = options["TCP_KEEPINTVL"] * SECOND
    if "TCP_KEEPCNT" in options:
        found["keepalive_count"] = options["TCP_KEEPCNT"]
    if "TCP_USER_TIMEOUT" in options:
        found["user_timeout"] = options["TCP_USER_TIMEOUT"] * 1_000_000
    if "TCP_MAXSEG" in options:
        found["mss"] = min(options["TCP_MAXSEG"], base.mss)
    return found


def _compare(call: Call, got: str) -> None:
    wanted = f"{call.result} {call.errno}".strip()
    if got != wanted:
        raise ScriptError(f"expected {call.name}() = {wanted}\n  got      {got}")


KNOWN = frozenset(
    """SO_REUSEADDR SO_KEEPALIVE TCP_NODELAY TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_USER_TIMEOUT
    TCP_MAXSEG""".split()
)


def _set(opened: Opened, name: str, value: int) -> None:
    if name == "SO_LINGER":
        opened.options[name] = value
        return
    if name not in KNOWN:
        raise ScriptError(f"'{name}' is no socket option that is known here")
    opened.options[name] = value
    if opened.flow is not None:
        machine = opened.flow.machine
        if name == "TCP_CORK":
            machine.cork = bool(value)
            opened.flow.stack.touch(opened.flow)
        machine._settings = machine._settings._replace(**_fields(opened.options, machine._settings))


def _error(flow: Flow) -> OSError:
    event = flow.machine.error
    number = errno.EHOSTUNREACH
    if event & Happened.REFUSED:
        number = errno.ECONNREFUSED
    elif event & Happened.RESET:
        number = errno.ECONNRESET
    elif event & Happened.TIMEOUT:
        number = errno.ETIMEDOUT
    return OSError(number, "the connection ended")


def _settings(script: Script, base: Settings, options: dict[str, str]) -> Settings:
    """Return `base` with a script's options in it: numbers, times as 200ms or 1.5s, words."""
    changed: dict[str, Any] = {}
    for name, text in options.items():
        if name not in Settings._fields:
            known = ", ".join((*OPTIONS, *Settings._fields))
            raise ScriptError(f"{script.name}: '--{name}' is no option: there are {known}")
        default = getattr(base, name)
        if isinstance(default, bool):
            changed[name] = text == "1"
        elif isinstance(default, str):
            changed[name] = text
        elif text.endswith("ms"):
            changed[name] = int(float(text[:-2]) * 1_000_000)
        elif text.endswith("s"):
            changed[name] = int(float(text[:-1]) * SECOND)
        else:
            changed[name] = int(text)
    return base._replace(**changed)


def play(script: Script) -> None:
    """Play a script to a new stack. Raises ScriptError."""
    Player(script).run()
