"""A stub resolver: names in, answers out, questions to recursive servers over UDP and TCP (RFC 1034 section 5.3.1).

    resolver = Resolver(random, servers, search=("example.com",))
    lookup = resolver.lookup_addresses(now, "web")
    for query in resolver.poll(now): ...         # send query.data to query.server, port 53, from a port of its own
    resolver.receive(now, number, data, server, port)  # a datagram that came to the port of query `number`
    resolver.feed_tcp(now, number, data)         # bytes of its connection, when it has query.tcp; b"": the end of it
    resolver.failed(now, number)                 # the server cannot be reached so
    for number in resolver.take_closed(): ...    # that port or connection is needed no more
    for lookup in resolver.take_ready(): ...     # lookup.outcome is there, or more of lookup.addresses

Who asks for what is asked for already waits with the others.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sarab.proto.dns.cache import SIZE, Cache
from sarab.proto.dns.known import Hosts, known
from sarab.proto.dns.order import sort_destinations
from sarab.proto.dns.question import Answer, Outcome, Question
from sarab.wire import dns

PORT = 53
SERVERS_MAX = 3
"""More only make a failure take longer; the C library has asked three since 1987."""
SEARCH_MAX = 8
"""Each domain may cost a question a name."""
CLOSED_MAX = 4096
"""Numbers that nobody took."""
PORT_FIRST, PORT_LAST = 1024, 65535
"""From where a port is drawn: as much as there is, and none of a service (RFC 5452 section 9.2)."""
FAMILIES = {4: dns.A, 6: dns.AAAA}

SourceOf = Callable[[bytes], bytes | None]


class Settings(NamedTuple):
    """What a user may choose."""

    ndots: int = 1
    """A name with fewer dots is looked for in the search domains first, any other as it is first."""
    cache_size: int = SIZE
    questions_max: int = 512
    """Under way at once: each has a port of its own, of 64,512."""


class Query(NamedTuple):
    """What is to be sent: a datagram, or, with `tcp`, the bytes to write to a new connection."""

    number: int
    """Of this try, for what comes back."""
    server: bytes
    data: bytes
    port: int
    """From which to send it, if that port is free; another one drawn at random will do."""
    tcp: bool


class Lookup:
    """What a user asked for. Its `outcome` is None as long as it is under way."""

    def __init__(self, text: str, kinds: tuple[int, ...], source_of: SourceOf | None = None) -> None:
        self.text, self.kinds = text, kinds
        self.outcome: Outcome | None = None
        self.name: dns.Name = ()
        """The name that is asked for, or was found: `text`, or `text` in a search domain."""
        self.answers: dict[int, Answer] = {}
        """By type, as they come."""
        self._source_of = source_of
        self.candidates: list[dns.Name] = []
        """Names still to try."""
        self.no_data = False
        """One of the names tried exists."""

    @property
    def data(self) -> tuple[bytes, ...]:
        """The data of all records that have been found."""
        return tuple(one for kind in self.kinds if kind in self.answers for one in self.answers[kind].data)

    @property
    def addresses(self) -> tuple[bytes, ...]:
        """The addresses that have been found, the best first (RFC 6724)."""
        return self.data if self._source_of is None else tuple(sort_destinations(self.data, self._source_of))

    @property
    def canonical(self) -> dns.Name:
        """The name at the end of the aliases."""
        return next((answer.canonical for answer in self.answers.values() if answer.canonical), self.name)


class Exchange:
    """A question under way, and who waits for it."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.waiting: dict[Lookup, None] = {}
        self.number = 0
        """Of the try under way, 0: none."""
        self.tcp = False
        self.reply = bytearray()


