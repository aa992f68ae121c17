"""One question to recursive servers, until it is answered or nobody is left to ask (RFC 1035, 5452, 6891, 2308).

Hardened as RFC 5452 asks for: an identifier and a source port of its own for each try (the port is the user's to
draw), the name's letters in random case (draft-vixie-dnsext-dns0x20), an answer only from the server that was asked and
to what was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sarab.wire import dns
from sarab.wire.errors import Malformed

SECOND = 1_000_000_000
TRY_TIMEOUT = 2 * SECOND
"""Half a second is a slow answer; glibc waits five."""
ROUNDS = 3
"""How often each server is asked."""
CNAMES_MAX = 16
ADDRESSES_MAX = 64
TTL_MAX = 86400
"""Seconds that an answer may be kept, whatever it says (RFC 8767 section 4 suggests a week or less)."""
NEGATIVE_TTL_MAX = 900
NEGATIVE_TTL_DEFAULT = 30


class Answer(NamedTuple):
    """What became of it."""

    addresses: tuple[bytes, ...]
    exists: bool
    """False: the name does not exist (NXDOMAIN). With no addresses and True: not of this type."""
    failed: bool
    """Nobody could say."""
    ttl: int
    """Seconds for which this holds."""


class Question:
    """The machine. poll() gives what to send, and to whom; receive() takes what came."""

    def __init__(
        self, now: int, name: dns.Name, kind: int, servers: tuple[bytes, ...], random: Callable[[int], bytes]
    ) -> None:
        self.name, self.kind = dns.lower(name), kind
        self.answer: Answer | None = None
        self.wants_tcp = False
        """The answer does not fit: ask the same server again over TCP."""
        self.server = b""
        """Who was asked last."""
        self._servers, self._random = servers, random
        self._try = 0
        self._edns = True
        self._due = now
        self._id = 0
        self._sent = b""
        self._shown: dns.Name = ()
        self.dropped = 0
        """Datagrams that were no answer to this."""

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        return None if self.answer is not None else self._due

    def poll(self, now: int) -> bytes | None:
        """Return a datagram for `server`, or None. Each is to leave from a port of its own."""
        if self.answer is not None or now < self._due:
            return None
        if self._try >= ROUNDS * len(self._servers):
            self.answer = Answer((), True, True, 0)
            return None
        self.server = self._servers[self._try % len(self._servers)]
        self._try += 1
        self._due = now + TRY_TIMEOUT
        self.wants_tcp = False
        return self._ask()

    def _ask(self) -> bytes:
        self._id = int.from_bytes(self._random(2), "big")
        self._shown = tuple(self._mix(label) for label in self.name)
        self._sent = dns.query(self._id, self._shown, self.kind, edns=self._edns)
        return self._sent

    def _mix(self, label: bytes) -> bytes:
        coins = self._random(len(label))
        return bytes(c - 32 if 97 <= c <= 122 and coin & 1 else c for c, coin in zip(label, coins, strict=True))

    def tcp_query(self) -> bytes:
        """Return the question as it goes over TCP: with its length before it (RFC 1035 section 4.2.2)."""
        return len(self._sent).to_bytes(2, "big") + self._sent

    def receive(self, now: int, server: bytes, data: bytes) -> None:
        """Take what `server` sent, by either transport."""
        if self.answer is not None:
            return
        try:
            message = dns.parse(data)
        except Malformed:
            self.dropped += 1
            return
        asked = (dns.Question(self._shown, self.kind),)
        if server != self.server or message.id != self._id or not message.flags & dns.QR:
            self.dropped += 1
            return
        if message.rcode in (dns.FORMAT_ERROR, dns.NOT_IMPLEMENTED) and self._edns:
            self._edns = False  # a server of before EDNS (RFC 6891 section 7)
            self._try -= 1
            self._due = now
            return
        if message.questions != asked:
            self.dropped += 1
            return
        if message.flags & dns.TC:
            self.wants_tcp = True
            return
        if message.rcode not in (dns.NO_ERROR, dns.NAME_ERROR):
            self._due = now  # the next one
            return
        self.answer = self._read(message)

    def failed(self, now: int) -> None:
        """The server cannot be reached, or hung up: ask the next one."""
        if self.answer is None:
            self._due = now

    def _read(self, message: dns.Message) -> Answer:
        wanted, ttl = self.name, TTL_MAX
        for _ in range(CNAMES_MAX):
            addresses, alias = [], None
            for record in message.answers:
                if record.cls != dns.IN or dns.lower(record.name) != wanted:
                    continue
                if record.type == self.kind:
                    addresses.append(record.data)
                    ttl = min(ttl, record.ttl)
                elif record.type == dns.CNAME and record.target is not None and alias is None:
                    alias = dns.lower(record.target)
                    ttl = min(ttl, record.ttl)
            if addresses:
                return Answer(tuple(addresses[:ADDRESSES_MAX]), True, False, ttl)
            if alias is None:
                break
            wanted = alias
        negative = NEGATIVE_TTL_DEFAULT
        for record in message.authorities:
            if record.type == dns.SOA:  # RFC 2308 section 5: its last field
                negative = min(record.ttl, int.from_bytes(record.data[-4:], "big"), NEGATIVE_TTL_MAX)
        return Answer((), message.rcode != dns.NAME_ERROR, False, negative)
