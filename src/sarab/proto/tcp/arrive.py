"""What comes: is it acceptable, and what does it change? In the order of RFC 9293 section 3.10.7."""

from __future__ import annotations

from sarab.proto.tcp import congestion
from sarab.proto.tcp.acknowledge import echo_of
from sarab.proto.tcp.block import MAY_RECEIVE
from sarab.proto.tcp.seq import MASK, unwrap
from sarab.proto.tcp.timers import TIMESTAMP_OPTION_SIZE, Timers
from sarab.proto.tcp.values import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    MSS_DEFAULT,
    MSS_MIN,
    PAWS_IDLE_MAX,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    WINDOW_SCALE_MAX,
    Event,
)
from sarab.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, Segment


class Arrivals(Timers):
    """Takes segments."""

    __slots__ = ()

    def receive(self, now: int, segment: Segment, *, ce: bool = False, gso_size: int = 0) -> int:
        """Take a segment that is for this connection and return the events it caused.

        `ce`: a router has marked it (RFC 3168); `gso_size`: not 0 where a card has joined several to this one.
        """
        _, _, seq, ack, flags, window, options, payload, _ = segment
        if not ce and not options.sack:
            value, echo = options.timestamps or (-1, 0)
            events = self.receive_predicted(now, seq, ack, flags, window, value, echo, payload, gso_size)
            if events >= 0:
                return events
        self.segments_in += 1
        if self.synchronised or self.state is SYN_RECEIVED:
            self._receive_synchronised(now, segment, ce, gso_size)
        elif self.state is SYN_SENT:
            self._receive_syn_sent(now, segment)
        events, self._events = self._events, Event.NONE
        return events

    def receive_predicted(
        self,
        now: int,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        value: int,
        echo: int,
        payload: bytes | memoryview,
        gso_size: int,
    ) -> int:
        """Take the next data in order, or an acknowledgement while nothing is amiss; return the events it caused.

        -1: it is neither, and for receive(). `value`, `echo`: the timestamps, -1 and 0 for none; it has no SACK blocks
        and no mark of congestion. Nothing here is a rule of its own: what is taken would have come to the same by the
        long way.
        """
        rx = self.rx
        rcv_nxt = rx.rcv_nxt
        if flags & ~PSH != ACK or seq != rcv_nxt & MASK or self.state is not ESTABLISHED:
            return -1
        una = self.snd_una
        acked = (ack - una) & MASK
        size = len(payload)
        window <<= self._scale_snd
        if acked:
            if acked > self.snd_nxt - una or self.recovering or self._tlp or self._loss_at or self._flight.sacked_bytes:
                return -1
        elif not size or window != self.snd_wnd:
            return -1
        if size > rx.rcv_adv - rcv_nxt or not window or rx.fin_at >= 0 or rx.pieces or self._closed_by_user:
            return -1
        account = rx.account
        if size and account.used + size > account.limit:
            return -1
        if self.snd_wl1 > rcv_nxt:  # a later one without data has come before it, whose window counts
            return -1
        if self._use_ts and value >= 0:
            if (value - self._ts_recent) & MASK >= 0x80000000:
                return -1
            if rcv_nxt == self._last_ack_sent:
                self._ts_recent, self._ts_recent_at = value, now
        self.segments_in += 1
        self._last_heard = self._deadline = now
        self._unanswered = 0
        self.snd_wl1, self.snd_wl2 = rcv_nxt, una + acked
        if acked:
            self.snd_wnd = window
            if window > self.snd_max_wnd:
                self.snd_max_wnd = window
            self._persist_at = self._persist_backoff = 0
            self._advance(now, una + acked, acked, echo)
        events = self._events
        if size:
            rx.append(payload, size)
            self.bytes_in += size
            events |= Event.READABLE
            self._acks_owed += size
            if gso_size or self._acks_owed >= 2 * self.snd_mss:
                self._ack_now = True
            elif not self._ack_at:
                self._ack_at = now + self._settings.delayed_ack
        self._events = Event.NONE
        return events

    # ---- handshake -----------------------------------------------------------------------------------------------

    def _peer_syn(self, now: int, syn: Segment) -> None:
        """Take what a SYN says: sequence number, window, options."""
        settings = self._settings
        options = syn.options
        rx = self.rx
        self._irs = syn.seq
        told = rx.rcv_adv - rx.rcv_nxt  # by a SYN of ours
        rx.rcv_nxt = self._last_ack_sent = syn.seq + 1
        rx.rcv_adv = rx.rcv_nxt + told
        self.snd_wnd = self.snd_max_wnd = syn.window
        self.snd_wl1, self.snd_wl2 = syn.seq, self.snd_una
        mss = max(MSS_MIN, min(options.mss or MSS_DEFAULT, settings.mss))
        if options.window_scale is not None:
            self._scale_snd = min(options.window_scale, WINDOW_SCALE_MAX)
            self._scaled = True
        else:
            self._scale_snd = self._scale_rcv = 0
            rx.buffer_max = min(rx.buffer_max, 65535)
            rx.buffer_size = min(rx.buffer_size, 65535)
        self._use_ts = settings.timestamps and options.timestamps is not None
        self._use_sack = settings.sack and options.sack_permitted
        if options.timestamps is not None and self._use_ts:
            self._ts_recent, self._ts_recent_at = options.timestamps[0], now
            mss -= TIMESTAMP_OPTION_SIZE
        self.snd_mss = mss
        self.congestion = congestion.make(settings.congestion, mss, settings.initial_window)

    def _receive_syn_sent(self, now: int, segment: Segment) -> None:
        """Section 3.10.7.3."""
        flags = segment.flags
        acceptable = False
        if flags & ACK:
            ack = unwrap(segment.ack, self.snd_nxt)
            acceptable = self._iss < ack <= self.snd_nxt
            if not acceptable:
                # The peer may be in a connection that we have forgotten: the reset ends it (section 3.5.1).
                if not flags & RST and self._may_answer(now):
                    self._refuse_at = segment.ack
                    self._deadline = now
                return
        if flags & RST:
            if acceptable:
                self._end(now, Event.REFUSED)
            return
        if not flags & SYN:
            return
        self._ecn = self._ecn and flags & (ECE | CWR) == ECE
        self._peer_syn(now, segment)
        self._last_heard = now
        self._deadline = now
        if not acceptable:
            self._enter(now, SYN_RECEIVED)  # simultaneous open
            self._ecn = False
            self._syn_tries, self._retransmit_at = 0, 0
            return
        self.snd_una = self._iss + 1
        self._measure_handshake(now, echo_of(segment))
        self._establish(now)
        self._ack_now = True
        if segment.payload or flags & FIN:
            self._text(now, segment, segment.seq + 1, segment.seq + 1 + self.rx.buffer_size, 0)

    # ---- synchronised states -------------------------------------------------------------------------------------

    def _receive_synchronised(self, now: int, segment: Segment, ce: bool, gso_size: int) -> None:
        """Section 3.10.7.4."""
        flags = segment.flags
        rx = self.rx
        rcv_nxt = rx.rcv_nxt
        size = len(segment.payload)
        seq = unwrap(segment.seq, rcv_nxt)
        end = seq + size + (flags & FIN != 0) + (flags & SYN != 0)

        timestamps = segment.options.timestamps
        if self._use_ts and timestamps is not None and not flags & RST:
            age = (timestamps[0] - self._ts_recent) & MASK
            if age >= 0x80000000 and now - self._ts_recent_at < PAWS_IDLE_MAX:
                self.counters["paws_drops"] += 1
                self._challenge(now)  # RFC 7323 section 5.3, R1
                return

        # First: is any of it inside the window?
        right = max(rx.rcv_adv, rcv_nxt)
        if seq == end:
            acceptable = rcv_nxt <= seq <= right
        else:
            acceptable = seq < right and end > rcv_nxt
        if not acceptable:
            self._unacceptable(now, segment, seq, end)
            return
        # Second: RST, believed at exactly the next number only (RFC 5961 section 3.2).
        if flags & RST:
            if seq == rcv_nxt:
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
        # Fifth: ACK. The timestamp is believed only of what passes: else one made-up segment of the past would poison
        # it, and all that is genuine would seem old (RFC 7323 section 5.3, R3, is behind R1 and R2 for that).
        last_ack_sent = self._last_ack_sent
        if not self._acknowledge(now, segment, seq, size, flags):
            return
        if self._use_ts and timestamps is not None and seq <= last_ack_sent:
            self._ts_recent, self._ts_recent_at = timestamps[0], now
        self._last_heard = now
        self._unanswered = 0
        if self._ecn:
            if flags & CWR:
                self._ece_to_send = False
            if ce:
                self._ece_to_send = True
                self._ack_now = True
        # Seventh and eighth: text and FIN.
        if size or flags & FIN:
            self._text(now, segment, seq, right, gso_size)
        self._deadline = now

    def _unacceptable(self, now: int, segment: Segment, seq: int, end: int) -> None:
        """Outside of the window: answer with an ACK, throttled, unless it is a reset (section 3.10.7.4)."""
        self.counters["unacceptable"] += 1
        flags = segment.flags
        rx = self.rx
        size = len(segment.payload)
        if flags & RST:
            return
        if flags & SYN:
            if self.state is not SYN_RECEIVED or segment.seq != self._irs & MASK:
                self._challenge(now)
            elif flags & ACK:  # both opened at once: this is the other's SYN-ACK
                if self._acknowledge(now, segment, seq, 0, flags):
                    self._ack_now = True
            else:
                self._syn_tries = max(self._syn_tries - 1, 0)
                self._retransmit_at = now  # our SYN-ACK got lost
            self._deadline = now
            return
        if self.state is TIME_WAIT and flags & FIN:
            self._state_at = now
        old = end <= rx.rcv_nxt and seq >= rx.rcv_nxt - (1 << 30)
        probe = seq == rx.rcv_nxt  # the window is closed, and the peer asks whether it has opened
        if not flags & ACK or not (old or probe):
            self._challenge(now)
            return
        self._last_heard = now
        self._unanswered = 0
        # What is old acknowledges nothing: its window would be taken for one of now.
        if probe and not self._acknowledge(now, segment, seq, size, flags):
            return
        if old and (size or flags & FIN):
            # A retransmission: the peer has not heard our ACK, or too late.
            if size:
                rx.duplicate = seq, seq + size
            self._ack_now = True
            self._deadline = now
        elif self.state is not SYN_RECEIVED:
            # A keepalive or a probe. Throttled: else two ends that disagree would answer each other for ever.
            if self._may_answer(now):
                self._ack_now = True
            self._deadline = now

    def _was_reset(self, now: int) -> None:
        if self.state is TIME_WAIT:
            return  # RFC 1337: a reset does not end a TIME-WAIT
        if self.state is SYN_RECEIVED:
            self._end(now, Event.REFUSED)
        elif self.state is CLOSING or self.state is LAST_ACK:
            self._end(now, Event.NONE)
        else:
            self._end(now, Event.RESET)

    def _text(self, now: int, segment: Segment, seq: int, right: int, gso_size: int) -> None:
        """Data and FIN, as far as they lie before `right` (section 3.10.7.4, seventh and eighth)."""
        rx = self.rx
        payload = segment.payload
        size = len(payload)
        if segment.flags & FIN and seq + size <= right:
            fin_at = seq + size
        else:
            fin_at = rx.fin_at
        if seq + size > right:
            payload = payload[: max(right - seq, 0)]
            size = len(payload)
            self._ack_now = True
        if self.eof or self.state not in MAY_RECEIVE:
            self._ack_now = True
            return
        if size:
            if self._closed_by_user:
                # Nobody will read it: the peer must learn that (RFC 9293 section 3.10.7.4, RFC 2525 section 2.17).
                self._rst_queued = True
                self._end(now, Event.RESET)
                self._deadline = now
                return
            hole = bool(rx.pieces)
            admitted = rx.admit(seq, size)
            if admitted < size:  # as if the rest were lost on the way
                self._ack_now = True
                payload = payload[:admitted]
                fin_at = rx.fin_at
                if not admitted:
                    return
            got = rx.take(seq, payload)
            self.bytes_in += got
            if got:
                self._events |= Event.READABLE
            else:
                self.counters["out_of_order"] += 1
            if hole or not got:
                self._ack_now = True  # RFC 5681 section 4.2: at once while there is a hole, and when it closes
            else:
                self._acks_owed += size
                if gso_size or self._acks_owed >= 2 * self.snd_mss:
                    self._ack_now = True
                elif not self._ack_at:
                    self._ack_at = now + self._settings.delayed_ack
        if fin_at < 0:
            return
        self._ack_now = True
        if fin_at != rx.rcv_nxt:
            rx.fin_at = fin_at if fin_at > rx.rcv_nxt else -1  # out of order: it waits for what is missing
            return
        rx.rcv_nxt += 1
        rx.release()
        self.eof = True
        self._events |= Event.EOF
        if self.state is ESTABLISHED:
            self._enter(now, CLOSE_WAIT)
        elif self.state is FIN_WAIT_1:
            self._enter(now, CLOSING)  # our FIN's acknowledgement was looked at before
        elif self.state is FIN_WAIT_2:
            self._time_wait(now)
