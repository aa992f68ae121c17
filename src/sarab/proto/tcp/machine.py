"""One TCP connection (RFC 9293), sans-IO.

    connection = Connection.active(now, 49152, 80, iss, Settings())
    segments = connection.poll(now)              # its SYN; send it
    events = connection.receive(now, segment)    # what came
    connection.poll(connection.deadline())       # time passed

It knows no addresses. Sequence numbers inside do not wrap (seq.py). What is to be sent is decided in poll() alone, so a
user who reads, writes and closes between two polls makes one segment of it.

It is one machine, cut by concern into classes that inherit from one another, for a call between objects costs on every
segment: block (the state), send, acknowledge, timers, arrive, and here the user's side. Read arrive.py first, beside
RFC 9293 section 3.10.7.
"""

from __future__ import annotations

from sarab.proto.tcp.account import MINIMUM, Account
from sarab.proto.tcp.arrive import Arrivals
from sarab.proto.tcp.block import MAY_WRITE, scale_for
from sarab.proto.tcp.send import PREDICTED_FLAGS
from sarab.proto.tcp.seq import MASK, unwrap
from sarab.proto.tcp.timers import TIMESTAMP_OPTION_SIZE
from sarab.proto.tcp.values import (
    CLOSED,
    MILLISECOND,
    MSS_MIN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Event,
    Settings,
)
from sarab.wire.tcp import ACK, CWR, ECE, RST, SYN, Options, Segment, segment_of


