"""What was sent and is not acknowledged: a record a transmission unit, and which of them are lost.

SACK's scoreboard (RFC 2018, 6675) and RACK (RFC 8985) are here. A unit is what went out as one segment, up to 64 KiB
where the card cuts; a selective acknowledgement that covers part of it splits it. A peer without SACK is served by
counting duplicate acknowledgements (RFC 5681 section 3.2, RFC 6582).
"""

from __future__ import annotations

DUP_THRESH = 3
"""RFC 6675 section 2."""
REORDERING_STEPS_MAX = 16
"""How far RACK's window may widen, in quarters of the minimal round trip (RFC 8985 section 6.2: bounded by SRTT)."""
UNITS_MAX = 1024
"""A selective acknowledgement splits no unit when there are so many: each that brings news has all of them looked at,
and crumbs of a byte each would be an attack (cf. CVE-2019-11478). An honest peer's are 724: 1 MiB of 1448 each."""
SENT_MAX = 2 * UNITS_MAX
"""Nor is a new one sent then: a peer that wants tiny segments has no more of them in flight."""


class Unit:
    """Sequence numbers `start` to `end` (exclusive), and what became of them."""

    __slots__ = ("end", "lost", "sacked", "sent_at", "start", "transmissions")

    def __init__(self, start: int, end: int, sent_at: int, transmissions: int) -> None:
        self.start, self.end = start, end
        self.sent_at = sent_at
        self.transmissions = transmissions
        self.sacked = False
        self.lost = False
        """Waits to be sent again."""


