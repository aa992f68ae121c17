"""A reference of TCP's rules, which sees one end of a connection from outside: its segments both ways, and its state.

    judge = Judge("a")
    judge.received(segment)        # a segment with a good checksum, before the machine has it
    judge.step(state, "segment")   # the state it has then
    judge.sent(segment)            # what it sends
    judge.step(state, "poll")

It knows nothing of how a machine works inside. From the wire alone it knows what was received, what may be
acknowledged, what window was told, whether a FIN is acknowledged; and so which change of state
RFC 9293 (section 3.3.2 with 3.10.7) allows for which cause. Raises Broken.
"""

from __future__ import annotations

from collections.abc import Callable

from sarab.proto.tcp.seq import MASK, unwrap
from sarab.proto.tcp.values import State
from sarab.testing.notation import show
from sarab.wire.tcp import ACK, FIN, RST, SYN, Segment

S = State
STAMPS_MAX = 100_000
"""Timestamps of the peer that are remembered: more than any scenario has segments."""


class Broken(AssertionError):
    """A rule was broken; the text says which, and by which segment."""


class Judge:
    """One end of one connection."""

    def __init__(self, name: str, stream: bytes | None = None, *, to_the_letter: bool = True) -> None:
        """`stream`: what its user writes, from the first byte on; every segment must carry a part of it.

        `to_the_letter`: where an acknowledgement is newer and its sequence number older than what the window was taken
        from last, RFC 9293 (3.10.7.4) moves snd_una and leaves the window's size, and with it the right edge moves
        beyond what the peer told. False forbids that.
        """
        self.to_the_letter = to_the_letter
        self.name = name
        self.stream = stream
        self.state: State | None = None
        self.last: Segment | None = None
        """What was received last."""
        self.iss: int | None = None
        self.snd_una = self.snd_max = 0
        """The first is the highest number that anything received acknowledges, whether or not the machine took it."""
        self.sure_una = 0
        """What a segment acknowledged that was acceptable beyond doubt."""
        self.fin_at = -1
        """The number of our FIN; -1: none was sent."""
        self.irs: int | None = None
        self.held: list[tuple[int, int]] = []
        """Numbers received, sorted, not touching each other."""
        self.peer_fin_at = -1
        self.told_ack = self.told_edge = 0
        self.peer_edge = self.peer_window = 0
        """The furthest right edge, and the largest window, that the peer has told."""
        self.scale = self.peer_scale = 0
        self.offered_scale: int | None = None
        self.peer_offered_scale: int | None = None
        self.stamps: set[int] = set()
        self.newest_stamp = 0
        """The latest of them."""
        self.last_stamp: int | None = None
        self.stamped = False
        """Timestamps were agreed on."""
        self._syn_had_stamp = self._peer_syn_had_stamp = False
        self.short_of_memory = False
        """The machine may drop what came, as if it were lost on the way."""

    def _broken(self, why: str, segment: Segment | None = None) -> Broken:
        text = f"{self.name}: {why}"
        if segment is not None:
            seq = segment.seq if self.iss is None else (segment.seq - self.iss) & MASK
            ack = segment.ack if self.irs is None else (segment.ack - self.irs) & MASK
            text += f": {show(segment._replace(seq=seq, ack=ack))}"
        return Broken(text)

    # ---- what comes ----------------------------------------------------------------------------------------------

    def received(self, segment: Segment) -> None:
        """A segment is about to be given to the machine."""
        self.last = segment
        if segment.flags & RST:
            return
        stamps = segment.options.timestamps
        if stamps is not None and len(self.stamps) < STAMPS_MAX:
            if not self.stamps or (stamps[0] - self.newest_stamp) & MASK < 0x80000000:
                self.newest_stamp = stamps[0]
            self.stamps.add(stamps[0])
        if segment.flags & SYN:
            self._syn_received(segment)
        if self.irs is None:
            return
        start = unwrap(segment.seq, self._contiguous())
        end = start + len(segment.payload)
        in_window = self.told_ack <= start < self.told_edge and not segment.flags & SYN
        if segment.flags & SYN:
            start, end = start + 1, end + 1
        if segment.flags & FIN:
            self.peer_fin_at = end
            end += 1
        if end > start:
            self._hold(start, end)
        if segment.flags & ACK and self.iss is not None:
            ack = unwrap(segment.ack, self.snd_una)
            if self.snd_una <= ack <= self.snd_max:
                self.snd_una = ack
                if in_window and not self._old(segment):
                    self.sure_una = ack
            if ack <= self.snd_max:
                window = segment.window << (0 if segment.flags & SYN else self.peer_scale)
                self.peer_window = max(self.peer_window, window)
                self.peer_edge = max(self.peer_edge, ack + window)

    def _old(self, segment: Segment) -> bool:
        """Say whether PAWS may have dropped it."""
        stamps = segment.options.timestamps
        return stamps is not None and (stamps[0] - self.newest_stamp) & MASK >= 0x80000000

    def _syn_received(self, segment: Segment) -> None:
        if self.irs is not None:
            return
        self.irs = segment.seq
        self.told_ack = self.told_edge = segment.seq + 1
        self.held = [(segment.seq, segment.seq + 1)]
        self.peer_offered_scale = segment.options.window_scale
        self.peer_window = segment.window
        self._peer_syn_had_stamp = segment.options.timestamps is not None
        if self.iss is None:
            # Passive: the SYN's window counts from our first byte, whose number is not known yet.
            self.peer_edge = segment.window
        else:
            self.peer_edge = self.iss + 1 + segment.window
        self._agree()

    def _agree(self) -> None:
        if self.offered_scale is not None and self.peer_offered_scale is not None:
            self.scale, self.peer_scale = min(self.offered_scale, 14), min(self.peer_offered_scale, 14)
        self.stamped = self._syn_had_stamp and self._peer_syn_had_stamp

    def _hold(self, start: int, end: int) -> None:
        kept = []
        for left, right in self.held:
            if right < start or left > end:
                kept.append((left, right))
            else:
                start, end = min(start, left), max(end, right)
        kept.append((start, end))
        kept.sort()
        self.held = kept

    def _contiguous(self) -> int:
        """Return the number behind everything that was received without a hole."""
        return self.held[0][1] if self.held else 0

    # ---- what goes -----------------------------------------------------------------------------------------------

    def sent(self, segment: Segment) -> None:
        """The machine sends a segment. Raises Broken."""
        flags = segment.flags
        if flags & RST:
            return
        if flags & SYN:
            self._syn_sent(segment)
            return
        if self.iss is None or self.irs is None:
            raise self._broken("it sends without a handshake", segment)
        if not flags & ACK:
            raise self._broken("a segment without ACK (3.1)", segment)
        self._check_acknowledgement(segment)
        self._check_options(segment)
        start = unwrap(segment.seq, self.snd_max)
        end = start + len(segment.payload)
        if flags & FIN:
            if self.fin_at >= 0 and end != self.fin_at:
                raise self._broken("its FIN moved", segment)
            self.fin_at = end
            end += 1
        if self.fin_at >= 0 and end > self.fin_at + 1:
            raise self._broken("data behind its FIN", segment)
        if segment.payload and end <= self.sure_una:
            raise self._broken("it sends again what is acknowledged", segment)
        if start > self.snd_max or start < self.sure_una - 1:
            raise self._broken("a number out of order", segment)
        edge = max(self.peer_edge, self.snd_una + self.peer_window) if self.to_the_letter else self.peer_edge
        if end > max(self.snd_max, edge):
            raise self._broken(f"it sends {end - edge} bytes beyond the window", segment)
        self.snd_max = max(self.snd_max, end)
        if self.stream is not None and segment.payload:
            offset = start - self.iss - 1
            if bytes(segment.payload) != self.stream[offset : offset + len(segment.payload)]:
                raise self._broken("it sends what its user did not write", segment)

    def _syn_sent(self, segment: Segment) -> None:
        if self.iss is None:
            self.iss = segment.seq
            self.snd_una, self.snd_max = segment.seq, segment.seq + 1
            self.sure_una = segment.seq
            if self.irs is not None:
                self.peer_edge += segment.seq + 1
        if segment.seq != self.iss & MASK:
            raise self._broken("its initial sequence number changed", segment)
        self.offered_scale = segment.options.window_scale
        self._syn_had_stamp = segment.options.timestamps is not None
        if segment.flags & ACK:
            if self.irs is None or segment.ack != (self.irs + 1) & MASK:
                raise self._broken("a SYN-ACK of another SYN", segment)
            if self.offered_scale is not None and self.peer_offered_scale is None:
                raise self._broken("it offers a scale to one who has none", segment)
            if self._syn_had_stamp and not self._peer_syn_had_stamp:
                raise self._broken("it offers timestamps to one who has none", segment)
            self.told_edge = max(self.told_edge, self.irs + 1 + segment.window)
        self._agree()

    def _check_acknowledgement(self, segment: Segment) -> None:
        ack = unwrap(segment.ack, self._contiguous())
        if ack < self.told_ack:
            raise self._broken("its acknowledgement goes back", segment)
        if ack > self._contiguous():
            raise self._broken("it acknowledges what did not come", segment)
        self.told_ack = ack
        edge = ack + (segment.window << self.scale)
        if edge + (1 << self.scale) <= self.told_edge:
            raise self._broken(f"it takes back {self.told_edge - edge} bytes of its window (3.8.6 SHLD-14)", segment)
        self.told_edge = max(self.told_edge, edge)

    def _check_options(self, segment: Segment) -> None:
        options = segment.options
        if options.mss is not None or options.window_scale is not None or options.sack_permitted:
            raise self._broken("options of a SYN in another segment", segment)
        if (options.timestamps is not None) != self.stamped:
            raise self._broken("timestamps are in every segment or in none (RFC 7323 section 3.2)", segment)
        if options.timestamps is not None:
            value, echo = options.timestamps
            if self.last_stamp is not None and (value - self.last_stamp) & MASK >= 0x80000000:
                raise self._broken("its timestamps go back", segment)
            self.last_stamp = value
            if echo not in self.stamps and len(self.stamps) < STAMPS_MAX:
                raise self._broken("it echoes a timestamp that never came", segment)
        for left_wire, right_wire in options.sack:
            left = unwrap(left_wire, self._contiguous())
            right = unwrap(right_wire, self._contiguous())
            if not any(start <= left < right <= end for start, end in self.held):
                raise self._broken("it reports to hold what did not come (RFC 2018 section 4)", segment)

    # ---- states --------------------------------------------------------------------------------------------------

    def step(self, state: State, cause: str) -> None:
        """The machine is in `state` now, by `cause` alone: segment, poll or user. Raises Broken."""
        before, self.state = self.state, state
        if before is None or before is state:
            return
        rule = TRANSITIONS.get((before, state))
        if rule is None:
            raise self._broken(f"from {before.name} to {state.name} is no way")
        if not any(BECAUSE[reason](self, cause) for reason in rule):
            last = self.last if cause == "segment" else None
            raise self._broken(f"from {before.name} to {state.name} by {cause}, and not by {' or '.join(rule)}", last)

    def _flag(self, bits: int) -> bool:
        return self.last is not None and self.last.flags & bits == bits

    def _fin_acknowledged(self) -> bool:
        return self.fin_at >= 0 and self.snd_una > self.fin_at

    def _peer_finished(self) -> bool:
        return 0 <= self.peer_fin_at < self._contiguous()

    def _peer_surely_finished(self) -> bool:
        """Say whether the machine must know: where memory is short it may not have taken what came."""
        return 0 <= self.peer_fin_at < (self.told_ack if self.short_of_memory else self._contiguous())