class Connection(Arrivals):
    """A connection; made by active(), passive() or from_cookie()."""

    __slots__ = ()

    # ---- making one ----------------------------------------------------------------------------------------------

    @classmethod
    def active(
        cls, now: int, src_port: int, dst_port: int, iss: int, settings: Settings, account: Account | None = None
    ) -> Connection:
        """Return a connection in SYN_SENT; poll() gives its SYN. `account`: of what it holds; None: one of its own."""
        self = cls(now, src_port, dst_port, iss, settings, account)
        self._enter(now, SYN_SENT)
        self._scale_rcv = scale_for(settings.rcv_buffer_max)
        self._ecn = settings.ecn
        self.snd_nxt = iss + 1
        return self

    @classmethod
    def passive(
        cls, now: int, syn: Segment, iss: int, settings: Settings, account: Account | None = None
    ) -> Connection:
        """Return a connection in SYN_RECEIVED that answers `syn`; poll() gives its SYN-ACK."""
        self = cls(now, syn.dst_port, syn.src_port, iss, settings, account)
        self._enter(now, SYN_RECEIVED)
        self._scale_rcv = scale_for(settings.rcv_buffer_max)
        self._ecn = syn.flags & (ECE | CWR) == ECE | CWR
        self.snd_nxt = iss + 1
        self._peer_syn(now, syn)
        return self

    @classmethod
    def from_cookie(
        cls, now: int, ack: Segment, options: Options, settings: Settings, account: Account | None = None
    ) -> Connection:
        """Return an established connection whose SYN-ACK was a cookie (RFC 4987 section 3.6).

        `ack` completes the handshake; `options` are those of the peer's SYN as far as the cookie kept them. The events
        it caused (its data may be READABLE) are in take_events().
        """
        self = cls(now, ack.dst_port, ack.src_port, (ack.ack - 1) & MASK, settings, account)
        self._scale_rcv = scale_for(settings.rcv_buffer_max)
        self.snd_nxt = self._iss + 1
        syn = Segment(ack.src_port, ack.dst_port, (ack.seq - 1) & MASK, 0, SYN, ack.window, options)
        self._peer_syn(now, syn)
        self.rx.rcv_adv = self.rx.rcv_nxt + min(self.rx.buffer_size, 65535)  # as the cookie's SYN-ACK told
        self._enter(now, SYN_RECEIVED)
        self._events = self.receive(now, ack)
        return self

    # ---- what a user does ----------------------------------------------------------------------------------------

    @property
    def readable(self) -> int:
        """Bytes that read() would give."""
        return self.rx.readable

    @property
    def writable(self) -> int:
        """Bytes that write() would take."""
        if self._fin_queued or self.state not in MAY_WRITE:
            return 0
        held = len(self._buffer)
        room = self._settings.snd_buffer_max - held
        account = self.rx.account
        if account.used + room > account.high:
            room = min(room, max(account.high - account.used, MINIMUM - held))
        return max(room, 0)

    @property
    def unsent(self) -> int:
        """Bytes that were written and are not acknowledged."""
        return len(self._buffer)

    def write(self, now: int, data: bytes | bytearray | memoryview) -> int:
        """Queue data and return how many bytes were taken; when it is not all, WRITABLE follows."""
        room = self.writable
        size = len(data)
        if size > room:
            size = room
            self._want_writable = True
        if size:
            self._buffer.append(data, size)
            self._deadline = now
        return size

    def read(self, now: int, limit: int) -> bytes:
        """Return at most `limit` bytes; b"" when there is nothing now, or (see `eof`) ever."""
        data = self.rx.read(limit)
        if data:
            self._was_read(now)
        return data

    def read_into(self, now: int, buffer: memoryview) -> int:
        """Fill `buffer` as far as there is data and return how many bytes."""
        size = self.rx.read_into(buffer)
        if size:
            self._was_read(now)
        return size

    def _was_read(self, now: int) -> None:
        rx = self.rx
        rx.tune(now, self.rtt.srtt or MILLISECOND)
        # Silly window avoidance (RFC 9293 section 3.8.6.2.2): tell of new room when it is worth a segment.
        size = rx.size
        grown = size - rx.readable - (rx.rcv_adv - rx.rcv_nxt)
        if grown >= size // 4 and (grown >= 2 * self.snd_mss or grown >= size // 2) and not self.eof:
            if self.synchronised:
                self._ack_now = True
                self._deadline = now

    def shutdown_write(self, now: int) -> None:
        """Send a FIN behind everything that was written; reading goes on."""
        if self._fin_queued or self.state is CLOSED or self.state is TIME_WAIT:
            return
        self._fin_queued = True
        self._deadline = now

    def close(self, now: int) -> None:
        """The user has done: FIN, or RST where data that was not read would be lost (RFC 2525 section 2.17)."""
        self._closed_by_user = True
        if self.rx.readable:
            self.rx.discard()
            if self.state is not CLOSED and self.state is not TIME_WAIT:
                self.abort(now)
                return
        if self.state is SYN_SENT:
            self._end(now, Event.NONE)
            return
        self.shutdown_write(now)
        if self.state is not TIME_WAIT:
            self._state_at = now  # FIN_WAIT_2, if it is in it, is bounded from now on
        self._deadline = now

    def abort(self, now: int) -> None:
        """End at once, with an RST where the peer knows of us."""
        if (self.synchronised or self.state is SYN_RECEIVED) and self.state is not TIME_WAIT:
            self._rst_queued = True
        self.rx.discard()
        self._end(now, Event.NONE)
        self._deadline = now

    @property
    def settings(self) -> Settings:
        """How it behaves."""
        return self._settings

    def configure(self, now: int, settings: Settings) -> None:
        """Go on under other settings: everything that was not agreed upon in the handshake takes effect at once."""
        self._settings = settings
        self._deadline = now

    def take_events(self) -> int:
        """Return what has happened since the last call."""
        events, self._events = self._events, Event.NONE
        return events

    def totals(self) -> dict[str, int]:
        """Return the counters that block.TOTALS names."""
        return {
            "bytes_in": self.bytes_in, "bytes_out": self.bytes_out, **self.counters, "reassembly_drops": self.rx.dropped
        }  # fmt: skip

    def statistics(self) -> dict[str, int]:
        """Return counters and sizes."""
        return {
            "segments_in": self.segments_in, "segments_out": self.segments_out, **self.totals(),
            "cwnd": self.congestion.cwnd,
            "ssthresh": self.congestion.ssthresh, "in_flight": self._flight.in_flight, "srtt_ns": self.rtt.srtt,
            "rto_ns": self.rtt.rto, "snd_wnd": self.snd_wnd, "snd_mss": self.snd_mss, "unsent": len(self._buffer),
            "readable": self.rx.readable, "rcv_buffer": self.rx.buffer_size,
        }  # fmt: skip

    # ---- what the stack tells and asks ---------------------------------------------------------------------------

    def path_mtu(self, now: int, mss: int) -> None:
        """The path carries payloads of `mss` bytes, options not counted (RFC 1191 section 6.5): send smaller ones."""
        mss = max(mss, MSS_MIN) - (TIMESTAMP_OPTION_SIZE if self._use_ts else 0)
        if mss >= self.snd_mss or self.state is TIME_WAIT or self.state is CLOSED:
            return
        self.snd_mss = self.congestion.mss = mss
        self._flight.lose_all(mss)
        self._deadline = now

    def icmp_error(self, now: int, hard: bool) -> None:
        """An ICMP error about this connection: hard ones end an attempt to connect, and nothing else (RFC 5927)."""
        if hard and self.state is SYN_SENT:
            self._end(now, Event.UNREACHABLE)

    def gives_way(self, syn: Segment) -> bool:
        """May this connection, in TIME_WAIT, be forgotten for the one that `syn` begins (RFC 6191 section 2)?"""
        if self.state is not TIME_WAIT or syn.flags & (SYN | ACK | RST) != SYN:
            return False
        stamps = syn.options.timestamps
        if self._use_ts and stamps is not None and stamps[0] != self._ts_recent:
            return (stamps[0] - self._ts_recent) & MASK < 0x80000000
        return unwrap(syn.seq, self.rx.rcv_nxt) >= self.rx.rcv_nxt

    @property
    def uses_ecn(self) -> bool:
        """Whether ect() may say yes."""
        return self._ecn

    def ect(self, segment: Segment) -> bool:
        """Is a segment of the last poll() to be sent as capable of ECN: new data, and no other (RFC 3168 6.1)?"""
        return self._ecn and bool(segment.payload) and (segment.seq - self._ect_from) & MASK < 0x80000000

    # ---- segments that go ----------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Return when poll() must be called again at the latest; None: only when something happens."""
        return self._deadline

    def poll(self, now: int, limit: int = 64) -> list[Segment]:
        """Return what is to be sent now, at most about `limit` segments. What time causes is in take_events()."""
        payload = self.transmit_predicted(now)
        if payload is not None:
            seq, ack, window = self.predicted_seq, self.rx.rcv_nxt & MASK, self.predicted_window
            options = self._make_options(now)
            fields = (self.src_port, self.dst_port, seq, ack, PREDICTED_FLAGS, window, options, payload, 0)
            return [segment_of(fields)]
        out: list[Segment] = []
        if self.synchronised:
            self._timers(now)
            if self.synchronised and self.state is not TIME_WAIT:
                self._ect_from = self.snd_nxt
                if self._probe:
                    self._probe = False
                    self._send_probe(now, out)
                if self._flight.lost_bytes:
                    self._retransmit(now, out, limit)
                self._transmit(now, out, limit)
            if not out and (self._ack_now or (self._ack_at and now >= self._ack_at)):
                out.append(self._segment(now, self.snd_nxt, ACK))
        elif self.state is not CLOSED:
            self._poll_handshake(now, out)
        if self._refuse_at >= 0:
            out.append(Segment(self.src_port, self.dst_port, self._refuse_at, 0, RST, 0))
            self._refuse_at = -1
        if self._rst_queued and self.state is CLOSED:
            self._rst_queued = False
            out.append(self._segment(now, self.snd_nxt, RST | ACK))
        if out:
            self._last_sent = now
            self.segments_out += len(out)
            if len(out) >= limit:
                self._deadline = now
                return out
        self._deadline = self._next_deadline(now)
        return out
