"""Congestion control: NewReno (RFC 5681, 6582) and CUBIC (RFC 9438). Windows in bytes, times in nanoseconds."""

from __future__ import annotations

from sarab.proto.tcp.values import SECOND

SSTHRESH_INITIAL = 1 << 30
WINDOW_MAX = 1 << 30


class NewReno:
    """Slow start, congestion avoidance by appropriate byte counting (RFC 3465, L = 2 segments), halving on loss."""

    beta_numerator = 1
    beta_denominator = 2
    __slots__ = ("_acked", "cwnd", "mss", "ssthresh")

    def __init__(self, mss: int, initial_window: int) -> None:
        self.mss = mss
        # RFC 6928: min(10 * MSS, max(2 * MSS, 14600))
        self.cwnd = min(initial_window * mss, max(2 * mss, initial_window * 1460))
        self.ssthresh = SSTHRESH_INITIAL
        self._acked = 0

    def acked(self, now: int, count: int, srtt: int) -> None:
        """`count` bytes were acknowledged outside of recovery while the window was in use."""
        if self.cwnd < self.ssthresh:
            grown = min(count, max(self.ssthresh - self.cwnd, self.mss))
            self.cwnd = min(self.cwnd + grown, WINDOW_MAX)
            return
        self.avoid(now, count, srtt)

    def avoid(self, now: int, count: int, srtt: int) -> None:
        """Grow by one segment a round trip."""
        self._acked += count
        if self._acked >= self.cwnd:
            self._acked -= self.cwnd
            self.cwnd = min(self.cwnd + self.mss, WINDOW_MAX)

    def lost(self, now: int, flight: int) -> None:
        """A loss was noticed by acknowledgements, or a mark of congestion came: once a round trip."""
        self.ssthresh = max(self.cwnd * self.beta_numerator // self.beta_denominator, 2 * self.mss)
        self.cwnd = self.ssthresh

    def timed_out(self, now: int, flight: int) -> None:
        """The retransmission timer went off for the first time (RFC 5681 section 3.1)."""
        self.ssthresh = max(flight // 2, 2 * self.mss)
        self.cwnd = self.mss

    def idle(self, rtos: int) -> None:
        """Nothing was sent for `rtos` timeouts: the path may have changed (RFC 2861, RFC 9438 section 5.8)."""
        floor = min(self.cwnd, 10 * self.mss)
        self.ssthresh = max(self.ssthresh, self.cwnd * 3 // 4)
        self.cwnd = max(self.cwnd >> min(rtos, 31), floor)


class Cubic(NewReno):
    """RFC 9438: after a loss the window grows as the cube of the time towards where it was, and beyond."""

    beta_numerator = 7
    beta_denominator = 10
    __slots__ = ("_credit", "_epoch", "_k", "_w_est", "_w_max")

    def __init__(self, mss: int, initial_window: int) -> None:
        super().__init__(mss, initial_window)
        self._epoch = 0
        self._w_max = 0.0
        self._w_est = 0.0
        self._k = 0.0
        self._credit = 0.0

    def avoid(self, now: int, count: int, srtt: int) -> None:
        """Section 4.2: follow W_cubic(t + RTT), or the Reno-friendly estimate where that is larger (4.3)."""
        window = self.cwnd / self.mss
        if not self._epoch:
            self._epoch = now
            self._w_est = window
            if window < self._w_max:
                self._k = ((self._w_max - window) / 0.4) ** (1 / 3)
            else:
                self._k, self._w_max = 0.0, window
        segments = count / self.mss
        # alpha of section 4.3 is 3 * (1 - beta) / (1 + beta), and 1 once the old maximum is passed.
        self._w_est += (9 / 17 if self._w_est < self._w_max else 1.0) * segments / window
        since = (now - self._epoch + srtt) / SECOND - self._k
        target = min(max(0.4 * since * since * since + self._w_max, window), 1.5 * window)
        if self._w_est > target:
            self.cwnd = min(max(self.cwnd, int(self._w_est * self.mss)), WINDOW_MAX)
            return
        self._credit += (target - window) / window * segments
        if self._credit >= 1 / 64:
            self.cwnd = min(self.cwnd + int(self._credit * self.mss), WINDOW_MAX)
            self._credit = 0.0

    def lost(self, now: int, flight: int) -> None:
        """Sections 4.6 and 4.7: multiplicative decrease, and fast convergence when the share has shrunk."""
        window = self.cwnd / self.mss
        self._w_max = window * 0.85 if window < self._w_max else window
        self._epoch = 0
        super().lost(now, flight)

    def timed_out(self, now: int, flight: int) -> None:
        """Section 4.8: as after a loss, from one segment."""
        self._w_max = self.cwnd / self.mss
        self._epoch = 0
        self.ssthresh = max(flight * 7 // 10, 2 * self.mss)
        self.cwnd = self.mss


def make(name: str, mss: int, initial_window: int) -> NewReno:
    """Return the algorithm called `name`. Raises ValueError."""
    if name == "cubic":
        return Cubic(mss, initial_window)
    if name == "newreno":
        return NewReno(mss, initial_window)
    raise ValueError(f"'{name}' is no congestion control: there are cubic and newreno")