class Flight:
    """The units in order of sequence numbers."""

    __slots__ = (
        "_high_sacked",
        "in_flight",
        "lost_bytes",
        "rack_end",
        "rack_rtt",
        "rack_sent_at",
        "reordering_seen",
        "reordering_steps",
        "sacked_bytes",
        "sacked_units",
        "units",
    )

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.in_flight = 0
        """RFC 6675's pipe: bytes that are believed to be on their way."""
        self.lost_bytes = 0
        self.sacked_bytes = 0
        self.sacked_units = 0
        self.rack_sent_at = -1
        """When the latest unit that is known to have arrived was sent (RACK.xmit_ts)."""
        self.rack_end = 0
        self.rack_rtt = 0
        self.reordering_seen = False
        self.reordering_steps = 1
        self._high_sacked = 0

    def sent(self, now: int, start: int, end: int) -> None:
        """A new unit went out."""
        self.units.append(Unit(start, end, now, 1))
        self.in_flight += end - start

    def sent_again(self, now: int, unit: Unit) -> None:
        """A lost unit, or a probe, went out again."""
        size = unit.end - unit.start
        if unit.lost:
            unit.lost = False
            self.lost_bytes -= size
            self.in_flight += size
        unit.sent_at = now
        unit.transmissions += 1

    def split(self, index: int, at: int) -> None:
        """Cut the unit at `index` in two at sequence number `at`, which lies inside of it."""
        unit = self.units[index]
        rest = Unit(at, unit.end, unit.sent_at, unit.transmissions)
        rest.sacked, rest.lost = unit.sacked, unit.lost
        unit.end = at
        if unit.sacked:
            self.sacked_units += 1
        self.units.insert(index + 1, rest)

    def acknowledged(self, now: int, ack: int) -> int:
        """Forget what lies before `ack`; return a round-trip time, or 0 where none can be told (Karn)."""
        units = self.units
        if len(units) == 1:
            unit = units[0]
            if unit.end <= ack and unit.transmissions == 1 and not unit.sacked:
                # All there is arrived at its first try: nearly always, where a question has one answer.
                units.clear()
                self.in_flight = self.lost_bytes = 0
                if unit.end < self._high_sacked:
                    self.reordering_seen = True
                self._arrived(now, unit)
                return now - unit.sent_at
        rtt = count = 0
        for unit in units:
            end = unit.end
            if end > ack:
                break
            count += 1
            size = end - unit.start
            if unit.sacked:
                self.sacked_bytes -= size
                self.sacked_units -= 1
                continue
            if unit.lost:
                self.lost_bytes -= size
            else:
                self.in_flight -= size
            if unit.transmissions == 1:
                rtt = now - unit.sent_at
                if end < self._high_sacked:
                    self.reordering_seen = True
            self._arrived(now, unit)
        if count:
            del units[:count]
        if units and units[0].start < ack:
            unit = units[0]
            size = ack - unit.start
            if unit.sacked:
                self.sacked_bytes -= size
            elif unit.lost:
                self.lost_bytes -= size
            else:
                self.in_flight -= size
                if unit.transmissions == 1:
                    rtt = now - unit.sent_at
            unit.start = ack
        return rtt

    def _find(self, number: int) -> int:
        """Return the index of the first unit that ends behind `number`."""
        units = self.units
        low, high = 0, len(units)
        while low < high:
            middle = (low + high) // 2
            if units[middle].end <= number:
                low = middle + 1
            else:
                high = middle
        return low

    def sacked(self, now: int, left: int, right: int) -> int:
        """The peer holds `left` to `right`; return how many bytes that is news about."""
        units = self.units
        news = 0
        index = self._find(left)
        while index < len(units):
            unit = units[index]
            if unit.start >= right:
                break
            if unit.sacked:
                index += 1
                continue
            if unit.start < left or unit.end > right:
                if len(units) >= UNITS_MAX:
                    index += 1
                    continue
                if unit.start < left:
                    self.split(index, left)
                    index += 1
                    continue
                self.split(index, right)
            size = unit.end - unit.start
            if unit.lost:
                unit.lost = False
                self.lost_bytes -= size
            else:
                self.in_flight -= size
            unit.sacked = True
            self.sacked_bytes += size
            self.sacked_units += 1
            news += size
            if unit.end < self._high_sacked:
                if unit.transmissions == 1:
                    self.reordering_seen = True
            else:
                self._high_sacked = unit.end
            self._arrived(now, unit)
            index += 1
        return news

    def _arrived(self, now: int, unit: Unit) -> None:
        """RFC 8985 section 6.2, step 2: the unit sent last that arrived, unless that may have been its first try."""
        sent_at = unit.sent_at
        rtt = now - sent_at
        if unit.transmissions > 1 and rtt < self.rack_rtt // 2:
            return
        if sent_at > self.rack_sent_at or (sent_at == self.rack_sent_at and unit.end > self.rack_end):
            self.rack_sent_at, self.rack_end = sent_at, unit.end
            self.rack_rtt = rtt

    def widen(self) -> None:
        """A retransmission was needless (a duplicate SACK came): be more patient with reordering."""
        self.reordering_seen = True
        self.reordering_steps = min(self.reordering_steps + 1, REORDERING_STEPS_MAX)

    def find_lost(self, now: int, min_rtt: int, srtt: int, in_recovery: bool, mss: int) -> tuple[bool, int]:
        """RACK (section 6.2, steps 4 and 5): mark what was sent long enough before something that arrived.

        Returns whether anything was marked, and when to look again (0: no need).
        """
        if self.rack_sent_at < 0:
            return False, 0
        few = self.sacked_units < DUP_THRESH and self.sacked_bytes < DUP_THRESH * mss
        window = 0
        if self.reordering_seen or (not in_recovery and few):
            window = min(self.reordering_steps * min_rtt // 4, srtt)
        marked, again = False, 0
        patience = self.rack_rtt + window
        rack_sent_at, rack_end = self.rack_sent_at, self.rack_end
        for unit in self.units:
            if unit.sacked or unit.lost:
                continue
            sent_at = unit.sent_at
            if sent_at > rack_sent_at or (sent_at == rack_sent_at and unit.end >= rack_end):
                if unit.transmissions == 1:
                    break  # and so is everything behind it
                continue
            due = sent_at + patience
            if due <= now:
                self._mark(unit)
                marked = True
            elif not again or due < again:
                again = due
        return marked, again

    def lose_first(self, mss: int) -> bool:
        """Mark the first segment lost, for a peer without SACK. False: it is marked already."""
        if not self.units or self.units[0].lost:
            return False
        unit = self.units[0]
        if unit.end - unit.start > mss:
            self.split(0, unit.start + mss)
        self._mark(unit)
        return True

    def lose_all(self, mss: int) -> None:
        """The retransmission timer went off: all that is not acknowledged is lost (RFC 6675 section 5.1)."""
        for unit in self.units:
            if not unit.sacked and not unit.lost:
                self._mark(unit)
        if self.units and self.units[0].end - self.units[0].start > mss:
            self.split(0, self.units[0].start + mss)

    def forget_sacks(self) -> None:
        """The peer may have dropped what it had said to hold (RFC 2018 section 8)."""
        for unit in self.units:
            if unit.sacked:
                unit.sacked = False
                self.in_flight += unit.end - unit.start
        self.sacked_bytes = self.sacked_units = 0

    def _mark(self, unit: Unit) -> None:
        size = unit.end - unit.start
        unit.lost = True
        self.lost_bytes += size
        self.in_flight -= size
