"""One TCP connection (RFC 9293), sans-IO.

    connection = Connection.active(now, 49152, 80, iss, Settings())
    segments = connection.poll(now)              # its SYN; send it
    events = connection.receive(now, segment)    # what came
    connection.poll(connection.deadline())       # time passed

It knows no addresses. Sequence numbers inside do not wrap (seq.py). What is to be sent is decided in poll() alone, so a
user who reads, writes and closes between two polls makes one segment of it. Read first: RFC 9293 section 3.10.7.
"""

from __future__ import annotations

from sarab.proto.tcp import congestion
from sarab.proto.tcp.flight import DUP_THRESH, Flight
from sarab.proto.tcp.receive import Receiver
from sarab.proto.tcp.rtt import RoundTrip
from sarab.proto.tcp.seq import MASK, unwrap
from sarab.proto.tcp.values import (
    CHALLENGE_ACKS_PER_SECOND,
    MILLISECOND,
    MSS_DEFAULT,
    MSS_MIN,
    SECOND,
    WINDOW_SCALE_MAX,
    Event,
    Settings,
    State,
)
from sarab.wire.tcp import ACK, CWR, ECE, FIN, NO_OPTIONS, PSH, RST, SYN, Options, Segment

SYNCHRONISED_MIN = State.ESTABLISHED.value
TIMESTAMP_OPTION_SIZE = 12
TLP_DELAY_MIN = 2 * MILLISECOND
PAWS_IDLE_MAX = 24 * 24 * 3600 * SECOND
"""RFC 7323 section 5.5: after 24 days a timestamp may have wrapped."""


