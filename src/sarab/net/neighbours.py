"""Who on the link has which address: the caches of ARP and of IPv6 (RFC 826, with RFC 4861's states and timers).

An address is learnt from an answer to our question, or from a question to us, which we are about to answer. Whoever
contradicts what we know changes nothing: he has the one whom we know asked, who need only answer to stay; when that one
is silent for RETRANS_TIMER, everybody is asked, and the first to answer is believed. So a spoofer must silence the
owner, and an address that moves is followed a second later.

A flood of made-up neighbours costs nobody his entry who is in use, and every call takes a bounded number of steps
(RFC 6583 section 6): those who have not answered are few and go first; of the others, one who was not used lately.
"""

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
PENDING_BYTES_MAX = 1 << 20
"""Of all frames that wait: what a made-up sender has us answer waits for nobody, and long."""
ENTRIES_MAX = 1024
"""A link of a /22; one that was not used lately makes room."""
STRANGERS_MAX = 256
"""Of these, neighbours that have not answered: a flood of made-up senders fills this and no more (RFC 6583)."""
CHANCES_MAX = 8
"""How many entries in use are passed over in the search for one that is not."""


class Solicitation(NamedTuple):
    """A question to be put on the link. `mac` is the neighbour's where it is known (a probe), else None."""

    address: bytes
    mac: bytes | None


class Entry:
    """What is known of one neighbour."""

    __slots__ = (
        "address", "challenged", "challenged_at", "confirmed_at", "mac", "next_probe", "pending", "probes", "used",
    )  # fmt: skip

    def __init__(self, address: bytes, now: int) -> None:
        self.address = address
        self.mac: bytes | None = None
        self.pending: list[Outgoing] = []
        self.probes = 0
        self.next_probe = 0
        """When to ask again; 0: nothing is being asked."""
        self.confirmed_at = now
        self.used = False
        """Something was sent to it since its last chance (see _make_room)."""
        self.challenged = False
        """Somebody says that it has another address; it is being asked."""
        self.challenged_at = now - RETRANS_TIMER


class Neighbours:
    """The cache of one interface and family. `lookup` is on the data path."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._strangers: dict[bytes, Entry] = {}
        """Those without an address of the link, the oldest first."""
        self._asked: dict[bytes, Entry] = {}
        """Those who are being asked, in the order of `next_probe`."""
        self._pending_bytes = 0
        self.dropped = 0
        """Frames that waited for nothing."""
        self.contradictions = 0
        """Claims to the address of one whom we know."""
        self.failed: list[bytes] = []
        """Neighbours that did not answer, until somebody takes the list."""
        self._questions: list[Solicitation] = []

    def lookup(self, now: int, address: bytes) -> bytes | None:
        """Return the neighbour's Ethernet address if it is known; None: enqueue() the frame."""
        entry = self._entries.get(address)
        if entry is None or entry.mac is None:
            return None
        entry.used = True
        if not entry.next_probe and now - entry.confirmed_at > REACHABLE_TIME:
            self._ask(now, entry)
        return entry.mac

    def enqueue(self, now: int, address: bytes, frame: Outgoing) -> None:
        """Keep a frame (its first six bytes are filled in later) until the neighbour answers, and ask for it."""
        entry = self._entries.get(address)
        if entry is None:
            if len(self._strangers) >= STRANGERS_MAX:
                self._forget(next(iter(self._strangers.values())))
            self._make_room()
            entry = self._entries[address] = self._strangers[address] = Entry(address, now)
        if len(entry.pending) >= PENDING_MAX:
            self._pending_bytes -= _size(entry.pending.pop(0))
            self.dropped += 1
        entry.pending.append(frame)
        self._pending_bytes += _size(frame)
        if not entry.next_probe:
            self._ask(now, entry)
        while self._pending_bytes > PENDING_BYTES_MAX and len(self._strangers) > 1:
            self._forget(next(iter(self._strangers.values())))

    def confirmed(self, now: int, address: bytes, mac: bytes, *, asked: bool) -> list[Outgoing]:
        """A neighbour said its address; return the frames that waited. `asked`: it spoke to us, not to everybody."""
        entry = self._entries.get(address)
        if entry is None:
            if not asked:
                return []
            self._make_room()
            entry = self._entries[address] = Entry(address, now)
        if entry.mac is None:
            entry.mac = mac
            self._strangers.pop(address, None)
        elif entry.mac != mac:
            self._contradicted(now, entry)
            return []
        entry.confirmed_at = now
        entry.probes = entry.next_probe = 0
        entry.challenged = False
        self._asked.pop(address, None)
        waiting, entry.pending = entry.pending, []
        for frame in waiting:
            self._pending_bytes -= _size(frame)
        return [frame._replace(header=mac + frame.header[6:]) for frame in waiting]

    def announced(self, now: int, address: bytes, mac: bytes) -> None:
        """Somebody says unasked that the neighbour has this Ethernet address: ask, if we know another one."""
        entry = self._entries.get(address)
        if entry is not None and entry.mac is not None and entry.mac != mac:
            self._contradicted(now, entry)

    def known(self, address: bytes) -> bytes | None:
        """Return the neighbour's Ethernet address if it is known, not as one who uses it."""
        entry = self._entries.get(address)
        return entry.mac if entry is not None else None

    def _contradicted(self, now: int, entry: Entry) -> None:
        self.contradictions += 1
        entry.challenged = True
        # Not more often than that: else each frame of a flood would have us ask, and the owner answer.
        if not entry.next_probe and now - entry.challenged_at >= RETRANS_TIMER:
            entry.challenged_at = now
            self._ask(now, entry)

    def _ask(self, now: int, entry: Entry) -> None:
        entry.probes += 1
        entry.next_probe = now + RETRANS_TIMER
        self._asked.pop(entry.address, None)
        self._asked[entry.address] = entry
        self._questions.append(Solicitation(entry.address, entry.mac))

    def poll(self, now: int) -> list[Solicitation]:
        """Return the questions to put on the link now."""
        while self._asked:
            entry = next(iter(self._asked.values()))
            if entry.next_probe > now:
                break
            if entry.challenged and entry.mac is not None:
                # Who we know is silent, and another one speaks: who answers first now is believed.
                entry.mac, entry.challenged, entry.probes = None, False, 0
                if len(self._strangers) >= STRANGERS_MAX:
                    self._forget(next(iter(self._strangers.values())))
                self._strangers[entry.address] = entry
            if entry.probes < PROBES_MAX:
                self._ask(now, entry)
                continue
            self.failed.append(entry.address)
            self._forget(entry)
        questions, self._questions = self._questions, []
        return questions

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        if self._questions:
            return 0
        for entry in self._asked.values():
            return entry.next_probe
        return None

    def _make_room(self) -> None:
        """Let one entry go when there are too many."""
        if len(self._entries) < ENTRIES_MAX:
            return
        if self._strangers:
            self._forget(next(iter(self._strangers.values())))
            return
        for _ in range(CHANCES_MAX):
            entry = next(iter(self._entries.values()))
            if not entry.used:
                break
            entry.used = False
            del self._entries[entry.address]
            self._entries[entry.address] = entry  # behind all others, until it is its turn again
        self._forget(next(iter(self._entries.values())))

    def _forget(self, entry: Entry) -> None:
        address = entry.address
        del self._entries[address]
        self._strangers.pop(address, None)
        self._asked.pop(address, None)
        self.dropped += len(entry.pending)
        for frame in entry.pending:
            self._pending_bytes -= _size(frame)


def _size(frame: Outgoing) -> int:
    return len(frame.header) + len(frame.payload)