class Resolver:
    """The machine."""

    def __init__(
        self,
        random: Callable[[int], bytes],
        servers: Sequence[bytes] = (),
        search: Sequence[str] = (),
        settings: Settings | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        """Servers and domains beyond SERVERS_MAX and SEARCH_MAX are left out, and domains that are none."""
        self._random = random
        self._settings = settings or Settings()
        self._hosts: Hosts = hosts or {}
        self._cache = Cache(self._settings.cache_size)
        self._exchanges: dict[tuple[dns.Name, int], Exchange] = {}
        self._open: dict[int, Exchange] = {}
        self._ready: dict[Lookup, None] = {}
        self._closed: list[int] = []
        self._numbers = 0
        self._counts = dict.fromkeys(("lookups", "queries", "tcp", "joined", "failed", "dropped"), 0)
        self._servers: tuple[bytes, ...] = ()
        self._search: tuple[dns.Name, ...] = ()
        self.configure(servers, search)

    def configure(self, servers: Sequence[bytes], search: Sequence[str] = ()) -> None:
        """Take other servers and domains, for questions from now on; what other servers said is forgotten."""
        chosen = tuple(dict.fromkeys(servers))[:SERVERS_MAX]
        if chosen != self._servers:
            self._cache.clear()
        self._servers = chosen
        domains = []
        for text in search:
            try:
                domains.append(dns.lower(dns.name_of(text)))
            except ValueError:
                continue
        self._search = tuple(domains[:SEARCH_MAX])

    def statistics(self) -> dict[str, int]:
        """Return the counters."""
        cache = self._cache
        return self._counts | {"cache_hits": cache.hits, "cache_misses": cache.misses, "cache_evicted": cache.evicted}

    def take_ready(self) -> list[Lookup]:
        """Return the lookups that have come to an end, or, of two types, have one answer, since the last call."""
        ready, self._ready = list(self._ready), {}
        return ready

    def take_closed(self) -> list[int]:
        """Return the numbers of queries whose port or connection is needed no more."""
        closed, self._closed = self._closed, []
        return closed

    # Lookups

    def lookup(self, now: int, text: str, kind: int) -> Lookup:
        """Begin to look for the records of a type, and return the lookup, whose `outcome` may be there at once."""
        return self._begin(now, Lookup(text, (kind,)))

    def lookup_addresses(
        self, now: int, text: str, families: Sequence[int] = (6, 4), source_of: SourceOf | None = None
    ) -> Lookup:
        """Begin to look for the addresses of families 4 and 6, both at once.

        `source_of` says from which of our addresses one is reached, for their order; without it they come by family.
        """
        return self._begin(now, Lookup(text, tuple(FAMILIES[one] for one in dict.fromkeys(families)), source_of))

    def cancel(self, now: int, lookup: Lookup) -> None:
        """Nobody waits for the lookup any more."""
        self._ready.pop(lookup, None)
        for kind in lookup.kinds:
            exchange = self._exchanges.get((lookup.name, kind))
            if exchange is not None and lookup in exchange.waiting:
                del exchange.waiting[lookup]
                if not exchange.waiting:
                    self._end(exchange)

    def _begin(self, now: int, lookup: Lookup) -> Lookup:
        self._counts["lookups"] += 1
        for kind in lookup.kinds:
            answer = known(lookup.text, kind, self._hosts) if lookup.text.isascii() else None
            if answer is not None:
                lookup.answers[kind] = answer
        if len(lookup.answers) == len(lookup.kinds):
            lookup.candidates = []
            self._judge(lookup)
        else:
            lookup.candidates = self._candidates(lookup.text)
            self._next(now, lookup)
        return lookup

    def _candidates(self, text: str) -> list[dns.Name]:
        """Return the names to try, in order; none when `text` is no name."""
        try:
            name = dns.lower(dns.name_of(text))
        except ValueError:
            return []
        if text.endswith(".") or not self._search or not name:
            return [name]
        longer = [name + domain for domain in self._search if len(dns.emit_name(name + domain)) <= dns.NAME_SIZE_MAX]
        return [name, *longer] if len(name) > self._settings.ndots else [*longer, name]

    def _next(self, now: int, lookup: Lookup) -> None:
        """Ask for the next candidates, until one has to be waited for or there is an outcome."""
        while lookup.candidates and lookup.outcome is None:
            lookup.name, lookup.answers = lookup.candidates.pop(0), {}
            for kind in lookup.kinds:
                answer = self._ask(now, lookup, kind)
                if answer is not None:
                    lookup.answers[kind] = answer
            if len(lookup.answers) < len(lookup.kinds):
                return
            self._judge(lookup)
        if lookup.outcome is None:
            self._finish(lookup, Outcome.NO_DATA if lookup.no_data else Outcome.NO_NAME)

    def _ask(self, now: int, lookup: Lookup, kind: int) -> Answer | None:
        """Return what is known, or have the lookup wait for it."""
        key = (lookup.name, kind)
        exchange = self._exchanges.get(key)
        if exchange is None:
            answer = self._cache.get(now, *key)
            if answer is not None:
                return answer
            if not self._servers:
                return Answer((), Outcome.NO_SERVER, 0)
            if len(self._exchanges) >= self._settings.questions_max:
                return Answer((), Outcome.TOO_MANY, 0)
            exchange = Exchange(Question(now, lookup.name, kind, self._servers, self._random))
            self._exchanges[key] = exchange
        else:
            self._counts["joined"] += 1
        exchange.waiting[lookup] = None
        return None

    def _judge(self, lookup: Lookup) -> None:
        """All answers for a name are there: say what came of it, or leave the lookup to go on with the next name."""
        outcomes = [answer.outcome for answer in lookup.answers.values()]
        failures = [answer.outcome for answer in lookup.answers.values() if answer.failed]
        if Outcome.FOUND in outcomes:
            self._finish(lookup, Outcome.FOUND)
        elif failures:  # another domain's host must not stand in for one that cannot be asked for just now
            self._finish(lookup, failures[0])
        else:
            lookup.no_data = lookup.no_data or Outcome.NO_DATA in outcomes
            if not lookup.candidates:
                self._finish(lookup, Outcome.NO_DATA if lookup.no_data else Outcome.NO_NAME)

    def _finish(self, lookup: Lookup, outcome: Outcome) -> None:
        lookup.outcome = outcome
        lookup.candidates = []
        if outcome is not Outcome.FOUND:
            self._counts["failed"] += 1
        self._ready[lookup] = None

    # Questions

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        due: int | None = None
        for exchange in self._exchanges.values():
            if exchange.question.wants_tcp and not exchange.tcp:
                return 0
            at = exchange.question.deadline()
            if at is not None and (due is None or at < due):
                due = at
        return due

    def poll(self, now: int) -> list[Query]:
        """Return what is to be sent now."""
        found: list[Query] = []
        for exchange in list(self._exchanges.values()):
            question = exchange.question
            datagram = question.poll(now)
            if datagram is not None:
                found.append(self._open_query(exchange, datagram, tcp=False))
            elif question.answer is not None:
                self._answered(now, exchange)  # nobody is left to ask: a failure, after which no other name is tried
            elif question.wants_tcp and not exchange.tcp:
                found.append(self._open_query(exchange, question.tcp_query(), tcp=True))
        return found

    def _open_query(self, exchange: Exchange, data: bytes, *, tcp: bool) -> Query:
        self._close(exchange)
        self._numbers += 1
        exchange.number, exchange.tcp = self._numbers, tcp
        self._open[exchange.number] = exchange
        self._counts["tcp" if tcp else "queries"] += 1
        drawn = int.from_bytes(self._random(4), "big") * (PORT_LAST - PORT_FIRST + 1) >> 32
        return Query(exchange.number, exchange.question.server, data, PORT_FIRST + drawn, tcp)

    def receive(self, now: int, number: int, data: bytes, server: bytes, port: int) -> None:
        """Take a datagram that came to the port of a query."""
        exchange = self._open.get(number)
        if exchange is None or exchange.tcp or port != PORT:
            self._counts["dropped"] += 1
            return
        before = exchange.question.dropped
        exchange.question.receive(now, server, data)
        self._counts["dropped"] += exchange.question.dropped - before
        if exchange.question.answer is not None:
            self._answered(now, exchange)

    def feed_tcp(self, now: int, number: int, data: bytes) -> None:
        """Take what came over the connection of a query; b"" says that nothing more will."""
        exchange = self._open.get(number)
        if exchange is None or not exchange.tcp:
            return
        reply, question = exchange.reply, exchange.question
        reply += data
        size = int.from_bytes(reply[:2], "big")
        if len(reply) >= 2 and len(reply) >= 2 + size:
            message = bytes(reply[2 : 2 + size])
            self._close(exchange)
            question.wants_tcp = False
            question.receive(now, question.server, message)
            if question.answer is not None:
                self._answered(now, exchange)
                return
            question.wants_tcp = False  # cut off even so
            question.failed(now)
        elif not data:
            self.failed(now, number)

    def failed(self, now: int, number: int) -> None:
        """A query's server cannot be reached, or its connection ended early: ask the next one."""
        exchange = self._open.get(number)
        if exchange is not None:
            self._close(exchange)
            exchange.question.wants_tcp = False
            exchange.question.failed(now)

    def _answered(self, now: int, exchange: Exchange) -> None:
        question, answer = exchange.question, exchange.question.answer
        if answer is None:
            return
        self._cache.put(now, question.name, question.kind, answer)
        waiting = list(exchange.waiting)
        self._end(exchange)
        for lookup in waiting:
            lookup.answers[question.kind] = answer
            if len(lookup.answers) == len(lookup.kinds):
                self._judge(lookup)
                if lookup.outcome is None:
                    self._next(now, lookup)
            elif answer.data:
                self._ready[lookup] = None

    def _end(self, exchange: Exchange) -> None:
        self._close(exchange)
        self._exchanges.pop((exchange.question.name, exchange.question.kind), None)

    def _close(self, exchange: Exchange) -> None:
        """The try under way is over."""
        if exchange.number:
            del self._open[exchange.number]
            self._closed.append(exchange.number)
            del self._closed[:-CLOSED_MAX]
            exchange.number, exchange.tcp = 0, False
            exchange.reply.clear()
