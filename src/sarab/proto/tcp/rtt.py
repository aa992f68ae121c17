"""The round-trip time and the retransmission timeout (RFC 6298)."""

from __future__ import annotations

from sarab.proto.tcp.values import MILLISECOND, SECOND

GRANULARITY = MILLISECOND
SYN_LOST_RTO = 3 * SECOND


class RoundTrip:
    """Smoothed measurements, in nanoseconds."""

    __slots__ = ("_rto", "backoff", "latest", "minimum", "rto_max", "rto_min", "rttvar", "srtt")

    def __init__(self, rto_initial: int, rto_min: int, rto_max: int) -> None:
        self.srtt = 0
        """0: nothing was measured yet."""
        self.rttvar = 0
        self.latest = 0
        self.minimum = 0
        self.backoff = 0
        """How often the timeout has doubled since the last acknowledgement."""
        self.rto_min, self.rto_max = rto_min, rto_max
        self._rto = rto_initial

    def measured(self, rtt: int) -> None:
        """Take a measurement of a segment that was sent once (Karn's rule is the caller's)."""
        rtt = max(rtt, 1)
        self.latest = rtt
        self.minimum = min(self.minimum, rtt) if self.minimum else rtt
        if not self.srtt:
            self.srtt, self.rttvar = rtt, rtt // 2
        else:
            self.rttvar = (3 * self.rttvar + abs(self.srtt - rtt)) // 4
            self.srtt = (7 * self.srtt + rtt) // 8
        # Linux's floor is on the variance, so that a steady path keeps a margin.
        self._rto = min(max(self.srtt + max(4 * self.rttvar, GRANULARITY, self.rto_min), self.rto_min), self.rto_max)

    def syn_was_lost(self) -> None:
        """Begin with 3 s where nothing was measured (section 5.7): the path may be slower than the first guess."""
        if not self.srtt:
            self._rto = max(self._rto, SYN_LOST_RTO)

    @property
    def rto(self) -> int:
        """The timeout, doubled as often as it has expired (section 5.5)."""
        return min(self._rto << self.backoff, self.rto_max)

    def expired(self) -> None:
        """The timer went off."""
        self.backoff = min(self.backoff + 1, 32)
