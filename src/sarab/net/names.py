"""Names to addresses: the resolver (proto/dns/resolver.py) over the stack's own UDP and TCP; lookups as endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sarab.net.endpoints import Datagrams, Endpoint, Flow
from sarab.net.errors import AddressInUse, NameNotFound, NetworkError, NoAnswer
from sarab.proto.tcp.values import Event

if TYPE_CHECKING:
    from sarab.net.stack import Stack
    from sarab.proto.dns import resolver
    from sarab.proto.dns.question import Outcome

PORT = 53
"""RFC 1035 section 4.2."""
REPLY_MAX = 65535 + 2
"""Bytes of a reply over TCP, with its length before it."""
FAMILIES = {4: (4,), 6: (6,), 0: (6, 4)}


class Lookup(Endpoint):
    """The addresses of a name, when they come. READABLE says that `addresses` or `error` is there."""

    def __init__(self, stack: Stack, text: str) -> None:
        super().__init__(stack)
        self.addresses: tuple[bytes, ...] = ()
        """The best first (RFC 6724)."""
        self.error: NetworkError | None = None
        self.text = text
        self.inner: resolver.Lookup | None = None

    @property
    def done(self) -> bool:
        """Whether it has come to an end."""
        return bool(self.addresses) or self.error is not None

    def close(self, now: int) -> None:
        """Nobody waits for it any more."""
        self.closed = True
        self.owner = None
        self.stack.names.forget(now, self)


class Names:
    """Every lookup of a stack. The resolver is imported and made for the first one: a server that asks for no name
    starts without it."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._made: resolver.Resolver | None = None
        self.by_hand: tuple[bytes, ...] = ()
        self._offers: dict[str, tuple[tuple[bytes, ...], tuple[str, ...]]] = {}
        self._lookups: dict[resolver.Lookup, Lookup] = {}
        self._ports: dict[int, Datagrams] = {}
        self._flows: dict[int, Flow] = {}

    @property
    def _resolver(self) -> resolver.Resolver:
        made = self._made
        if made is None:
            from sarab.proto.dns.resolver import Resolver

            made = self._made = Resolver(self._stack.random)
            self._configure()
        return made

    # ---- who is asked --------------------------------------------------------------------------------------------

    @property
    def servers(self) -> tuple[bytes, ...]:
        """Who can be asked. Who sets servers by hand wants these and no others."""
        offered = [server for servers, _ in self._offers.values() for server in servers]
        return self.by_hand or tuple(dict.fromkeys(offered))

    @servers.setter
    def servers(self, servers: tuple[bytes, ...]) -> None:
        self.by_hand = servers
        self._configure()

    def offer(self, who: str, servers: tuple[bytes, ...], search: tuple[str, ...] = ()) -> None:
        """Take the servers, and the domains to search, that DHCP or a router offers; nothing takes an offer back."""
        if self._offers.get(who, ((), ())) == (servers, search):
            return
        self._offers[who] = servers, search
        self._configure()

    def _configure(self) -> None:
        if self._made is None:
            return
        search = [domain for _, domains in self._offers.values() for domain in domains]
        self._made.configure(self.servers, list(dict.fromkeys(search)))

    def statistics(self) -> dict[str, int]:
        """Return the counters: lookups, queries sent, how many of them by TCP, answers that were known, and so on."""
        return self._resolver.statistics()

    # ---- users ---------------------------------------------------------------------------------------------------

    def resolve(self, now: int, text: str, family: int) -> Lookup:
        """Return a lookup of `text`, a name in ASCII; family 4, 6, or 0 for both. It never raises: see `error`."""
        lookup = Lookup(self._stack, text)
        lookup.inner = self._resolver.lookup_addresses(now, text, FAMILIES[family], self._source_for)
        self._lookups[lookup.inner] = lookup
        if lookup.inner.outcome is not None:
            self._tell()
        return lookup

    def forget(self, now: int, lookup: Lookup) -> None:
        """For Lookup.close()."""
        if lookup.inner is not None and self._lookups.pop(lookup.inner, None) is not None:
            self._resolver.cancel(now, lookup.inner)
            self._release(now)

    def _source_for(self, destination: bytes) -> bytes | None:
        return self._stack.source_for(destination) if self._stack.reaches(destination) else None

    # ---- time ----------------------------------------------------------------------------------------------------

    def poll(self, now: int) -> None:
        """Ask, hear, and finish what is answered."""
        if not self._lookups:
            return
        self._hear(now)
        self._release(now)
        for query in self._resolver.poll(now):
            self._send(now, query)
        self._release(now)
        self._tell()

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        return self._resolver.deadline() if self._lookups else None

    def _hear(self, now: int) -> None:
        for number, port in list(self._ports.items()):
            while (datagram := port.receive_from()) is not None:
                self._resolver.receive(now, number, *datagram)
            if port.error:
                port.error = Event.NONE
                self._resolver.failed(now, number)  # nobody listens there
        for number, flow in list(self._flows.items()):
            data = flow.read(now, REPLY_MAX)
            if data:
                self._resolver.feed_tcp(now, number, data)
            if flow.eof or flow.error or (not flow.established and flow.machine.error):
                self._resolver.feed_tcp(now, number, b"")

    def _send(self, now: int, query: resolver.Query) -> None:
        try:
            if query.tcp:
                flow = self._stack.tcp_connect(now, query.server, PORT)
                flow.internal = True
                self._flows[query.number] = flow
                flow.write(now, query.data)
                return
            port = self._open(now, query.port)
            port.internal = True
            self._ports[query.number] = port
            port.connect(query.server, PORT)
            port.send_to(now, query.data, query.server, PORT)
        except NetworkError:
            self._resolver.failed(now, query.number)

    def _open(self, now: int, number: int) -> Datagrams:
        try:
            return self._stack.udp_open(now, b"", number)
        except AddressInUse:
            return self._stack.udp_open(now, b"", 0)

    def _release(self, now: int) -> None:
        """Give back the ports and connections that are needed no more."""
        for number in self._resolver.take_closed():
            port, flow = self._ports.pop(number, None), self._flows.pop(number, None)
            if port is not None:
                port.close(now)
            if flow is not None:
                flow.abort(now)

    def _tell(self) -> None:
        """Tell those whose lookup has come to an end."""
        for inner in self._resolver.take_ready():
            lookup = self._lookups.get(inner)
            if lookup is None or inner.outcome is None:
                continue  # one family's addresses are there, the other's are still asked for
            del self._lookups[inner]
            lookup.addresses = inner.addresses
            if not lookup.addresses:
                lookup.error = _error(lookup.text, inner.outcome)
            self._stack.ready(lookup, Event.READABLE)


def _error(text: str, outcome: Outcome) -> NetworkError:
    from sarab.proto.dns.question import Outcome

    if outcome is Outcome.NO_NAME:
        return NameNotFound(f"'{text}' does not exist")
    if outcome is Outcome.NO_DATA:
        return NameNotFound(f"'{text}' has no address of this family")
    if outcome is Outcome.NO_SERVER:
        return NoAnswer(f"'{text}' cannot be resolved: no name server is known (--dns)")
    if outcome is Outcome.TOO_MANY:
        return NoAnswer(f"'{text}' is not resolved: too many names are being asked for")
    if outcome is Outcome.SERVER_FAILURE:
        return NoAnswer(f"'{text}' cannot be resolved: the name servers could not, or would not, say")
    return NoAnswer(f"'{text}' cannot be resolved: no name server answers")
