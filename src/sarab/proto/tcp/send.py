"""What leaves: handshake segments, new data, data again, probes (RFC 9293 section 3.8)."""

from __future__ import annotations

from typing import Final

from sarab.proto.tcp.block import Block
from sarab.proto.tcp.flight import SENT_MAX
from sarab.proto.tcp.seq import MASK
from sarab.proto.tcp.values import (
    CLOSE_WAIT,
    ESTABLISHED,
    FIN_WAIT_1,
    LAST_ACK,
    OVERRIDE,
    SYN_RECEIVED,
    SYN_SENT,
    TLP_DELAY_MIN,
    Event,
)
from sarab.wire.tcp import ACK, CWR, ECE, FIN, PSH, SYN, Options, Segment

PREDICTED_FLAGS: Final = ACK | PSH


class Sender(Block):
    """Decides what may be sent, and makes segments of it."""

    __slots__ = ()

    # ---- handshake -----------------------------------------------------------------------------------------------

    def _poll_handshake(self, now: int, out: list[Segment]) -> None:
        """Send the SYN or SYN-ACK, for the first time or again."""
        if self._retransmit_at and now < self._retransmit_at:
            if self._ack_now and self.state is SYN_RECEIVED:
                out.append(self._segment(now, self.snd_nxt, ACK))
            return
        settings = self._settings
        late = settings.user_timeout and now - self._stuck_since >= settings.user_timeout
        if self._syn_tries > settings.syn_retries or late:
            self._end(now, Event.TIMEOUT)
            return
        self._syn_tries += 1
        if self._syn_tries > 1:
            self.counters["retransmissions"] += 1
            self.rtt.expired()
        self._syn_sent_at = now
        self._retransmit_at = now + self.rtt.rto
        rx = self.rx
        window = max(min(rx.size, 65535), rx.rcv_adv - rx.rcv_nxt)  # of a SYN it is never scaled (RFC 7323 section 2.2)
        rx.rcv_adv = rx.rcv_nxt + window
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        if self.state is SYN_SENT:
            stamps = (self._timestamp(now), 0) if settings.timestamps else None
            options = Options(settings.mss, self._scale_rcv, settings.sack, (), stamps)
            self._ecn = self._ecn and self._syn_tries == 1  # a router may drop what asks for ECN (RFC 3168 6.1.1.1)
            flags = SYN | (ECE | CWR if self._ecn else 0)
            out.append(Segment(self.src_port, self.dst_port, self._iss & MASK, 0, flags, window, options))
            return
        stamps = (self._timestamp(now), self._ts_recent) if self._use_ts else None
        options = Options(settings.mss, self._scale_rcv if self._scaled else None, self._use_sack, (), stamps)
        flags = SYN | ACK | (ECE if self._ecn else 0)
        self._last_ack_sent = rx.rcv_nxt
        out.append(Segment(self.src_port, self.dst_port, self._iss & MASK, rx.rcv_nxt & MASK, flags, window, options))

    # ---- new data ------------------------------------------------------------------------------------------------

    def transmit_predicted(self, now: int) -> bytes | memoryview | None:
        """Return the payload of a segment of all that was written, if it fits into one and nothing else is to be done.

        None: it is for poll() to say. In its header are `predicted_seq`, PREDICTED_FLAGS, `predicted_window`, the
        acknowledgement of all that came, and no options but timestamps(). Nothing here is a rule of its own: poll()
        would come to the same by the long way. The deadline is set.
        """
        buffer = self._buffer
        start, stop = self.snd_nxt, buffer.end
        size = stop - start
        if size <= 0 or size > self.snd_mss or self._fin_queued or self._probe or self.state is not ESTABLISHED:
            return None
        flight = self._flight
        rx = self.rx
        settings = self._settings
        retransmit_at, loss_at = self._retransmit_at, self._loss_at
        if (retransmit_at and now >= retransmit_at) or loss_at or flight.lost_bytes or rx.pieces or rx.duplicate[1]:
            return None
        if stop > self.snd_una + self.snd_wnd or flight.in_flight + size > self.congestion.cwnd:
            return None
        if self.cork or self._cwr_to_send or self._ece_to_send or self._refuse_at >= 0 or settings.user_timeout:
            return None
        if settings.nagle and self._small_end > self.snd_una and size < self.snd_mss:
            return None
        if settings.keepalive_idle and now - self._last_heard >= settings.keepalive_idle:
            return None
        if not flight.units:
            if now - self._last_sent > self.rtt.rto:
                return None
            self._stuck_since = now
        payload = buffer.take(start, size)
        self.predicted_window = self._advertise()
        self._ack_now, self._ack_at, self._acks_owed = False, 0, 0
        self._last_ack_sent = rx.rcv_nxt
        if size < self.snd_mss:
            self._small_end = stop
        flight.sent(now, start, stop)
        self._ect_from = start
        self.snd_nxt = stop
        self.bytes_out += size
        self.segments_out += 1
        self._override_at = 0
        self._last_sent = now
        if not retransmit_at or (self._use_sack and self._tlp_is_next()):
            self._arm_retransmission(now)
        self._deadline = self._retransmit_at
        return payload

    @property
    def predicted_seq(self) -> int:
        """The sequence number of the segment that transmit_predicted() gave: as it stands in the header."""
        return self._ect_from & MASK

    def _transmit(self, now: int, out: list[Segment], limit: int) -> None:
        """Send new data and the FIN behind it, as far as both windows let us."""
        buffer = self._buffer
        end = buffer.end
        start = self.snd_nxt
        if start >= end and (not self._fin_queued or self._fin_seq >= 0):
            return
        flight = self._flight
        settings = self._settings
        mss = self._payload_max()
        # The card repeats the header, and knows nothing of SACK blocks in it: then one segment at a time.
        gso = settings.gso and mss == self.snd_mss
        most = settings.gso_size_max if gso else mss
        control = self.congestion
        if not flight.units and start < end and now - self._last_sent > self.rtt.rto:
            control.idle((now - self._last_sent) // self.rtt.rto)
        edge = self.snd_una + self.snd_wnd
        before = len(out)
        while len(out) < limit and len(flight.units) < SENT_MAX:
            available = end - start
            if available <= 0 and not (self._fin_queued and self._fin_seq < 0):
                break
            usable = edge - start
            if usable <= 0:
                if not self.snd_wnd and not flight.units:
                    self._zero_window(now, out)
                break
            size = control.cwnd + self._inflation - flight.in_flight
            if size > usable:
                size = usable
            if size >= available or not available:
                size = available
            elif size <= 0:
                break
            if size > most:
                size = most
            if size > mss:
                short = size % mss
                if short and not (size == available and self._may_send_short(now, short, short, usable)):
                    size -= short
            elif 0 < size < mss and not self._may_send_short(now, size, available, usable):
                break
            stop = start + size
            flags = ACK
            payload: bytes | memoryview = b""
            if size:
                payload = buffer.take(start, size)
                if self._cwr_to_send:
                    flags |= CWR
                    self._cwr_to_send = False
                if size % mss:
                    self._small_end = stop
            if stop == end:
                if size:
                    flags |= PSH
                if self._fin_queued:
                    flags |= FIN
                    self._fin_seq = end
                    stop += 1
                    self._fin_was_sent(now)
            out.append(self._segment(now, start, flags, payload))
            if not flight.units:
                self._stuck_since = now
            flight.sent(now, start, stop)
            self.snd_nxt = start = stop
            self.bytes_out += size
            self._override_at = 0
        # A new segment puts a tail loss probe off (RFC 8985 section 7.2), but not the timeout (RFC 6298 section 5.1).
        if len(out) > before and (not self._retransmit_at or (self._use_sack and self._tlp_is_next())):
            self._arm_retransmission(now)

    def _may_send_short(self, now: int, size: int, available: int, usable: int) -> bool:
        """May `size` bytes leave, less than a full segment, of `available`? RFC 9293 section 3.8.6.2.1 and 3.7.4."""
        if size < available:
            # A window cuts it. Wait for more, unless this is half of the largest there ever was, or nothing will come.
            if size == usable and size * 2 >= self.snd_max_wnd:
                return True
            if self._flight.units:
                return False
            if not self._override_at:
                self._override_at = now + OVERRIDE
            return now >= self._override_at
        if self._fin_queued:
            return True
        if self.cork:
            return False
        # Nagle's rule, with Minshall's change: a short segment waits for a short one only, not for full ones.
        return not self._settings.nagle or self._small_end <= self.snd_una

    def _fin_was_sent(self, now: int) -> None:
        if self.state is ESTABLISHED:
            self._enter(now, FIN_WAIT_1)
        elif self.state is CLOSE_WAIT:
            self._enter(now, LAST_ACK)

    def _zero_window(self, now: int, out: list[Segment]) -> None:
        """Section 3.8.6.1: ask now and then whether the window has opened; an old number makes the peer answer."""
        settings = self._settings
        if not self._persist_at:
            self._persist_backoff = 0
            self._persist_at = now + self.rtt.rto
            self._stuck_since = now
            return
        if now < self._persist_at:
            return
        if self._unanswered > settings.retries or (self._closed_by_user and self._persist_backoff > settings.retries):
            self._rst_queued = True
            self._end(now, Event.TIMEOUT)
            return
        self._persist_backoff += 1
        self._unanswered += 1
        self.counters["window_probes"] += 1
        self._persist_at = now + min(self.rtt.rto << min(self._persist_backoff, 16), settings.rto_max)
        out.append(self._segment(now, self.snd_una - 1, ACK))

    # ---- data again ----------------------------------------------------------------------------------------------

    def _retransmit(self, now: int, out: list[Segment], limit: int) -> None:
        """Send again what is lost, as far as the congestion window lets us (RFC 6675 section 5)."""
        flight = self._flight
        units = flight.units
        mss = self._payload_max()
        gso = self._settings.gso and mss == self.snd_mss
        index = 0
        while flight.lost_bytes and len(out) < limit and index < len(units):
            unit = units[index]
            if not unit.lost:
                index += 1
                continue
            room = self.congestion.cwnd + self._inflation - flight.in_flight
            size = unit.end - unit.start
            if flight.in_flight and room < size and room < mss and not self._fast_retransmit:
                break
            self._fast_retransmit = False  # the first goes whatever the window says (RFC 6675 section 5, step 4.3)
            most = mss
            if gso and room > mss:
                most = min(room, self._settings.gso_size_max) // mss * mss
            if size > most:
                flight.split(index, unit.start + most)
            out.append(self._again(now, unit.start, unit.end))
            flight.sent_again(now, unit)
            self.counters["retransmissions"] += 1
            if not self._retransmit_at:
                self._retransmit_at = now + self.rtt.rto
            index += 1

    def _again(self, now: int, start: int, end: int) -> Segment:
        """Return the segment with sequence numbers `start` to `end`, which was sent before."""
        buffer = self._buffer
        flags = ACK
        if end > buffer.end:
            flags |= FIN
            end = buffer.end
        if end == start:
            return self._segment(now, start, flags)
        if end == buffer.end:
            flags |= PSH
        return self._segment(now, start, flags, buffer.take(start, end - start))

    def _send_probe(self, now: int, out: list[Segment]) -> None:
        """A tail loss probe: new data, or the last segment again (RFC 8985 section 7.3). Or a keepalive."""
        flight = self._flight
        units = flight.units
        if not units:
            out.append(self._segment(now, self.snd_una - 1, ACK))
            return
        buffer = self._buffer
        start = self.snd_nxt
        mss = self._payload_max()
        size = min(buffer.end - start, mss, self.snd_una + self.snd_wnd - start)
        if size > 0:
            flags = ACK | (PSH if start + size == buffer.end else 0)
            out.append(self._segment(now, start, flags, buffer.take(start, size)))
            flight.sent(now, start, start + size)
            self.snd_nxt = self._tlp_end = start + size
            self._tlp_again = False
            self.bytes_out += size
            if size < mss:
                self._small_end = start + size
            return
        last = units[-1]
        if last.sacked or last.lost:
            return
        if last.end - last.start > mss:
            flight.split(len(units) - 1, last.end - mss)
            last = units[-1]
        out.append(self._again(now, last.start, last.end))
        flight.sent_again(now, last)
        self._tlp_again = True
        self.counters["retransmissions"] += 1

    def _arm_retransmission(self, now: int) -> None:
        """Start the retransmission timer, or the tail loss probe's, which is shorter (RFC 8985 section 7.2)."""
        units = self._flight.units
        if not units:
            self._retransmit_at = 0
            return
        timeout = self.rtt.rto
        if self._use_sack and self._tlp_is_next():
            probe = 2 * self.rtt.srtt
            if len(units) == 1 and units[0].end - units[0].start <= self.snd_mss:
                probe += self._settings.delayed_ack
            if probe < timeout:
                timeout = max(probe, TLP_DELAY_MIN)
        self._retransmit_at = now + timeout

    def _tlp_is_next(self) -> bool:
        """RFC 8985 section 7.2: a probe before the timeout, once, and not while recovering."""
        return not self._tlp and not self.recovering and self.rtt.srtt > 0 and self.rtt.backoff == 0
