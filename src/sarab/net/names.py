"""Names to addresses: lookups as endpoints of the stack, over its own UDP and TCP, with a cache for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sarab.net.endpoints import Datagrams, Endpoint, Flow
from sarab.net.errors import NameNotFound, NetworkError, NoAnswer
from sarab.proto.dns.question import Answer, Question
from sarab.proto.tcp.values import Event
from sarab.wire import dns

if TYPE_CHECKING:
    from sarab.net.stack import Stack

SECOND = 1_000_000_000
PORT = 53
CACHE_MAX = 1024
LOOKUPS_MAX = 512
"""Lookups under way: each has a port or two."""
REPLY_MAX = 65535
KINDS = {4: (dns.A,), 6: (dns.AAAA,), 0: (dns.A, dns.AAAA)}


class Asked:
    """A question, and the port or connection over which it is asked now."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.port: Datagrams | None = None
        self.flow: Flow | None = None
        self.reply = bytearray()

    def release(self, now: int) -> None:
        """Give back port and connection."""
        if self.port is not None:
            self.port.close(now)
            self.port = None
        if self.flow is not None:
            self.flow.abort(now)
            self.flow = None
        self.reply.clear()


class Lookup(Endpoint):
    """The addresses of a name, when they come. READABLE says that `addresses` or `error` is there."""

    def __init__(self, stack: Stack, names: Names, name: dns.Name, text: str) -> None:
        super().__init__(stack)
        self.addresses: tuple[bytes, ...] = ()
        self.error: NetworkError | None = None
        self.name, self.text = name, text
        self.asked: list[Asked] = []
        self.answers: list[Answer] = []
        self._names = names

    @property
    def done(self) -> bool:
        """Whether it has come to an end."""
        return bool(self.addresses) or self.error is not None

    def close(self, now: int) -> None:
        """Nobody waits for it any more."""
        self.closed = True
        self.owner = None
        self._names.forget(now, self)


class Names:
    """Every lookup of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.servers: tuple[bytes, ...] = ()
        self._lookups: dict[Lookup, None] = {}
        self._cache: dict[tuple[dns.Name, int], tuple[int, Answer]] = {}
        self.asked = self.cached = self.failed = 0
        self.dropped = 0
        """Datagrams and replies to a port of ours that were no answer to what was asked."""

    def resolve(self, now: int, text: str, family: int) -> Lookup:
        """Return a lookup of `text`, a name in ASCII; family 4, 6, or 0 for both. It never raises: see `error`."""
        try:
            name = dns.lower(dns.name_of(text))
        except ValueError as error:
            lookup = Lookup(self._stack, self, (), text)
            return self._fail(lookup, NameNotFound(str(error)))
        lookup = Lookup(self._stack, self, name, text)
        kinds = []
        for kind in KINDS[family]:
            known = self._cache.get((name, kind))
            if known is not None and known[0] > now:
                self.cached += 1
                lookup.answers.append(known[1])
            else:
                kinds.append(kind)
        if kinds and not self.servers:
            return self._fail(lookup, NoAnswer(f"'{text}' cannot be resolved: no name server is known (--dns)"))
        if kinds and len(self._lookups) >= LOOKUPS_MAX:
            return self._fail(lookup, NoAnswer(f"'{text}' is not resolved: too many names are being asked for"))
        for kind in kinds:
            self.asked += 1
            lookup.asked.append(Asked(Question(now, name, kind, self.servers, self._stack.random)))
        if kinds:
            self._lookups[lookup] = None
        else:
            self._finish(now, lookup)
        return lookup

    def forget(self, now: int, lookup: Lookup) -> None:
        """For Lookup.close()."""
        self._lookups.pop(lookup, None)
        for asked in lookup.asked:
            asked.release(now)

    def poll(self, now: int) -> None:
        """Ask, hear, and finish what is answered."""
        for lookup in list(self._lookups):
            for asked in list(lookup.asked):
                self._hear(now, asked)
                self._ask(now, asked)
                answer = asked.question.answer
                if answer is not None:
                    asked.release(now)
                    lookup.asked.remove(asked)
                    lookup.answers.append(answer)
                    if not answer.failed and answer.ttl:
                        self._remember(now, lookup.name, asked.question.kind, answer)
            if not lookup.asked:
                del self._lookups[lookup]
                self._finish(now, lookup)

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        times = [asked.question.deadline() for lookup in self._lookups for asked in lookup.asked]
        return min((time for time in times if time is not None), default=None)

    def _ask(self, now: int, asked: Asked) -> None:
        question = asked.question
        if question.wants_tcp and asked.flow is None:
            asked.release(now)
            try:
                asked.flow = self._stack.tcp_connect(now, question.server, PORT)
                asked.flow.internal = True
                asked.flow.write(now, question.tcp_query())
            except NetworkError:
                question.wants_tcp = False
                question.failed(now)
        while (datagram := question.poll(now)) is not None:
            asked.release(now)
            try:
                asked.port = self._stack.udp_open(now, b"", 0)
                asked.port.internal = True
                asked.port.connect(question.server, PORT)
                asked.port.send_to(now, datagram, question.server, PORT)
                return
            except NetworkError:
                question.failed(now)

    def _hear(self, now: int, asked: Asked) -> None:
        question = asked.question
        port, flow = asked.port, asked.flow
        before = question.dropped
        if port is not None:
            while (datagram := port.receive_from()) is not None:
                question.receive(now, datagram[1], datagram[0])
            if port.error:
                port.error = Event.NONE
                question.failed(now)  # nobody listens there
        if flow is not None:
            asked.reply += flow.read(now, REPLY_MAX + 2 - len(asked.reply))
            length = int.from_bytes(asked.reply[:2], "big")
            if len(asked.reply) >= 2 and len(asked.reply) >= 2 + length:
                reply = bytes(asked.reply[2 : 2 + length])
                asked.release(now)
                question.wants_tcp = False
                question.receive(now, question.server, reply)
                if question.wants_tcp:
                    question.failed(now)  # cut off even over TCP
            elif flow.eof or flow.error or (not flow.established and flow.machine.error):
                asked.release(now)
                question.wants_tcp = False
                question.failed(now)
        self.dropped += question.dropped - before

    def _remember(self, now: int, name: dns.Name, kind: int, answer: Answer) -> None:
        if len(self._cache) >= CACHE_MAX:
            self._cache.pop(next(iter(self._cache)))
        self._cache[(name, kind)] = (now + answer.ttl * SECOND, answer)

    def _finish(self, now: int, lookup: Lookup) -> None:
        found = [address for answer in lookup.answers for address in answer.addresses]
        if found:
            # RFC 6724 section 6 rule 1: what no address of ours leads to comes last.
            found.sort(key=lambda address: not self._stack.reaches(address))
            lookup.addresses = tuple(found)
            self._stack.ready(lookup, Event.READABLE)
        elif any(answer.failed for answer in lookup.answers):
            self._fail(lookup, NoAnswer(f"'{lookup.text}' cannot be resolved: no name server answers"))
        elif any(answer.exists for answer in lookup.answers):
            self._fail(lookup, NameNotFound(f"'{lookup.text}' has no address of this family"))
        else:
            self._fail(lookup, NameNotFound(f"'{lookup.text}' does not exist"))

    def _fail(self, lookup: Lookup, error: NetworkError) -> Lookup:
        self.failed += 1
        lookup.error = error
        self._stack.ready(lookup, Event.READABLE)
        return lookup
