"""Who on the link has which address: the caches of ARP and of IPv6 (RFC 826, with RFC 4861's states and timers).

An address is learnt from an answer to our question, or from a question to us, which we are about to answer. What nobody
asked for (a gratuitous announcement) never changes an entry that works: it has the entry asked for again, so that a
spoofer must win against the owner's answer.
"""

from __future__ import annotations

from typing import NamedTuple

from sarab.device.network import Outgoing

SECOND = 1_000_000_000
REACHABLE_TIME = 30 * SECOND
"""RFC 4861 section 10; then the neighbour is asked again, in use and without a gap."""
RETRANS_TIMER = 1 * SECOND
PROBES_MAX = 3
"""RFC 4861 section 10, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT."""
PENDING_MAX = 16
"""Frames that wait for one answer; RFC 4861 section 7.2.2 asks for a small queue."""
ENTRIES_MAX = 1024
"""A link of a /22; the least recently used entry makes room."""
FORGET_AFTER = 600 * SECOND


class Solicitation(NamedTuple):
    """A question to be put on the link. `mac` is the neighbour's where it is known (a probe), else None."""

    address: bytes
    mac: bytes | None


class Entry:
    """What is known of one neighbour."""

    __slots__ = ("address", "confirmed_at", "mac", "next_probe", "pending", "probes", "used_at")

    def __init__(self, address: bytes, now: int) -> None:
        self.address = address
        self.mac: bytes | None = None
        self.pending: list[Outgoing] = []
        self.probes = 0
        self.next_probe = 0
        """When to ask again; 0: nothing is being asked."""
        self.confirmed_at = self.used_at = now


class Neighbours:
    """The cache of one interface and family. `lookup` is on the data path."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self.generation = 0
        """Changes with every change of an address: who keeps a copy compares."""
        self.dropped = 0
        self.failed: list[bytes] = []
        """Neighbours that did not answer, until somebody takes the list."""
        self._questions: list[Solicitation] = []

    def lookup(self, now: int, address: bytes) -> bytes | None:
        """Return the neighbour's Ethernet address if it is known; None: enqueue() the frame."""
        entry = self._entries.get(address)
        if entry is None or entry.mac is None:
            return None
        entry.used_at = now
        if not entry.next_probe and now - entry.confirmed_at > REACHABLE_TIME:
            self._ask(now, entry)
        return entry.mac

    def enqueue(self, now: int, address: bytes, frame: Outgoing) -> None:
        """Keep a frame (its first six bytes are filled in later) until the neighbour answers, and ask for it."""
        entry = self._entries.get(address)
        if entry is None:
            self._make_room()
            entry = self._entries[address] = Entry(address, now)
        entry.used_at = now
        if len(entry.pending) >= PENDING_MAX:
            entry.pending.pop(0)
            self.dropped += 1
        entry.pending.append(frame)
        if not entry.next_probe:
            self._ask(now, entry)

    def confirmed(self, now: int, address: bytes, mac: bytes, *, asked: bool) -> list[Outgoing]:
        """A neighbour said its address; return the frames that waited. `asked`: it spoke to us, not to everybody."""
        entry = self._entries.get(address)
        if entry is None:
            if not asked:
                return []
            self._make_room()
            entry = self._entries[address] = Entry(address, now)
        if entry.mac is not None and entry.mac != mac:
            if not entry.next_probe:
                # Not what we know, and we did not ask: ask now, and believe who answers.
                self._ask(now, entry, everybody=True)
                return []
            self.generation += 1
        elif entry.mac is None:
            if not asked and not entry.next_probe:
                return []
            self.generation += 1
        entry.mac = mac
        entry.confirmed_at = now
        entry.probes = entry.next_probe = 0
        waiting, entry.pending = entry.pending, []
        return [frame._replace(header=mac + frame.header[6:]) for frame in waiting]

    def heard(self, now: int, address: bytes, mac: bytes) -> list[Outgoing]:
        """A neighbour asked us (NS, RS, RA) and named its Ethernet address: as confirmed(), but where we know another
        one it is only the reason to ask, for that it speaks proves nothing."""
        entry = self._entries.get(address)
        if entry is not None and entry.mac is not None and entry.mac != mac:
            self.announced(now, address, mac)
            return []
        return self.confirmed(now, address, mac, asked=True)

    def announced(self, now: int, address: bytes, mac: bytes) -> None:
        """Somebody says unasked that the neighbour has this Ethernet address: ask, if we know another one."""
        entry = self._entries.get(address)
        if entry is not None and entry.mac is not None and entry.mac != mac and not entry.next_probe:
            self._ask(now, entry, everybody=True)

    def known(self, address: bytes) -> bytes | None:
        """Return the neighbour's Ethernet address if it is known, not as one who uses it."""
        entry = self._entries.get(address)
        return entry.mac if entry is not None else None

    def alive(self, now: int, address: bytes) -> None:
        """The neighbour has acknowledged something lately: that confirms it, too (RFC 4861 section 7.3.1)."""
        entry = self._entries.get(address)
        if entry is not None and entry.mac is not None:
            entry.confirmed_at = now

    def _ask(self, now: int, entry: Entry, *, everybody: bool = False) -> None:
        entry.probes += 1
        entry.next_probe = now + RETRANS_TIMER
        self._questions.append(Solicitation(entry.address, None if everybody else entry.mac))

    def poll(self, now: int) -> list[Solicitation]:
        """Return the questions to put on the link now."""
        for entry in list(self._entries.values()):
            if entry.next_probe and entry.next_probe <= now:
                if entry.probes < PROBES_MAX:
                    self._ask(now, entry)
                    continue
                self.dropped += len(entry.pending)
                self.failed.append(entry.address)
                del self._entries[entry.address]
                self.generation += 1
        questions, self._questions = self._questions, []
        return questions

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        if self._questions:
            return 0
        return min((entry.next_probe for entry in self._entries.values() if entry.next_probe), default=None)

    def _make_room(self) -> None:
        if len(self._entries) >= ENTRIES_MAX:
            oldest = min(self._entries.values(), key=lambda entry: entry.used_at)
            self.dropped += len(oldest.pending)
            del self._entries[oldest.address]
            self.generation += 1
