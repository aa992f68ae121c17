"""What an acknowledgement does: free the buffer, measure, find losses, move the windows (RFC 9293 3.10.7.4, fifth)."""

from __future__ import annotations

from sarab.proto.tcp.flight import DUP_THRESH
from sarab.proto.tcp.send import Sender
from sarab.proto.tcp.seq import MASK, unwrap
from sarab.proto.tcp.values import CLOSING, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, MILLISECOND, SYN_RECEIVED, Event
from sarab.proto.tcp.values import ESTABLISHED as STATE_ESTABLISHED
from sarab.wire.tcp import ECE, FIN, SYN, Segment


class Acknowledger(Sender):
    """Takes acknowledgements."""

    __slots__ = ()

    def _acknowledge(self, now: int, segment: Segment, seq: int, size: int, flags: int) -> bool:
        """Take the acknowledgement and window of an acceptable segment. False: the segment is to be dropped."""
        ack = unwrap(segment.ack, self.snd_una)
        flight = self._flight
        window = segment.window
        if not flags & SYN:  # whose window is never scaled (RFC 7323 section 2.2)
            window <<= self._scale_snd
        if self.state is SYN_RECEIVED:
            if not self.snd_una < ack <= self.snd_nxt:
                if self._may_answer(now):
                    self._refuse_at = segment.ack
                    self._deadline = now
                return False
            self._measure_handshake(now, echo_of(segment))
            self.snd_una = self._iss + 1
            self.snd_wnd = window
            self.snd_max_wnd = max(self.snd_max_wnd, window)
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
            self._advance(now, ack, acked, echo_of(segment))
        elif size == 0 and not window_changed and not flags & (FIN | SYN):
            if self._tlp and ack == self._tlp_end and not segment.options.sack:
                self._tlp = False  # both copies arrived (RFC 8985 section 7.4.2)
            if flight.units:
                self.counters["dup_acks_in"] += 1
                self.dup_acks += 1
                if not self._use_sack:
                    self._dup_ack(now)
        if self._use_sack and (news or (acked and flight.units)):
            self._detect(now)
        return True

    def _advance(self, now: int, ack: int, acked: int, echo: int) -> None:
        """New data is acknowledged. `echo`: what came back of our timestamps, 0 for nothing."""
        flight = self._flight
        rtt = self.rtt
        control = self.congestion
        limited = flight.in_flight + flight.lost_bytes + flight.sacked_bytes >= control.cwnd // 2
        measured = flight.acknowledged(now, ack)
        if measured:
            rtt.measured(measured)
        else:
            self._measure_by_echo(now, echo)
        if rtt.backoff:
            rtt.answered()
        self.snd_una = ack
        self._buffer.acknowledged(ack)
        self.dup_acks = 0
        if self._tlp and ack >= self._tlp_end:
            if not self._tlp_again:
                self._tlp = False
            elif ack > self._tlp_end:
                self._tlp = False
                if not self.recovering:
                    # The probe repaired a loss, for the peer saw no copy of it (RFC 8985 section 7.4.2).
                    control.lost(now, flight.in_flight)
        if self.recovering:
            if ack >= self._recover:
                self.recovering = self._timed_out = False
                self._inflation = 0
            elif self._timed_out:
                if control.cwnd < control.ssthresh:
                    control.acked(now, acked, rtt.srtt)
            elif not self._use_sack:
                # A partial acknowledgement (RFC 6582 section 3.2, step 3).
                self._inflation = max(self._inflation - acked + self.snd_mss, 0)
                self._fast_retransmit = flight.lose_first(self.snd_mss)
        else:
            self._inflation = 0
            if limited:
                control.acked(now, acked, rtt.srtt)
        self._stuck_since = now
        if flight.units:
            self._arm_retransmission(now)
        else:
            self._retransmit_at = 0
        if self._want_writable and len(self._buffer) <= self._settings.snd_buffer_max // 2:
            self._want_writable = False
            self._events |= Event.WRITABLE
        if self._fin_seq >= 0 and ack > self._fin_seq:
            self._fin_acknowledged(now)

    def _measure_by_echo(self, now: int, echo: int) -> None:
        """Everything was sent twice: only the echo tells which one arrived (RFC 7323 section 4)."""
        if self._use_ts and echo:
            echoed = (self._timestamp(now) - echo) & MASK
            if echoed * MILLISECOND < self._settings.rto_max:
                self.rtt.measured((echoed or 1) * MILLISECOND)

    def _measure_handshake(self, now: int, echo: int) -> None:
        """Our SYN, or SYN-ACK, is acknowledged."""
        if self._syn_tries == 1:
            self.rtt.measured(now - self._syn_sent_at)
        elif self._syn_tries:
            self._measure_by_echo(now, echo)
            self.rtt.syn_was_lost()

    def _fin_acknowledged(self, now: int) -> None:
        if self.state is FIN_WAIT_1:
            self._enter(now, FIN_WAIT_2)
        elif self.state is CLOSING:
            self._time_wait(now)
        elif self.state is LAST_ACK:
            self._end(now, Event.NONE)

    def _take_sack(self, now: int, blocks: tuple[tuple[int, int], ...], ack: int) -> int:
        """Note what the peer holds out of order; return how many bytes that is news about."""
        una = self.snd_una
        news = 0
        for index, (left_wire, right_wire) in enumerate(blocks):
            left, right = unwrap(left_wire, una), unwrap(right_wire, una)
            if index == 0 and (right <= ack or (len(blocks) > 1 and _inside(left, right, blocks[1], una))):
                self._flight.widen()  # a duplicate SACK (RFC 2883)
                if self._tlp and right == self._tlp_end:
                    self._tlp = False  # the probe was for nothing (RFC 8985 section 7.4.2)
                continue
            if ack <= left < right <= self.snd_nxt:
                news += self._flight.sacked(now, left, right)
        return news

    def _dup_ack(self, now: int) -> None:
        """RFC 5681 section 3.2 and RFC 6582, for a peer without SACK."""
        if self._timed_out:
            return  # RFC 6582 section 4
        if self.recovering:
            # It may not be inflated by more than there is: acknowledgements can be made up (RFC 5681 section 6).
            if self._inflation < self._recover - self.snd_una:
                self._inflation += self.snd_mss
        elif self.dup_acks == DUP_THRESH:
            self._enter_recovery(now)
            self._inflation = DUP_THRESH * self.snd_mss
            self._flight.lose_first(self.snd_mss)
        elif self.dup_acks < DUP_THRESH:
            self._inflation = self.dup_acks * self.snd_mss  # limited transmit (RFC 3042)

    def _detect(self, now: int) -> None:
        """Ask RACK what is lost."""
        marked, again = self._flight.find_lost(
            now, self.rtt.minimum, self.rtt.srtt, self.recovering, self.congestion.mss
        )
        self._loss_at = again
        if marked and not self.recovering:
            self._enter_recovery(now)

    def _enter_recovery(self, now: int) -> None:
        self.recovering, self._recover = True, self.snd_nxt
        self._inflation = 0
        self._fast_retransmit = True
        self.counters["recoveries"] += 1
        self.congestion.lost(now, self._flight.in_flight)
        self._cwr_end = self.snd_nxt
        self._retransmit_at = now + self.rtt.rto  # what ran may have been a tail loss probe's timer

    def _establish(self, now: int) -> None:
        self._enter(now, STATE_ESTABLISHED)
        self._events |= Event.ESTABLISHED | Event.WRITABLE
        self._retransmit_at = 0
        self.rtt.answered()
        if self._syn_tries > 1:
            self.congestion.cwnd = self.snd_mss  # RFC 5681 section 3.1: the SYN was lost


def echo_of(segment: Segment) -> int:
    """Return what a segment echoes of our timestamps, 0 for nothing."""
    timestamps = segment.options.timestamps
    return 0 if timestamps is None else timestamps[1]


def _inside(left: int, right: int, block: tuple[int, int], near: int) -> bool:
    return unwrap(block[0], near) <= left and right <= unwrap(block[1], near)
