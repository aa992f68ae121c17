"""One question to recursive servers, until it is answered or nobody is left to ask (RFC 1035, 5452, 6891, 2308).

Hardened as RFC 5452 asks for: an identifier and a source port of its own for each try (the port is the user's to
draw), the name's letters in random case (draft-vixie-dnsext-dns0x20), an answer only from the server that was asked and
to what was asked.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from sarab.wire import dns
from sarab.wire.errors import Malformed

SECOND = 1_000_000_000
TRY_TIMEOUT = 2 * SECOND
"""Half a second is a slow answer; glibc waits five."""
ROUNDS = 3
"""How often each server is asked."""
PLAIN_ROUND = 2
"""From this round on a name goes in lower case: some servers give it back so, whatever they were asked."""
CNAMES_MAX = 16
"""Aliases behind each other, in one answer or in several."""
ADDRESSES_MAX = 64
TTL_MAX = 86400
"""Seconds that an answer may be kept, whatever it says (RFC 8767 section 4 suggests a week or less)."""
NEGATIVE_TTL_MAX = 900
NEGATIVE_TTL_DEFAULT = 30


class Outcome(Enum):
    """What became of a question."""

    FOUND = "found"
    NO_DATA = "no data"
    """The name exists, and has nothing of this type."""
    NO_NAME = "no name"
    """The name does not exist (NXDOMAIN)."""
    SERVER_FAILURE = "server failure"
    """Whoever answered could not, or would not, say."""
    TIMED_OUT = "timed out"
    """Nobody answered."""
    NO_SERVER = "no server"
    """Nobody is known who could be asked."""
    TOO_MANY = "too many"
    """So many questions are under way that this one was not asked."""


CONCLUSIVE = frozenset((Outcome.FOUND, Outcome.NO_DATA, Outcome.NO_NAME))
"""Somebody said so."""


class Answer(NamedTuple):
    """What became of it."""

    data: tuple[bytes, ...]
    """The data of the records, of A and AAAA the addresses; how to read other types: `wire/dns_records.py`."""
    outcome: Outcome
    ttl: int
    """Seconds for which this holds."""
    canonical: dns.Name = ()
    """The name at the end of the aliases, in lower case."""

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The data, when addresses were asked for."""
        return self.data

    @property
    def exists(self) -> bool:
        """False: the name does not exist (NXDOMAIN)."""
        return self.outcome is not Outcome.NO_NAME

    @property
    def failed(self) -> bool:
        """Nobody could say."""
        return self.outcome not in CONCLUSIVE


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
        self._asking = self.name
        """The name itself, or an alias of it that the servers did not follow."""
        self._aliases = 0
        self._ttl = TTL_MAX
        """Of the aliases that were followed."""
        self._try = 0
        self._edns = True
        self._due = now
        self._id = 0
        self._sent = b""
        self._shown: dns.Name = ()
        self._heard = False
        """Somebody answered, if only that it cannot."""
        self.dropped = 0
        """Datagrams that were no answer to this."""

    @property
    def id(self) -> int:
        """The identifier of the last try."""
        return self._id

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        return None if self.answer is not None else self._due

    def poll(self, now: int) -> bytes | None:
        """Return a datagram for `server`, or None. Each is to leave from a port of its own."""
        if self.answer is not None or now < self._due:
            return None
        if self._try >= ROUNDS * len(self._servers):
            self.answer = Answer((), Outcome.SERVER_FAILURE if self._heard else Outcome.TIMED_OUT, 0)
            return None
        rounds, index = divmod(self._try, len(self._servers))
        self.server = self._servers[index]
        self._try += 1
        self._due = now + TRY_TIMEOUT
        self.wants_tcp = False
        self._id = int.from_bytes(self._random(2), "big")
        self._shown = self._asking if rounds >= PLAIN_ROUND else tuple(self._mix(label) for label in self._asking)
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
        if server != self.server or data[:2] != self._id.to_bytes(2, "big"):
            self.dropped += 1  # before its names are read, which costs most: who guesses must not have that too
            return
        try:
            message = dns.parse(data)
        except Malformed:
            self.dropped += 1
            return
        asked = (dns.Question(self._shown, self.kind),)
        if not message.flags & dns.QR:
            self.dropped += 1
            return
        not_understood = message.rcode in (dns.FORMAT_ERROR, dns.NOT_IMPLEMENTED)
        if message.questions != asked and (message.questions or not not_understood):
            self.dropped += 1  # who did not understand a question may leave it out
            return
        self._heard = True
        if not_understood and self._edns:
            self._edns = False  # a server of before EDNS (RFC 6891 section 7)
            self._try -= 1
            self._due = now
        elif message.flags & dns.TC:
            self.wants_tcp = True
        elif message.rcode not in (dns.NO_ERROR, dns.NAME_ERROR):
            self._due = now  # the next one
        else:
            self._read(now, message)

    def failed(self, now: int) -> None:
        """The server cannot be reached, or hung up: ask the next one."""
        if self.answer is None:
            self._due = now

    def _read(self, now: int, message: dns.Message) -> None:
        """Follow the aliases in an answer to what was asked for (RFC 1034 section 5.2.2)."""
        wanted, ttl = self._asking, self._ttl
        found: list[bytes] = []
        while True:
            alias: dns.Name | None = None
            for record in message.answers:
                if record.cls != dns.IN or dns.lower(record.name) != wanted:
                    continue
                if record.type == self.kind:
                    if len(found) < ADDRESSES_MAX:
                        found.append(record.data)
                    ttl = min(ttl, record.ttl)
                elif record.type == dns.CNAME and record.target is not None and alias is None:
                    alias, alias_ttl = dns.lower(record.target), record.ttl
            if found:
                self.answer = Answer(tuple(found), Outcome.FOUND, ttl, wanted)
                return
            if alias is None:
                break
            self._aliases += 1
            ttl = min(ttl, alias_ttl)
            if self._aliases > CNAMES_MAX:
                self.answer = Answer((), Outcome.NO_DATA, min(ttl, NEGATIVE_TTL_DEFAULT), self.name)
                return
            wanted = alias
        negative: int | None = None
        for record in message.authorities:
            if record.type == dns.SOA:  # RFC 2308 section 5: its last field
                negative = min(record.ttl, int.from_bytes(record.data[-4:], "big"), NEGATIVE_TTL_MAX)
        if message.rcode == dns.NO_ERROR and wanted != self._asking and negative is None:
            self._asking, self._ttl, self._due, self._try = wanted, ttl, now, 0  # the server left the rest to us
            return
        outcome = Outcome.NO_NAME if message.rcode == dns.NAME_ERROR else Outcome.NO_DATA
        self.answer = Answer((), outcome, min(ttl, NEGATIVE_TTL_DEFAULT if negative is None else negative), wanted)
