"""What time does: retransmission, probes, keepalive, TIME-WAIT, giving up (RFC 6298, RFC 8985, RFC 9293 3.8)."""

from __future__ import annotations

from sarab.proto.tcp.acknowledge import Acknowledger
from sarab.proto.tcp.values import (
    BLACK_HOLE_MSS,
    BLACK_HOLE_TIMEOUTS,
    CLOSED,
    FIN_WAIT_2,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Event,
)

TIMESTAMP_OPTION_SIZE = 12


class Timers(Acknowledger):
    """Does what is due, and says when something will be."""

    __slots__ = ()

    def _timers(self, now: int) -> None:
        """Do what is due in a synchronised state."""
        state = self.state
        settings = self._settings
        if state is TIME_WAIT:
            if now >= self._state_at + settings.time_wait:
                self._enter(now, CLOSED)
            return
        if settings.user_timeout and self._is_stuck() and now >= self._stuck_since + settings.user_timeout:
            self._give_up(now)
            return
        if self._retransmit_at and now >= self._retransmit_at:
            self._retransmission_due(now)
        if self._loss_at and now >= self._loss_at:
            self._loss_at = 0
            self._detect(now)
        if state is FIN_WAIT_2 and self._closed_by_user and now >= self._state_at + settings.fin_wait_2:
            self._end(now, Event.NONE)
        elif settings.keepalive_idle and now >= self._keepalive_due():
            if self._unanswered >= settings.keepalive_count:
                self._give_up(now)
                return
            self._unanswered += 1
            self.counters["keepalives"] += 1
            self._probe = True

    def _is_stuck(self) -> bool:
        """Something waits for the peer: an acknowledgement, or a window (RFC 5482)."""
        return bool(self._flight.units) or (self._persist_at > 0 and not self.snd_wnd)

    def _give_up(self, now: int) -> None:
        self._rst_queued = True
        self._end(now, Event.TIMEOUT)

    def _retransmission_due(self, now: int) -> None:
        flight = self._flight
        settings = self._settings
        rtt = self.rtt
        if not flight.units:
            self._retransmit_at = 0
            return
        if self._use_sack and self._tlp_is_next():
            self._tlp, self._tlp_end = True, self.snd_nxt
            self._probe = True
            self.counters["tail_loss_probes"] += 1
            self._retransmit_at = now + rtt.rto
            return
        first = flight.units[0]
        if first.transmissions > settings.retries:
            # A peer that took its window back and still answers lives (RFC 9293 section 3.8.6.1).
            if self.snd_wnd or self._last_heard < first.sent_at:
                self._give_up(now)
                return
        self.counters["timeouts"] += 1
        if rtt.backoff == 0:
            self.congestion.timed_out(now, flight.in_flight + flight.sacked_bytes)
        else:
            flight.forget_sacks()
            self._suspect_black_hole(now)
        self.congestion.cwnd = self.snd_mss
        rtt.expired()
        flight.lose_all(self.snd_mss)
        self.recovering, self._recover = True, self.snd_nxt
        self._timed_out, self._inflation = True, 0
        self._loss_at = 0
        self._tlp = False
        self._retransmit_at = now + rtt.rto

    def _suspect_black_hole(self, now: int) -> None:
        """Long segments get lost again and again: send shorter ones (RFC 4821's first step, and no way back)."""
        first = self._flight.units[0]
        mss = BLACK_HOLE_MSS - (TIMESTAMP_OPTION_SIZE if self._use_ts else 0)
        if self.rtt.backoff >= BLACK_HOLE_TIMEOUTS and mss < self.snd_mss and first.end - first.start > mss:
            self.counters["black_holes"] += 1
            self.snd_mss = self.congestion.mss = mss

    def _keepalive_due(self) -> int:
        """Return when a silent peer is probed next; while data waits for an acknowledgement, that is probe enough."""
        if self._flight.units or not self.synchronised:
            return 1 << 62
        settings = self._settings
        silent_since = max(self._last_heard, self._state_at)
        return silent_since + settings.keepalive_idle + self._unanswered * settings.keepalive_interval

    def _next_deadline(self, now: int) -> int | None:
        state = self.state
        if state is CLOSED:
            return None
        if self._ack_now:
            return now
        due = self._retransmit_at
        settings = self._settings
        if state is SYN_SENT or state is SYN_RECEIVED:
            return due or now
        if self._ack_at and (not due or self._ack_at < due):
            due = self._ack_at
        if self._loss_at and (not due or self._loss_at < due):
            due = self._loss_at
        if self._override_at and not self._flight.units and self.snd_wnd and (not due or self._override_at < due):
            due = self._override_at
        if self._persist_at and not self.snd_wnd and (not due or self._persist_at < due):
            due = self._persist_at
        if settings.user_timeout and self._is_stuck():
            over = self._stuck_since + settings.user_timeout
            if not due or over < due:
                due = over
        if settings.keepalive_idle:
            keepalive = self._keepalive_due()
            if not due or keepalive < due:
                due = keepalive
        if state is TIME_WAIT:
            due = self._state_at + settings.time_wait
        elif state is FIN_WAIT_2 and self._closed_by_user:
            over = self._state_at + settings.fin_wait_2
            if not due or over < due:
                due = over
        return due if due and due < 1 << 62 else None
