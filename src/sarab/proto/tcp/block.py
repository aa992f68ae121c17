"""The state of a connection (RFC 9293 calls it the transmission control block) and what every part of it needs."""

from __future__ import annotations

from sarab.proto.tcp import congestion
from sarab.proto.tcp.account import MINIMUM, Account
from sarab.proto.tcp.buffer import SendBuffer
from sarab.proto.tcp.flight import Flight
from sarab.proto.tcp.receive import Receiver
from sarab.proto.tcp.rtt import RoundTrip
from sarab.proto.tcp.seq import MASK
from sarab.proto.tcp.values import (
    CHALLENGE_ACKS_PER_SECOND,
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    MILLISECOND,
    SECOND,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    WINDOW_SCALE_MAX,
    Event,
    Settings,
    State,
)
from sarab.wire.tcp import ECE, NO_OPTIONS, Options, Segment, segment_of, stamped

MAY_WRITE = (ESTABLISHED, CLOSE_WAIT, SYN_SENT, SYN_RECEIVED)
MAY_RECEIVE = (ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, SYN_SENT)

# What a connection that has ended, or only waits, has instead of its own: nobody changes these.
_NO_FLIGHT = Flight()
_NO_CONGESTION = congestion.make("newreno", 536, 1)

COUNTERS = (
    "retransmissions", "timeouts", "tail_loss_probes", "recoveries", "dup_acks_in", "out_of_order", "challenge_acks",
    "paws_drops", "unacceptable", "window_probes", "keepalives", "black_holes",
)  # fmt: skip
TOTALS = ("bytes_in", "bytes_out", *COUNTERS, "reassembly_drops")
"""What only grows, so that it can be added up over connections."""


