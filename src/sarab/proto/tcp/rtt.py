"""The round-trip time and the retransmission timeout (RFC 6298)."""

from __future__ import annotations

from sarab.proto.tcp.values import MILLISECOND, SECOND

GRANULARITY = MILLISECOND
SYN_LOST_RTO = 3 * SECOND


class RoundTrip:
    """Smoothed measurements, in nanoseconds."""

    __slots__ = ("_margin_min", "_rto", "backoff", "latest", "minimum", "rto", "rto_max", "rttvar", "srtt")

    def __init__(self, rto_initial: int, rto_min: int, rto_max: int) -> None:
        self.srtt = 0
        """0: nothing was measured yet."""
        self.rttvar = 0
        self.latest = 0
        self.minimum = 0
        self.backoff = 0
        """How often the timeout has doubled since the last acknowledgement."""
        self.rto_max = rto_max
        self._margin_min = max(GRANULARITY, rto_min)
        self._rto = rto_initial
        self.rto = min(rto_initial, rto_max)
        """The timeout, doubled as often as it has expired (section 5.5)."""

    def measured(self, rtt: int) -> None:
        """Take a measurement of a segment that was sent once (Karn's rule is the caller's)."""
        rtt = rtt or 1
        self.latest = rtt
        if rtt < self.minimum or not self.minimum:
            self.minimum = rtt
        srtt = self.srtt
        if not srtt:
            self.srtt, self.rttvar = rtt, rtt // 2
        else:
            away = srtt - rtt if srtt > rtt else rtt - srtt
            self.rttvar = (3 * self.rttvar + away) // 4
            self.srtt = (7 * srtt + rtt) // 8
        # Linux's floor is on the variance, so that a steady path keeps a margin.
        margin = 4 * self.rttvar
        self._rto = self.srtt + (margin if margin > self._margin_min else self._margin_min)
        if self._rto > self.rto_max:
            self._rto = self.rto_max
        if self.backoff:
            self.rto = min(self._rto << self.backoff, self.rto_max)
        else:
            self.rto = self._rto

    def syn_was_lost(self) -> None:
        """Begin with 3 s where nothing was measured (section 5.7): the path may be slower than the first guess."""
        if not self.srtt:
            self._rto = max(self._rto, SYN_LOST_RTO)
            self.rto = min(self._rto << self.backoff, self.rto_max)

    def expired(self) -> None:
        """The timer went off."""
        self.backoff = min(self.backoff + 1, 32)
        self.rto = min(self._rto << self.backoff, self.rto_max)

    def answered(self) -> None:
        """An acknowledgement of something new came."""
        self.backoff = 0
        self.rto = min(self._rto, self.rto_max)