class Connection:
    """A connection; made by active(), passive() or from_cookie()."""

    __slots__ = tuple(
        """
        _ack_at _ack_now _acks_owed _buffer _buffer_start _challenge_count _challenge_second _closed_by_user
        _cwr_end _cwr_to_send _deadline _ece_to_send _ecn _events _fast_retransmit _fin_queued _fin_seq _flight _irs
        _iss _keepalive_at _keepalive_sent _last_ack_sent _last_heard _last_sent _loss_at _persist_at
        _persist_backoff _probe _recover _retransmit_at _rst_queued _scale_rcv _scale_snd _settings _state_at
        _syn_sent_at _syn_tries _tlp _tlp_end _ts_offset _ts_recent _ts_recent_at _use_sack _use_ts _want_writable
        congestion cork counters dst_port dup_acks eof error recovering rtt rx snd_max_wnd snd_mss snd_nxt snd_una
        snd_wl1 snd_wl2 snd_wnd src_port state synchronised
        """.split()
    )

    def __init__(self, now: int, src_port: int, dst_port: int, iss: int, settings: Settings) -> None:
        """Not for callers: see active(), passive(), from_cookie()."""
        self.src_port, self.dst_port = src_port, dst_port
        self._settings = settings
        self.state = State.CLOSED
        self.synchronised = False
        """ESTABLISHED or a later state: what `state.value` says, without an enum's look-up."""
        self.error: int = Event.NONE
        """Why the connection ended: RESET, TIMEOUT, REFUSED, UNREACHABLE, or NONE for a good end."""
        self.eof = False
        """The peer has sent its FIN and everything before it is readable."""
        self.cork = False
        """Hold back what is no full segment (TCP_CORK)."""
        self._events: int = Event.NONE
        self._iss, self._irs = iss, 0
        self.snd_una = self.snd_nxt = iss
        self.snd_wnd = 0
        self.snd_max_wnd = 0
        self.snd_wl1 = self.snd_wl2 = 0
        self.snd_mss = settings.mss
        self._scale_snd = self._scale_rcv = 0
        self._use_ts, self._use_sack = False, False
        self._ts_recent = self._ts_recent_at = 0
        self._ts_offset = iss >> 3  # so that the clock says nothing of when we started
        self.rx = Receiver(0, settings.rcv_buffer, settings.rcv_buffer_max)
        self.rtt = RoundTrip(settings.rto_initial, settings.rto_min, settings.rto_max)
        self.congestion = congestion.make(settings.congestion, settings.mss, settings.initial_window)
        self._flight = Flight()
        self._buffer = bytearray()
        self._buffer_start = iss + 1
        self._fin_queued, self._fin_seq = False, -1
        self._rst_queued = False
        self._closed_by_user = False
        self._want_writable = False
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        self._last_ack_sent = 0
        self._last_heard = self._last_sent = self._state_at = now
        self._retransmit_at = self._loss_at = self._persist_at = 0
        self._persist_backoff = 0
        self._probe = False
        self._tlp, self._tlp_end = False, 0
        self._syn_tries, self._syn_sent_at = 0, 0
        self.recovering, self._recover, self.dup_acks = False, iss, 0
        self._fast_retransmit = False
        self._ecn, self._ece_to_send, self._cwr_to_send, self._cwr_end = False, False, False, iss
        self._keepalive_at = self._keepalive_sent = 0
        self._challenge_second, self._challenge_count = 0, 0
        self._deadline: int | None = now
        self.counters = {
            "segments_in": 0, "segments_out": 0, "bytes_in": 0, "bytes_out": 0, "retransmissions": 0, "timeouts": 0,
            "tail_loss_probes": 0, "recoveries": 0, "dup_acks_in": 0, "out_of_order": 0, "challenge_acks": 0,
            "paws_drops": 0, "unacceptable": 0, "window_probes": 0, "keepalives": 0,
        }  # fmt: skip

    # ---- making one ----------------------------------------------------------------------------------------------

    @classmethod
    def active(cls, now: int, src_port: int, dst_port: int, iss: int, settings: Settings) -> Connection:
        """Return a connection in SYN_SENT; poll() gives its SYN."""
        self = cls(now, src_port, dst_port, iss, settings)
        self.state = State.SYN_SENT
        self._scale_rcv = _scale_for(settings.rcv_buffer_max)
        self._ecn = settings.ecn
        self.snd_nxt = iss + 1
        return self

    @classmethod
    def passive(cls, now: int, syn: Segment, iss: int, settings: Settings) -> Connection:
        """Return a connection in SYN_RECEIVED that answers `syn`; poll() gives its SYN-ACK."""
        self = cls(now, syn.dst_port, syn.src_port, iss, settings)
        self.state = State.SYN_RECEIVED
        self._scale_rcv = _scale_for(settings.rcv_buffer_max)
        self._ecn = syn.flags & (ECE | CWR) == ECE | CWR
        self.snd_nxt = iss + 1
        self._peer_syn(now, syn)
        return self

    @classmethod
    def from_cookie(cls, now: int, ack: Segment, options: Options, settings: Settings) -> Connection:
        """Return an established connection whose SYN-ACK was a cookie (RFC 4987 section 3.6).

        `ack` completes the handshake; `options` are those of the peer's SYN as far as the cookie kept them.
        """
        self = cls(now, ack.dst_port, ack.src_port, (ack.ack - 1) & MASK, settings)
        self._scale_rcv = _scale_for(settings.rcv_buffer_max)
        self.snd_nxt = self._iss + 1
        syn = Segment(ack.src_port, ack.dst_port, (ack.seq - 1) & MASK, 0, SYN, ack.window, options)
        self._peer_syn(now, syn)
        self.state = State.SYN_RECEIVED
        self.receive(now, ack)
        return self

    def _peer_syn(self, now: int, syn: Segment) -> None:
        """Take what a SYN says: sequence number, window, options."""
        options = syn.options
        self._irs = syn.seq
        self.rx.rcv_nxt = self.rx.rcv_adv = self._last_ack_sent = syn.seq + 1
        self.snd_wnd = self.snd_max_wnd = syn.window
        self.snd_wl1, self.snd_wl2 = syn.seq, self.snd_una
        mss = max(MSS_MIN, min(options.mss or MSS_DEFAULT, self._settings.mss))
        if options.window_scale is not None:
            self._scale_snd = min(options.window_scale, WINDOW_SCALE_MAX)
        else:
            self._scale_snd = self._scale_rcv = 0
            self.rx.buffer_max = min(self.rx.buffer_max, 65535)
            self.rx.buffer_size = min(self.rx.buffer_size, 65535)
        self._use_ts = self._settings.timestamps and options.timestamps is not None
        self._use_sack = self._settings.sack and options.sack_permitted
        if self._use_ts and options.timestamps is not None:
            self._ts_recent, self._ts_recent_at = options.timestamps[0], now
            mss -= TIMESTAMP_OPTION_SIZE
        self.snd_mss = mss
        self.congestion = congestion.make(self._settings.congestion, mss, self._settings.initial_window)

    # ---- what a user does ----------------------------------------------------------------------------------------

    @property
    def readable(self) -> int:
        """Bytes that read() would give."""
        return self.rx.readable

    @property
    def writable(self) -> int:
        """Bytes that write() would take."""
        if self._fin_queued or self.state not in _MAY_WRITE:
            return 0
        return max(self._settings.snd_buffer_max - len(self._buffer), 0)

    @property
    def unsent(self) -> int:
        """Bytes that were written and are not acknowledged."""
        return len(self._buffer)

    def write(self, now: int, data: bytes | bytearray | memoryview) -> int:
        """Queue data and return how many bytes were taken; when it is not all, WRITABLE follows."""
        room = self.writable
        size = len(data)
        if size > room:
            data, size = memoryview(data)[:room], room
            self._want_writable = True
        if size:
            self._buffer += data
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
        grown = rx.buffer_size - rx.readable - (rx.rcv_adv - rx.rcv_nxt)
        if not self.eof and grown >= min(rx.buffer_size // 2, max(2 * self.snd_mss, rx.buffer_size // 4)):
            self._ack_now = True
            self._deadline = now

    def shutdown_write(self, now: int) -> None:
        """Send a FIN behind everything that was written; reading goes on."""
        if self._fin_queued or self.state in (State.CLOSED, State.TIME_WAIT):
            return
        self._fin_queued = True
        self._deadline = now

    def close(self, now: int) -> None:
        """The user has done: FIN, or RST where data that was not read would be lost (RFC 2525 section 2.17)."""
        self._closed_by_user = True
        if self.rx.readable and self.state not in (State.CLOSED, State.TIME_WAIT):
            self.abort(now)
            return
        if self.state is State.SYN_SENT:
            self._end(now, Event.NONE)
            return
        self.shutdown_write(now)
        self._state_at = now
        self._deadline = now

    def abort(self, now: int) -> None:
        """End at once, with an RST where the peer knows of us."""
        if self.state.value >= State.SYN_RECEIVED.value and self.state is not State.TIME_WAIT:
            self._rst_queued = True
        self._end(now, Event.NONE)
        self._deadline = now

    def take_events(self) -> int:
        """Return what has happened since the last call."""
        events, self._events = self._events, Event.NONE
        return events

    def statistics(self) -> dict[str, int]:
        """Return counters and sizes."""
        return {
            **self.counters,
            "cwnd": self.congestion.cwnd, "ssthresh": self.congestion.ssthresh, "in_flight": self._flight.in_flight,
            "srtt_ns": self.rtt.srtt, "rto_ns": self.rtt.rto, "snd_wnd": self.snd_wnd, "snd_mss": self.snd_mss,
            "unsent": len(self._buffer), "readable": self.rx.readable, "rcv_buffer": self.rx.buffer_size,
        }  # fmt: skip

    def path_mtu(self, now: int, mss: int) -> None:
        """The path carries payloads of `mss` bytes, options not counted (RFC 1191 section 6.5): send smaller ones."""
        mss = max(mss, MSS_MIN) - (TIMESTAMP_OPTION_SIZE if self._use_ts else 0)
        if mss >= self.snd_mss:
            return
        self.snd_mss = self.congestion.mss = mss
        self._flight.lose_all(mss)
        self._deadline = now

    def icmp_error(self, now: int, hard: bool) -> None:
        """An ICMP error about this connection: hard ones end an attempt to connect, and nothing else (RFC 5927)."""
        if hard and self.state is State.SYN_SENT:
            self._end(now, Event.UNREACHABLE)

    # ---- segments that come --------------------------------------------------------------------------------------

    def receive(self, now: int, segment: Segment, *, ce: bool = False, gso_size: int = 0) -> int:
        """Take a segment that is for this connection and return what it caused (RFC 9293 section 3.10.7)."""
        self.counters["segments_in"] += 1
        if self.synchronised or self.state is State.SYN_RECEIVED:
            self._receive_synchronised(now, segment, ce, gso_size)
        elif self.state is State.SYN_SENT:
            self._receive_syn_sent(now, segment)
        return self.take_events()

    def _receive_syn_sent(self, now: int, segment: Segment) -> None:
        """Section 3.10.7.3."""
        flags = segment.flags
        acceptable = False
        if flags & ACK:
            ack = unwrap(segment.ack, self.snd_nxt)
            acceptable = self._iss < ack <= self.snd_nxt
            if not acceptable:
                return  # a reset would only serve who guesses; the peer's own timer ends it
        if flags & RST:
            if acceptable:
                self._end(now, Event.REFUSED)
            return
        if not flags & SYN:
            return
        self._ecn = self._ecn and flags & (ECE | CWR) == ECE
        self._peer_syn(now, segment)
        self._last_heard = now
        if acceptable:
            self.snd_una = self._iss + 1
            if self._syn_tries == 1:
                self.rtt.measured(now - self._syn_sent_at)
            self._establish(now)
            self._ack_now = True
        else:
            self.state = State.SYN_RECEIVED  # simultaneous open
            self._ecn = False
            self._syn_tries, self._retransmit_at = 0, 0
            if segment.payload:
                self._ack_now = False
        self._deadline = now
        if acceptable and (segment.payload or flags & FIN):
            self._text(now, segment, segment.seq + 1, False, 0)

    def _receive_synchronised(self, now: int, segment: Segment, ce: bool, gso_size: int) -> None:
        """Section 3.10.7.4."""
        flags = segment.flags
        rx = self.rx
        payload = segment.payload
        size = len(payload)
        seq = unwrap(segment.seq, rx.rcv_nxt)
        end = seq + size + (flags & FIN != 0) + (flags & SYN != 0)
        window = max(rx.rcv_adv - rx.rcv_nxt, 0)

        timestamps = segment.options.timestamps
        if self._use_ts and timestamps is not None and not flags & RST:
            age = (timestamps[0] - self._ts_recent) & MASK
            if age >= 0x80000000 and now - self._ts_recent_at < PAWS_IDLE_MAX:
                self.counters["paws_drops"] += 1
                self._challenge(now)  # RFC 7323 section 5.3, R1
                return
            if seq <= self._last_ack_sent:
                self._ts_recent, self._ts_recent_at = timestamps[0], now

        # First: is any of it inside the window?
        right = rx.rcv_nxt + window
        if (
            not (seq < right and (end > rx.rcv_nxt or (end == seq == rx.rcv_nxt)))
            and not (seq == end == rx.rcv_nxt and window == 0)
            and not (seq == right and end == seq)
        ):
            self._unacceptable(now, segment, seq, end)
            return
        # Second: RST, believed at exactly the next number only (RFC 5961 section 3.2).
        if flags & RST:
            if seq == rx.rcv_nxt:
                self._was_reset(now)
            else:
                self._challenge(now)
            return
        # Fourth: SYN. RFC 5961 section 4.2: a challenge, whatever its number.
        if flags & SYN:
            self._challenge(now)
            return
        if not flags & ACK:
            return
        self._last_heard = now
        self._keepalive_sent = 0
        # Fifth: ACK.
        if not self._acknowledge(now, segment, seq, size, flags):
            return
        if ce:
            if self._ecn:
                self._ece_to_send = True
                self._ack_now = True
        if self._ecn and flags & CWR:
            self._ece_to_send = ce
        # Seventh and eighth: text and FIN.
        if size or flags & FIN:
            self._text(now, segment, seq + (flags & SYN != 0), True, gso_size)
        self._deadline = now

    def _unacceptable(self, now: int, segment: Segment, seq: int, end: int) -> None:
        """Outside of the window: answer with an ACK, throttled, unless it is a reset (section 3.10.7.4)."""
        self.counters["unacceptable"] += 1
        if segment.flags & RST:
            return
        if self.state is State.SYN_RECEIVED and segment.flags & SYN and segment.seq == self._irs & MASK:
            if segment.flags & ACK:  # both opened at once: this is the other's SYN-ACK
                self._acknowledge(now, segment, seq, 0, segment.flags)
                self._ack_now = True
            else:
                self._syn_tries = max(self._syn_tries - 1, 0)
                self._retransmit_at = now  # our SYN-ACK got lost
            self._deadline = now
            return
        if segment.flags & SYN:
            self._challenge(now)
            return
        if self.state is State.TIME_WAIT and segment.flags & FIN:
            self._state_at = now
        # A retransmission, or a keepalive (one number to the left): the peer needs our ACK; it may also carry one.
        if end <= self.rx.rcv_nxt and segment.flags & ACK and seq >= self.rx.rcv_nxt - (1 << 30):
            if segment.payload or segment.flags & FIN or seq < self.rx.rcv_nxt:
                self._ack_now = True
            self._last_heard = now
            self._keepalive_sent = 0
            self._acknowledge(now, segment, seq, len(segment.payload), segment.flags)
            self._deadline = now
        else:
            self._challenge(now)

    def _challenge(self, now: int) -> None:
        """Send an ACK that says where we are, a few in a second at most (RFC 5961 section 7)."""
        second = now // SECOND
        if second != self._challenge_second:
            self._challenge_second, self._challenge_count = second, 0
        if self._challenge_count < CHALLENGE_ACKS_PER_SECOND:
            self._challenge_count += 1
            self.counters["challenge_acks"] += 1
            self._ack_now = True
            self._deadline = now

    def _was_reset(self, now: int) -> None:
        if self.state is State.TIME_WAIT:
            return  # RFC 1337: a reset does not end a TIME-WAIT
        if self.state is State.SYN_RECEIVED:
            self._end(now, Event.REFUSED)
        elif self.state in (State.CLOSING, State.LAST_ACK):
            self._end(now, Event.NONE)
        else:
            self._end(now, Event.RESET)

    def _acknowledge(self, now: int, segment: Segment, seq: int, size: int, flags: int) -> bool:
        """Take the acknowledgement and window. False: the segment is to be dropped."""
        ack = unwrap(segment.ack, self.snd_una)
        flight = self._flight
        if self.state is State.SYN_RECEIVED:
            if not self.snd_una < ack <= self.snd_nxt:
                self._rst_queued = False
                self._challenge(now)
                return False
            if self._syn_tries == 1:
                self.rtt.measured(now - self._syn_sent_at)
            self.snd_una = self._iss + 1
            self.snd_wnd = segment.window << self._scale_snd
            self.snd_max_wnd = max(self.snd_max_wnd, self.snd_wnd)
            self.snd_wl1, self.snd_wl2 = seq, ack
            self._establish(now)
        if ack > self.snd_nxt:
            self._challenge(now)
            return False
        if ack < self.snd_una:
            if ack < self.snd_una - max(self.snd_max_wnd, 65535):
                self._challenge(now)  # RFC 5961 section 5.2
                return False
            return True
        window = segment.window << self._scale_snd
        update = self.snd_wl1 < seq or (self.snd_wl1 == seq and self.snd_wl2 <= ack)
        window_changed = update and window != self.snd_wnd
        news = 0
        if self._use_sack and segment.options.sack:
            news = self._take_sack(now, segment.options.sack, ack)
        acked = ack - self.snd_una
        if update:
            self.snd_wnd = window
            self.snd_max_wnd = max(self.snd_max_wnd, window)
            self.snd_wl1, self.snd_wl2 = seq, ack
            if window:
                self._persist_at, self._persist_backoff = 0, 0
        if self._ecn and flags & ECE and ack > self._cwr_end and flight.units:
            self.congestion.lost(now, flight.in_flight)
            self._cwr_end, self._cwr_to_send = self.snd_nxt, True
        if acked:
            self._advance(now, ack, acked, segment)
        elif size == 0 and not window_changed and flight.units and not flags & (FIN | SYN):
            self.counters["dup_acks_in"] += 1
            self.dup_acks += 1
            if not self._use_sack:
                self._dup_ack(now)
        if news or (acked and flight.units):
            self._detect(now)
        return True

    def _advance(self, now: int, ack: int, acked: int, segment: Segment) -> None:
        """New data is acknowledged."""
        flight = self._flight
        limited = flight.in_flight + flight.lost_bytes + flight.sacked_bytes >= self.congestion.cwnd // 2
        rtt = flight.acknowledged(now, ack)
        if rtt:
            self.rtt.measured(rtt)
        self.rtt.backoff = 0
        self.snd_una = ack
        data_end = min(ack, self._buffer_start + len(self._buffer))
        if data_end > self._buffer_start:
            del self._buffer[: data_end - self._buffer_start]
            self._buffer_start = data_end
        self.dup_acks = 0
        if self._tlp and ack >= self._tlp_end:
            self._tlp = False
        if self.recovering:
            if ack >= self._recover:
                self.recovering = False
            elif not self._use_sack:
                flight.lose_first(self.snd_mss)  # a partial acknowledgement (RFC 6582 section 3.2)
        if not self.recovering and limited:
            self.congestion.acked(now, acked, self.rtt.srtt)
        elif self.recovering and self.congestion.cwnd < self.congestion.ssthresh:
            self.congestion.acked(now, acked, self.rtt.srtt)  # slow start after a timeout
        self._arm_retransmission(now)
        if self._want_writable and len(self._buffer) <= self._settings.snd_buffer_max // 2:
            self._want_writable = False
            self._events |= Event.WRITABLE
        if self._fin_seq >= 0 and ack > self._fin_seq:
            self._fin_acknowledged(now)

    def _fin_acknowledged(self, now: int) -> None:
        if self.state is State.FIN_WAIT_1:
            self._enter(now, State.FIN_WAIT_2)
        elif self.state is State.CLOSING:
            self._time_wait(now)
        elif self.state is State.LAST_ACK:
            self._end(now, Event.NONE)

    def _take_sack(self, now: int, blocks: tuple[tuple[int, int], ...], ack: int) -> int:
        news = 0
        for index, (left_wire, right_wire) in enumerate(blocks):
            left, right = unwrap(left_wire, self.snd_una), unwrap(right_wire, self.snd_una)
            if index == 0 and (right <= ack or (len(blocks) > 1 and _inside(left, right, blocks[1], self.snd_una))):
                self._flight.widen()  # a duplicate SACK (RFC 2883)
                continue
            if self.snd_una <= left < right <= self.snd_nxt and left >= ack:
                news += self._flight.sacked(now, left, right)
        return news

    def _dup_ack(self, now: int) -> None:
        """RFC 5681 section 3.2 and RFC 6582, for a peer without SACK."""
        if self.dup_acks == DUP_THRESH and not self.recovering:
            self._enter_recovery(now)
            self._flight.lose_first(self.snd_mss)
        elif self.recovering:
            self._flight.in_flight = max(self._flight.in_flight - self.snd_mss, 0)

    def _detect(self, now: int) -> None:
        """Ask RACK what is lost."""
        if not self._use_sack:
            return
        marked, again = self._flight.find_lost(now, self.rtt.minimum, self.rtt.srtt, self.recovering)
        self._loss_at = again
        if marked and not self.recovering:
            self._enter_recovery(now)

    def _enter_recovery(self, now: int) -> None:
        self.recovering, self._recover = True, self.snd_nxt
        self._fast_retransmit = True
        self.counters["recoveries"] += 1
        self.congestion.lost(now, self._flight.in_flight)
        self._cwr_end = self.snd_nxt

    def _establish(self, now: int) -> None:
        self._enter(now, State.ESTABLISHED)
        self._events |= Event.ESTABLISHED | Event.WRITABLE
        self._retransmit_at = 0
        self.rtt.backoff = 0
        if self._syn_tries > 1:
            self.congestion.cwnd = self.snd_mss  # RFC 5681 section 3.1: the SYN was lost
        self._keepalive_at = now + self._settings.keepalive_idle if self._settings.keepalive_idle else 0

    def _enter(self, now: int, state: State) -> None:
        self.state = state
        self.synchronised = state.value >= SYNCHRONISED_MIN
        self._state_at = now

    def _time_wait(self, now: int) -> None:
        self._enter(now, State.TIME_WAIT)
        self._retransmit_at = self._loss_at = self._persist_at = self._keepalive_at = 0
        self._buffer.clear()
        self._events |= Event.CLOSED

    def _end(self, now: int, error: int) -> None:
        """Over: nothing more will be sent but what is queued."""
        if self.state is State.CLOSED:
            return
        self._enter(now, State.CLOSED)
        self.error |= error
        self._events |= Event.CLOSED | error
        self._buffer.clear()
        self._flight = Flight()
        self._ack_now, self._ack_at = False, 0
        self._retransmit_at = self._loss_at = self._persist_at = self._keepalive_at = 0
        if not self._rst_queued:
            self._deadline = None

    def _text(self, now: int, segment: Segment, seq: int, synchronised: bool, gso_size: int) -> None:
        """Data and FIN (section 3.10.7.4, seventh and eighth)."""
        rx = self.rx
        payload = segment.payload
        size = len(payload)
        right = max(rx.rcv_adv, rx.rcv_nxt) if synchronised else rx.rcv_nxt + rx.buffer_size
        fin_at = seq + size if segment.flags & FIN else -1
        if seq + size > right:
            payload = payload[: max(right - seq, 0)]
            size = len(payload)
            fin_at = -1
            self._ack_now = True
        if self.eof or self.state not in _MAY_RECEIVE:
            self._ack_now = True
            return
        if size:
            if self._closed_by_user:
                # Nobody will read it: the peer must learn that (RFC 9293 section 3.10.7.4, RFC 2525 section 2.17).
                self.abort(now)
                self._events |= Event.RESET
                return
            before_pieces = len(rx.pieces)
            got = rx.take(seq, payload)
            if got:
                self.counters["bytes_in"] += got
                self._events |= Event.READABLE
            if before_pieces or rx.pieces or not got:
                if not got:
                    self.counters["out_of_order"] += 1
                self._ack_now = True  # RFC 5681 section 4.2: at once while there is a hole
            else:
                self._acks_owed += size
                if self._acks_owed >= 2 * self.snd_mss or gso_size:
                    self._ack_now = True
                elif not self._ack_at:
                    self._ack_at = now + self._settings.delayed_ack
        if fin_at >= 0 and fin_at == rx.rcv_nxt:
            rx.rcv_nxt += 1
            self.eof = True
            self._ack_now = True
            self._events |= Event.EOF
            if self.state is State.ESTABLISHED:
                self._enter(now, State.CLOSE_WAIT)
            elif self.state is State.FIN_WAIT_1:
                self._enter(now, State.CLOSING)  # our FIN's acknowledgement was looked at before
            elif self.state is State.FIN_WAIT_2:
                self._time_wait(now)
        elif fin_at >= 0:
            self._ack_now = True  # out of order: it will come again

    # ---- segments that go ----------------------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """Return when poll() must be called again at the latest; None: only when something happens."""
        return self._deadline

    def poll(self, now: int, limit: int = 64) -> list[Segment]:
        """Return what is to be sent now, at most about `limit` segments. What time causes is in take_events()."""
        out: list[Segment] = []
        if self.state is State.CLOSED:
            if self._rst_queued:
                self._rst_queued = False
                out.append(self._segment(self.snd_nxt, RST | ACK, b""))
            self._deadline = None
            return out
        self._timers(now)
        state = self.state
        if state is State.SYN_SENT or state is State.SYN_RECEIVED:
            self._poll_handshake(now, out)
        elif self.synchronised:
            if state is not State.TIME_WAIT:
                self._retransmit(now, out, limit)
                self._transmit(now, out, limit)
            if not out and (self._ack_now or (self._ack_at and now >= self._ack_at)):
                out.append(self._segment(self.snd_nxt, ACK, b""))
        if self._rst_queued:  # a timer has just ended it
            self._rst_queued = False
            out.append(self._segment(self.snd_nxt, RST | ACK, b""))
        if out:
            self._last_sent = now
            self.counters["segments_out"] += len(out)
        self._deadline = self._next_deadline(now) if len(out) < limit else now
        return out

    def _poll_handshake(self, now: int, out: list[Segment]) -> None:
        if self._retransmit_at and now < self._retransmit_at:
            if self._ack_now and self.state is State.SYN_RECEIVED:
                out.append(self._segment(self.snd_nxt, ACK, b""))
            return
        if self._syn_tries > self._settings.syn_retries:
            self._end(now, Event.TIMEOUT)
            return
        self._syn_tries += 1
        if self._syn_tries > 1:
            self.counters["retransmissions"] += 1
            self.rtt.expired()
        self._syn_sent_at = now
        self._retransmit_at = now + self.rtt.rto
        settings = self._settings
        first = self.state is State.SYN_SENT
        options = Options(
            settings.mss,
            self._scale_rcv if first or self._scale_rcv or self._scale_snd else None,
            settings.sack if first else self._use_sack,
            (),
            (self._timestamp(now), self._ts_recent) if (settings.timestamps if first else self._use_ts) else None,
        )
        flags = SYN
        if first and self._ecn and self._syn_tries == 1:
            flags |= ECE | CWR
        elif first:
            self._ecn = False
        else:
            flags |= ACK | (ECE if self._ecn else 0)
        window = min(self.rx.buffer_size, 65535)
        ack = self.rx.rcv_nxt & MASK if not first else 0
        self.rx.rcv_adv = self.rx.rcv_nxt + window
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        out.append(Segment(self.src_port, self.dst_port, self._iss & MASK, ack, flags, window, options))

    def _timers(self, now: int) -> None:
        """Do what is due."""
        if self._retransmit_at and now >= self._retransmit_at and self.synchronised:
            self._retransmission_due(now)
        if self._loss_at and now >= self._loss_at:
            self._loss_at = 0
            self._detect(now)
        if self.state is State.TIME_WAIT and now >= self._state_at + self._settings.time_wait:
            self._enter(now, State.CLOSED)
        elif (
            self.state is State.FIN_WAIT_2
            and self._closed_by_user
            and now >= self._state_at + self._settings.fin_wait_2
        ):
            self._end(now, Event.NONE)
        if self._keepalive_at and self.synchronised:
            self._keepalive_due(now)

    def _retransmission_due(self, now: int) -> None:
        flight = self._flight
        settings = self._settings
        if not flight.units:
            self._retransmit_at = 0
            return
        if self._tlp_is_next() and self._use_sack:
            self._tlp, self._tlp_end = True, self.snd_nxt
            self._probe = True
            self.counters["tail_loss_probes"] += 1
            self._retransmit_at = now + self.rtt.rto
            return
        first = flight.units[0]
        if first.transmissions > settings.retries or (
            settings.user_timeout and now - first.sent_at >= settings.user_timeout
        ):
            self._rst_queued = True
            self._end(now, Event.TIMEOUT)
            return
        self.counters["timeouts"] += 1
        if self.rtt.backoff == 0:
            self.congestion.timed_out(now, flight.in_flight + flight.sacked_bytes)
        self.congestion.cwnd = self.snd_mss
        if self.rtt.backoff >= 1:
            flight.forget_sacks()
        self.rtt.expired()
        flight.lose_all(self.snd_mss)
        self.recovering, self._recover = True, self.snd_nxt
        self._loss_at = 0
        self._tlp = False
        self._retransmit_at = now + self.rtt.rto

    def _tlp_is_next(self) -> bool:
        """RFC 8985 section 7.2: a probe before the timeout, once, and not while recovering."""
        return not self._tlp and not self.recovering and bool(self.rtt.srtt) and self.rtt.backoff == 0

    def _arm_retransmission(self, now: int) -> None:
        units = self._flight.units
        if not units:
            self._retransmit_at = 0
            return
        timeout = self.rtt.rto
        if self._use_sack and self._tlp_is_next():
            probe = max(2 * self.rtt.srtt, TLP_DELAY_MIN)
            if len(units) == 1 and units[0].end - units[0].start <= self.snd_mss:
                probe += self._settings.delayed_ack
            timeout = min(timeout, probe)
        self._retransmit_at = now + timeout

    def _keepalive_due(self, now: int) -> None:
        settings = self._settings
        due = max(self._last_heard, self._state_at) + settings.keepalive_idle
        due += self._keepalive_sent * settings.keepalive_interval
        if now >= due and not self._flight.units:
            if self._keepalive_sent >= settings.keepalive_count:
                self._rst_queued = True
                self._end(now, Event.TIMEOUT)
                return
            self._keepalive_sent += 1
            self.counters["keepalives"] += 1
            self._probe = True
            due += settings.keepalive_interval
        self._keepalive_at = max(due, now + MILLISECOND)

    def _retransmit(self, now: int, out: list[Segment], limit: int) -> None:
        """Send again what is lost, as far as the congestion window lets us (RFC 6675 section 5)."""
        flight = self._flight
        if self._probe:
            self._probe = False
            self._send_probe(now, out)
        while flight.lost_bytes and len(out) < limit:
            found = flight.first_lost()
            if found is None:
                break
            index, unit = found
            room = self.congestion.cwnd - flight.in_flight
            if flight.in_flight and room < min(unit.end - unit.start, self.snd_mss) and not self._fast_retransmit:
                break
            self._fast_retransmit = False  # the first goes whatever the window says (RFC 6675 section 5, step 4.3)
            most = self.snd_mss
            if self._settings.gso:
                most = max(min(room, self._settings.gso_size_max) // self.snd_mss, 1) * self.snd_mss
            if unit.end - unit.start > most:
                flight.split(index, unit.start + most)
            self._send_unit(now, out, unit.start, unit.end)
            flight.sent_again(now, unit)
            self.counters["retransmissions"] += 1
            if not self._retransmit_at:
                self._retransmit_at = now + self.rtt.rto

    def _send_probe(self, now: int, out: list[Segment]) -> None:
        """A tail loss probe (the last segment again, unless there is new data), or a keepalive."""
        units = self._flight.units
        if not units:
            out.append(self._segment(self.snd_una - 1, ACK, b""))
            return
        if self._unsent_from() < self._data_end() and self.snd_nxt < self.snd_una + self.snd_wnd:
            start = self.snd_nxt
            end = min(start + self.snd_mss, self._data_end(), self.snd_una + self.snd_wnd)
            self._send_unit(now, out, start, end)
            self._flight.sent(now, start, end)
            self.snd_nxt = end
            self._tlp_end = end
            return
        last = units[-1]
        if last.sacked or last.lost:
            return
        if last.end - last.start > self.snd_mss:
            self._flight.split(len(units) - 1, last.end - self.snd_mss)
            last = units[-1]
        self._send_unit(now, out, last.start, last.end)
        self._flight.sent_again(now, last)
        self.counters["retransmissions"] += 1

    def _unsent_from(self) -> int:
        return self.snd_nxt

    def _data_end(self) -> int:
        return self._buffer_start + len(self._buffer)

    def _transmit(self, now: int, out: list[Segment], limit: int) -> None:
        """Send new data and the FIN (RFC 9293 section 3.8.6.2.1 for when a short segment may go)."""
        if self._fin_seq >= 0:
            return
        flight = self._flight
        settings = self._settings
        control = self.congestion
        mss = self.snd_mss
        end = self._data_end()
        if not flight.units and end > self.snd_nxt and now - self._last_sent > self.rtt.rto:
            control.idle((now - self._last_sent) // self.rtt.rto)
        while len(out) < limit:
            start = self.snd_nxt
            available = end - start
            finish = self._fin_queued and available <= settings.gso_size_max
            if available <= 0 and not finish:
                break
            usable = self.snd_una + self.snd_wnd - start
            if self.snd_wnd == 0 and self.snd_una == start and (available > 0 or finish):
                self._zero_window(now, out)
                break
            room = min(usable, control.cwnd - flight.in_flight)
            size = max(min(available, room), 0)
            if size > mss:
                size = min(size, settings.gso_size_max) // mss * mss if settings.gso else mss
                if room >= available and available <= settings.gso_size_max and settings.gso:
                    size = available
            if available > 0:
                if size <= 0:
                    break
                if size < mss and not self._may_send_short(size, available, usable):
                    break
            elif usable <= 0:
                break
            stop = start + size
            fin = self._fin_queued and stop == end
            stop += fin
            if fin:
                self._fin_seq = end
                self._fin_was_sent(now)
            self._send_unit(now, out, start, stop)
            flight.sent(now, start, stop)
            self.snd_nxt = stop
            self.counters["bytes_out"] += size
            if not self._retransmit_at:
                self._arm_retransmission(now)
            if fin:
                break

    def _may_send_short(self, size: int, available: int, usable: int) -> bool:
        if size < available:
            # The window cuts it: wait for more of it, unless it is half of the largest there ever was.
            return not self._flight.units or (usable == size and size >= self.snd_max_wnd // 2)
        if self.cork and not self._fin_queued:
            return False
        return self._fin_queued or not self._settings.nagle or not self._flight.units

    def _fin_was_sent(self, now: int) -> None:
        if self.state is State.ESTABLISHED:
            self._enter(now, State.FIN_WAIT_1)
        elif self.state is State.CLOSE_WAIT:
            self._enter(now, State.LAST_ACK)

    def _zero_window(self, now: int, out: list[Segment]) -> None:
        """Section 3.8.6.1: ask now and then whether the window has opened; an old number makes the peer answer."""
        if not self._persist_at:
            self._persist_backoff = 0
            self._persist_at = now + self.rtt.rto
        elif now >= self._persist_at:
            if self._closed_by_user and self._persist_backoff > self._settings.retries:
                self._rst_queued = True
                self._end(now, Event.TIMEOUT)
                return
            self._persist_backoff += 1
            self.counters["window_probes"] += 1
            self._persist_at = now + min(self.rtt.rto << min(self._persist_backoff, 16), self._settings.rto_max)
            out.append(self._segment(self.snd_una - 1, ACK, b""))

    def _send_unit(self, now: int, out: list[Segment], start: int, end: int) -> None:
        """Append the segment with sequence numbers `start` to `end`."""
        flags = ACK
        data_end = self._data_end()
        if self._fin_seq >= 0 and end > self._fin_seq:
            flags |= FIN
        stop = min(end, data_end)
        payload = b""
        if stop > start:
            offset = start - self._buffer_start
            payload = bytes(memoryview(self._buffer)[offset : offset + stop - start])
            if stop == data_end:
                flags |= PSH
        if self._cwr_to_send and payload:
            flags |= CWR
            self._cwr_to_send = False
        out.append(self._segment(start, flags, payload, now))

    def _segment(self, seq: int, flags: int, payload: bytes, now: int = -1) -> Segment:
        """Return a segment of a synchronised connection; it acknowledges everything that came."""
        rx = self.rx
        window = rx.window
        if window < self.snd_mss and window < rx.buffer_size // 2 and rx.rcv_adv - rx.rcv_nxt <= 0:
            window = 0
        shown = min(window >> self._scale_rcv, 65535)
        edge = rx.rcv_nxt + (shown << self._scale_rcv)
        if edge > rx.rcv_adv:
            rx.rcv_adv = edge
        options = NO_OPTIONS
        if self._use_ts or (rx.pieces and self._use_sack):
            stamps = None
            if self._use_ts:
                stamps = (self._timestamp(now if now >= 0 else self._last_heard), self._ts_recent)
            sack: tuple[tuple[int, int], ...] = ()
            if rx.pieces and self._use_sack:
                most = 3 if stamps is not None else 4
                sack = tuple((left & MASK, right & MASK) for left, right in rx.sack_blocks(most))
            options = Options(None, None, False, sack, stamps)
        if self._ece_to_send:
            flags |= ECE
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        self._last_ack_sent = rx.rcv_nxt
        return Segment(self.src_port, self.dst_port, seq & MASK, rx.rcv_nxt & MASK, flags, shown, options, payload)

    def _timestamp(self, now: int) -> int:
        """Milliseconds, from a start of its own (RFC 7323 section 5.4)."""
        return (now // MILLISECOND + self._ts_offset) & MASK

    def _next_deadline(self, now: int) -> int | None:
        if self.state is State.CLOSED:
            return None
        if self._ack_now:
            return now
        times = [self._retransmit_at, self._loss_at, self._ack_at, self._keepalive_at]
        if self.snd_wnd == 0:
            times.append(self._persist_at)
        if self.state is State.TIME_WAIT:
            times.append(self._state_at + self._settings.time_wait)
        elif self.state is State.FIN_WAIT_2 and self._closed_by_user:
            times.append(self._state_at + self._settings.fin_wait_2)
        due = [time for time in times if time]
        return min(due) if due else None


_MAY_WRITE = (State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT)
_MAY_RECEIVE = (State.SYN_SENT, State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)


def _scale_for(buffer_max: int) -> int:
    """Return the shift with which a window of `buffer_max` fits into 16 bits (RFC 7323 section 2.3)."""
    scale = 0
    while scale < WINDOW_SCALE_MAX and buffer_max >> scale > 65535:
        scale += 1
    return scale


def _inside(left: int, right: int, block: tuple[int, int], near: int) -> bool:
    return unwrap(block[0], near) <= left and right <= unwrap(block[1], near)