class Block:
    """Everything there is to know about a connection. Sequence numbers do not wrap (seq.py); 0 is no time."""

    __slots__ = (
        "_ack_at",
        "_ack_now",
        "_acks_owed",
        "_buffer",
        "_challenge_count",
        "_challenge_second",
        "_closed_by_user",
        "_cwr_end",
        "_cwr_to_send",
        "_deadline",
        "_ece_to_send",
        "_ecn",
        "_ect_from",
        "_events",
        "_fast_retransmit",
        "_fin_queued",
        "_fin_seq",
        "_flight",
        "_inflation",
        "_irs",
        "_iss",
        "_last_ack_sent",
        "_last_heard",
        "_last_sent",
        "_loss_at",
        "_options",
        "_override_at",
        "_persist_at",
        "_persist_backoff",
        "_probe",
        "_recover",
        "_refuse_at",
        "_retransmit_at",
        "_rst_queued",
        "_scale_rcv",
        "_scale_snd",
        "_scaled",
        "_settings",
        "_small_end",
        "_state_at",
        "_stuck_since",
        "_syn_sent_at",
        "_syn_tries",
        "_timed_out",
        "_tlp",
        "_tlp_again",
        "_tlp_end",
        "_ts_offset",
        "_ts_recent",
        "_ts_recent_at",
        "_unanswered",
        "_use_sack",
        "_use_ts",
        "_want_writable",
        "bytes_in",
        "bytes_out",
        "congestion",
        "cork",
        "counters",
        "dst_port",
        "dup_acks",
        "eof",
        "error",
        "predicted_window",
        "recovering",
        "rtt",
        "rx",
        "segments_in",
        "segments_out",
        "snd_max_wnd",
        "snd_mss",
        "snd_nxt",
        "snd_una",
        "snd_wl1",
        "snd_wl2",
        "snd_wnd",
        "src_port",
        "state",
        "synchronised",
    )

    def __init__(
        self, now: int, src_port: int, dst_port: int, iss: int, settings: Settings, account: Account | None = None
    ) -> None:
        """Not for callers: see Connection.active(), passive(), from_cookie()."""
        account = account or Account()
        self.src_port, self.dst_port = src_port, dst_port
        self._settings = settings
        self.state: State = CLOSED
        self.synchronised = False
        """ESTABLISHED or a later state, and not CLOSED."""
        self.error: int = Event.NONE
        """Why the connection ended: RESET, TIMEOUT, REFUSED, UNREACHABLE, or NONE for a good end."""
        self.eof = False
        """The peer has sent its FIN and everything before it is readable."""
        self.cork = False
        """Hold back what is no full segment (TCP_CORK)."""
        self._events: int = Event.NONE
        self._iss, self._irs = iss, 0
        self.snd_una = self.snd_nxt = iss
        self.snd_wnd = self.snd_max_wnd = 0
        self.snd_wl1 = self.snd_wl2 = 0
        self.snd_mss = settings.mss
        """The most payload of a segment, options deducted."""
        self._scale_snd = self._scale_rcv = 0
        self._scaled = False
        """Both sides have said a window scale (RFC 7323 section 2.2)."""
        self._use_ts = self._use_sack = False
        self._ts_recent = self._ts_recent_at = 0
        self._ts_offset = iss >> 3  # so that the clock says nothing of when we started (RFC 7323 section 5.4)
        self._options = NO_OPTIONS
        """Those of the last segment with timestamps alone: the next is likely to have the same."""
        self.rx = Receiver(0, settings.rcv_buffer, settings.rcv_buffer_max, account)
        self.rtt = RoundTrip(settings.rto_initial, settings.rto_min, settings.rto_max)
        self.congestion = congestion.make(settings.congestion, settings.mss, settings.initial_window)
        self._flight = Flight()
        self._buffer = SendBuffer(iss + 1, account)
        self._fin_queued, self._fin_seq = False, -1
        self._rst_queued = False
        self._refuse_at = -1
        """The sequence number of a reset that answers an impossible acknowledgement; -1: none."""
        self._closed_by_user = False
        self._want_writable = False
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        self._last_ack_sent = 0
        self._last_heard = self._last_sent = self._state_at = now
        self._stuck_since = now
        """Since when the peer has acknowledged nothing of what waits for it."""
        self._retransmit_at = self._loss_at = self._persist_at = self._override_at = 0
        self._persist_backoff = 0
        self._probe = False
        self._tlp, self._tlp_end, self._tlp_again = False, 0, False
        self._syn_tries, self._syn_sent_at = 0, 0
        self.recovering, self._recover, self.dup_acks = False, iss, 0
        self._timed_out = False
        """The recovery was begun by the retransmission timer."""
        self._inflation = 0
        """Bytes that duplicate acknowledgements say have left the network (RFC 6582 section 3.2)."""
        self._fast_retransmit = False
        self.predicted_window = 0
        """Of the segment that transmit_predicted() gave: as it stands in the header."""
        self._small_end = iss
        """Where the last segment ended that was no full one (Nagle)."""
        self._ecn, self._ece_to_send, self._cwr_to_send, self._cwr_end = False, False, False, iss
        self._ect_from = iss
        self._unanswered = 0
        """Keepalives and probes of a closed window since the peer was heard last."""
        self._challenge_second, self._challenge_count = 0, 0
        self._deadline: int | None = now
        self.segments_in = self.segments_out = self.bytes_in = self.bytes_out = 0
        self.counters = dict.fromkeys(COUNTERS, 0)

    # ---- changes of state ----------------------------------------------------------------------------------------

    def _enter(self, now: int, state: State) -> None:
        self.state = state
        self.synchronised = state is not CLOSED and state is not SYN_SENT and state is not SYN_RECEIVED
        self._state_at = now

    def _forget(self) -> None:
        """Free what a connection without a future does not need: thousands may be in TIME-WAIT."""
        self._buffer.acknowledged(self._buffer.end)
        self._flight = _NO_FLIGHT
        self.congestion = _NO_CONGESTION
        self.rx.release()
        self._options = NO_OPTIONS
        self._retransmit_at = self._loss_at = self._persist_at = self._override_at = self._stuck_since = 0

    def _time_wait(self, now: int) -> None:
        self._enter(now, TIME_WAIT)
        self._forget()
        self._events |= Event.CLOSED

    def _end(self, now: int, error: int) -> None:
        """Over: nothing more will be sent but what is queued."""
        if self.state is CLOSED:
            return
        self._enter(now, CLOSED)
        if error:
            self.error = error
        self._events |= Event.CLOSED | error
        self._forget()
        self._ack_now, self._ack_at = False, 0
        if not self._rst_queued:
            self._deadline = None

    def _challenge(self, now: int) -> None:
        """Send an ACK that says where we are, a few in a second at most (RFC 5961 section 7)."""
        if self._may_answer(now):
            self.counters["challenge_acks"] += 1
            self._ack_now = True
            self._deadline = now

    def _may_answer(self, now: int) -> bool:
        second = now // SECOND
        if second != self._challenge_second:
            self._challenge_second, self._challenge_count = second, 0
        self._challenge_count += 1
        return self._challenge_count <= CHALLENGE_ACKS_PER_SECOND

    # ---- headers -------------------------------------------------------------------------------------------------

    def _segment(self, now: int, seq: int, flags: int, payload: bytes | memoryview = b"") -> Segment:
        """Return a segment of a synchronised connection; it acknowledges everything that came."""
        rcv_nxt = self.rx.rcv_nxt
        window = self._advertise()
        if self._ece_to_send:
            flags |= ECE
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        self._last_ack_sent = rcv_nxt
        options = self._make_options(now)
        return segment_of(
            (self.src_port, self.dst_port, seq & MASK, rcv_nxt & MASK, flags, window, options, payload, 0)
        )

    def _advertise(self) -> int:
        """Return the window as it stands in the header; from now on the peer may count on it."""
        rx = self.rx
        told = rx.rcv_adv - rx.rcv_nxt
        account = rx.account
        size = rx.buffer_size
        if account.used > account.high and size > MINIMUM:
            size = MINIMUM
        window = size - rx.readable
        # A silly window is not opened (RFC 9293 section 3.8.6.2.2), and one that was told is never taken back.
        if told <= 0 and window < self.snd_mss and window < size // 2:
            window = 0
        if window < told:
            window = told
        shown = window >> self._scale_rcv
        if shown > 65535:
            shown = 65535
        edge = rx.rcv_nxt + (shown << self._scale_rcv)
        if edge > rx.rcv_adv:
            rx.rcv_adv = edge
        return shown

    def _make_options(self, now: int) -> Options:
        """Return timestamps and SACK blocks, where they are in use."""
        rx = self.rx
        if self._use_sack and (rx.pieces or rx.duplicate[1]):
            stamps = (self._timestamp(now), self._ts_recent) if self._use_ts else None
            blocks = rx.sack_blocks(4 if stamps is None else 3)
            sack = tuple((left & MASK, right & MASK) for left, right in blocks)
            return Options(None, None, False, sack, stamps)
        if not self._use_ts:
            return NO_OPTIONS
        fresh = (self._timestamp(now), self._ts_recent)
        if self._options.timestamps != fresh:
            self._options = stamped(fresh)
        return self._options

    def timestamps(self, now: int) -> tuple[int, int]:
        """Return the values of the timestamps option of a segment that leaves now; (-1, 0): it has none."""
        return (self._timestamp(now), self._ts_recent) if self._use_ts else (-1, 0)

    def _payload_max(self) -> int:
        """Return the most payload of the next segment: SACK blocks take of it too (RFC 9293 section 3.7.1)."""
        rx = self.rx
        if not self._use_sack or not (rx.pieces or rx.duplicate[1]):
            return self.snd_mss
        blocks = min(len(rx.pieces) + bool(rx.duplicate[1]), 3 if self._use_ts else 4)
        return max(self.snd_mss - 4 - 8 * blocks, 1)

    def _timestamp(self, now: int) -> int:
        """Milliseconds, from a start of its own (RFC 7323 section 5.4)."""
        return (now // MILLISECOND + self._ts_offset) & MASK


def scale_for(buffer_max: int) -> int:
    """Return the shift with which a window of `buffer_max` fits into 16 bits (RFC 7323 section 2.3)."""
    scale = 0
    while scale < WINDOW_SCALE_MAX and buffer_max >> scale > 65535:
        scale += 1
    return scale