BECAUSE: dict[str, Callable[[Judge, str], bool]] = {
    "syn": lambda judge, cause: cause == "segment" and judge._flag(SYN) and not judge._flag(ACK),
    "syn_ack": lambda judge, cause: cause == "segment" and judge._flag(SYN | ACK) and judge.snd_una == judge.snd_max,
    "ack": lambda judge, cause: (
        cause == "segment" and judge._flag(ACK) and judge.iss is not None and judge.snd_una > judge.iss
    ),
    "fin": lambda judge, cause: cause == "segment" and judge._peer_finished(),
    "fin_not_acked": lambda judge, cause: (
        cause == "segment" and judge._peer_finished() and not judge._fin_acknowledged()
    ),
    "fin_acked": lambda judge, cause: (
        cause == "segment" and judge._fin_acknowledged() and not judge._peer_surely_finished()
    ),
    "fin_acked_last": lambda judge, cause: cause == "segment" and judge._fin_acknowledged(),
    "fin_both": lambda judge, cause: (
        cause == "segment" and judge._fin_acknowledged() and judge._peer_finished()
    ),
    "fin_sent": lambda judge, cause: cause == "poll" and judge.fin_at >= 0,
    "reset": lambda judge, cause: cause == "segment" and judge._flag(RST),
    "data_for_nobody": lambda judge, cause: (
        cause == "segment" and judge.last is not None and len(judge.last.payload) > 0
    ),
    "user": lambda judge, cause: cause == "user",
    "time": lambda judge, cause: cause == "poll",
}  # fmt: skip
"""What may have caused a change of state, judged from the wire."""

_ENDS = ("reset", "user", "time")
TRANSITIONS: dict[tuple[State, State], tuple[str, ...]] = {
    (S.SYN_SENT, S.ESTABLISHED): ("syn_ack",),
    (S.SYN_SENT, S.SYN_RECEIVED): ("syn",),
    (S.SYN_SENT, S.CLOSE_WAIT): ("fin",),
    (S.SYN_SENT, S.CLOSED): _ENDS,
    (S.SYN_RECEIVED, S.ESTABLISHED): ("ack",),
    (S.SYN_RECEIVED, S.CLOSE_WAIT): ("fin",),
    (S.SYN_RECEIVED, S.CLOSED): _ENDS,
    (S.ESTABLISHED, S.FIN_WAIT_1): ("fin_sent",),
    (S.ESTABLISHED, S.CLOSE_WAIT): ("fin",),
    (S.ESTABLISHED, S.CLOSED): (*_ENDS, "data_for_nobody"),
    (S.FIN_WAIT_1, S.FIN_WAIT_2): ("fin_acked",),
    (S.FIN_WAIT_1, S.CLOSING): ("fin_not_acked",),
    (S.FIN_WAIT_1, S.TIME_WAIT): ("fin_both",),
    (S.FIN_WAIT_1, S.CLOSED): (*_ENDS, "data_for_nobody"),
    (S.FIN_WAIT_2, S.TIME_WAIT): ("fin_both",),
    (S.FIN_WAIT_2, S.CLOSED): (*_ENDS, "data_for_nobody"),
    (S.CLOSE_WAIT, S.LAST_ACK): ("fin_sent",),
    (S.CLOSE_WAIT, S.CLOSED): _ENDS,
    (S.CLOSING, S.TIME_WAIT): ("fin_both",),
    (S.CLOSING, S.CLOSED): _ENDS,
    (S.LAST_ACK, S.CLOSED): ("fin_acked_last", *_ENDS),
    (S.TIME_WAIT, S.CLOSED): ("time", "user"),
}
"""RFC 9293 figure 5, with section 3.10.7's steps that one segment makes at once."""
