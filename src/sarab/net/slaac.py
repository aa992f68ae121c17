"""IPv6 addresses that a host makes itself, and what routers tell it (RFC 4862, RFC 4861 section 6.3, RFC 8106).

    auto = Autoconfiguration(now, "eth0", prf, random, mtu)
    for question in auto.poll(now): ...        # NS for duplicate detection, RS
    auto.advertised(now, advertisement)        # an RA; its hop limit was 255
    auto.claimed(now, address)                 # somebody else has, or wants, an address that we try
    auto.addresses(now)                        # what may be used

An address is made of the prefix by a keyed hash and not of the MAC (RFC 7217): stable on one network, unlinkable across
networks. Sizes and lifetimes come in as on the wire (seconds, 0xffffffff for ever).
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from sarab.wire.address import ALL_ROUTERS6, ANY6, in_network, is_link_local, is_multicast, network_of, solicited_node
from sarab.wire.ndp import Prefix

K = TypeVar("K")
SECOND = 1_000_000_000
LINK_LOCAL_PREFIX = b"\xfe\x80" + bytes(14)
RETRANS_TIMER = 1 * SECOND
"""RFC 4861 section 10; also how long a probe for a duplicate waits (DupAddrDetectTransmits is 1)."""
DAD_DELAY_MAX = 1 * SECOND
"""Before probing an address that a multicast RA caused, so that hosts do not speak at once (RFC 4862 section 5.4.2)."""
IDGEN_RETRIES = 3
"""Addresses tried one after the other when they are taken (RFC 7217 section 7)."""
RS_FIRST = 4 * SECOND
RS_MAX = 3600 * SECOND
"""RFC 7559 section 2: until a router answers, ask at doubling intervals."""
INFINITE = 0xFFFFFFFF
TWO_HOURS = 7200 * SECOND
"""An unauthenticated RA cannot shorten a life to less (RFC 4862 section 5.5.3 e)."""
MTU_MIN = 1280
ROUTERS_MAX = 8
PREFIXES_MAX = 16
ADDRESSES_MAX = 16
"""An RA flood fills these and no more; RFC 6104 section 2 tells of such floods."""
DNS_MAX = 8

FOREVER = 1 << 62
"""A moment that never comes."""


class Advertisement(NamedTuple):
    """What a router advertisement says."""

    source: bytes
    lifetime: int
    """Seconds that it is a default router; 0: it is none."""
    prefixes: tuple[Prefix, ...] = ()
    mtu: int | None = None
    dns: tuple[tuple[bytes, int], ...] = ()
    """(server, lifetime)"""


class Probe(NamedTuple):
    """A question to put on the link: a neighbour solicitation for `target`, or, without one, a router solicitation."""

    source: bytes
    destination: bytes
    target: bytes | None


class _Own:
    """An address of ours."""

    __slots__ = ("address", "checked_at", "counter", "length", "preferred_until", "prefix", "probe_at", "valid_until")

    def __init__(self, address: bytes, prefix: bytes, counter: int, probe_at: int) -> None:
        self.address, self.prefix, self.length, self.counter = address, prefix, 64, counter
        self.probe_at = probe_at
        """When to ask whether somebody has it; FOREVER: that was done."""
        self.checked_at = FOREVER
        """When it becomes ours, if nobody answers; FOREVER: it is ours, or was not asked for yet."""
        self.preferred_until = self.valid_until = FOREVER

    @property
    def tentative(self) -> bool:
        return self.probe_at < FOREVER or self.checked_at < FOREVER


class Autoconfiguration:
    """The machine of one interface."""

    def __init__(
        self, now: int, name: str, prf: Callable[[bytes], bytes], random: Callable[[int], bytes], mtu: int
    ) -> None:
        """`prf` is a keyed hash of 8 bytes or more, whose key lasts as long as addresses shall stay the same."""
        self._name, self._prf, self._random = name, prf, random
        self._link_mtu = self.mtu = mtu
        self.generation = 0
        """Changes whenever addresses, routers, prefixes or DNS servers do: who keeps a copy compares."""
        self.duplicates = self.dropped = 0
        self._own: list[_Own] = []
        self._routers: dict[bytes, int] = {}
        self._on_link: dict[tuple[bytes, int], int] = {}
        self._dns: dict[bytes, int] = {}
        self._rs_at, self._rs_interval = now, RS_FIRST
        self._make(LINK_LOCAL_PREFIX, 0, now)  # without the random delay: a boot has no second to spare

    def addresses(self, now: int) -> list[tuple[bytes, int]]:
        """Return (address, prefix length) of what may be used, preferred ones first (RFC 6724 rule 3)."""
        usable = [own for own in self._own if not own.tentative and own.valid_until > now]
        usable.sort(key=lambda own: own.preferred_until <= now)
        return [(own.address, own.length) for own in usable]

    def tentative(self) -> list[bytes]:
        """Return the addresses that are being tried: their solicited-node groups are to be joined."""
        return [own.address for own in self._own if own.tentative]

    def deprecated(self, now: int) -> list[bytes]:
        """Return the addresses that new connections had better not use."""
        return [own.address for own in self._own if not own.tentative and own.preferred_until <= now]

    def manual(self, now: int, addresses: list[tuple[bytes, int]]) -> None:
        """Try these (address, prefix length), which somebody set, as our own, and no others that were set before."""
        wanted = dict(addresses)
        kept = [own for own in self._own if own.prefix or own.address in wanted]
        self.generation += len(kept) != len(self._own)
        self._own = kept
        known = {own.address for own in kept}
        for address, length in wanted.items():
            if address not in known:
                own = _Own(address, b"", IDGEN_RETRIES, now)  # taken, it is not replaced by another
                own.length = length
                self._own.append(own)

    def on_link_prefixes(self, now: int) -> list[tuple[bytes, int]]:
        """Return (prefix, length) of what is reached without a router, fe80::/10 not said."""
        return [prefix for prefix, until in self._on_link.items() if until > now]

    def routers(self, now: int) -> list[bytes]:
        """Return the default routers."""
        return [router for router, until in self._routers.items() if until > now]

    def on_link(self, now: int, address: bytes) -> bool:
        """Say whether `address` is reached without a router. An address alone says nothing of that (RFC 5942)."""
        if is_link_local(address):
            return True
        return any(until > now and in_network(address, *prefix) for prefix, until in self._on_link.items())

    def dns(self, now: int) -> list[bytes]:
        """Return the DNS servers that routers have named."""
        return [server for server, until in self._dns.items() if until > now]

    def advertised(self, now: int, advertisement: Advertisement) -> None:
        """A router spoke. The caller has checked the hop limit of 255, and that the message is well formed."""
        source = advertisement.source
        if not is_link_local(source):  # RFC 4861 section 6.1.2
            self.dropped += 1
            return
        self._keep(self._routers, source, _until(now, advertisement.lifetime), now, ROUTERS_MAX)
        if advertisement.lifetime:
            self._rs_at = FOREVER  # RFC 7559 section 2: a router with a lifetime ends the questions
        if advertisement.mtu is not None and MTU_MIN <= advertisement.mtu <= self._link_mtu:
            self.mtu = advertisement.mtu
        for prefix in advertisement.prefixes:
            self._take_prefix(now, prefix)
        for server, lifetime in advertisement.dns:
            if not is_multicast(server) and any(server):
                self._keep(self._dns, server, _until(now, lifetime), now, DNS_MAX)

    def _take_prefix(self, now: int, option: Prefix) -> None:
        """RFC 4861 section 6.3.4 and RFC 4862 section 5.5.3."""
        prefix = network_of(option.prefix, option.length)
        if is_link_local(prefix) or is_multicast(prefix):
            return
        if option.on_link:
            until = _until(now, option.valid)
            table = self._on_link
            key = (prefix, option.length)
            if until <= now:
                self.generation += table.pop(key, None) is not None
            elif key in table or self._room(now, table, PREFIXES_MAX):
                self.generation += key not in table
                table[key] = until
        if not option.autonomous or option.preferred > option.valid or option.length != 64:
            return
        own = next((own for own in self._own if own.prefix == prefix), None)
        if own is None:
            if not option.valid:
                return
            if len(self._own) >= ADDRESSES_MAX:
                self.dropped += 1
                return
            delay = int.from_bytes(self._random(4), "big") * DAD_DELAY_MAX >> 32
            own = self._make(prefix, 0, now + delay)
            own.valid_until = _until(now, option.valid)
        else:
            until = _until(now, option.valid)
            if until > now + TWO_HOURS or until > own.valid_until:
                own.valid_until = until
            elif own.valid_until > now + TWO_HOURS:
                own.valid_until = now + TWO_HOURS
        deprecated = own.preferred_until <= now
        own.preferred_until = min(_until(now, option.preferred), own.valid_until)
        self.generation += deprecated != (own.preferred_until <= now)

    def claimed(self, now: int, address: bytes) -> bool:
        """An NA for `address` came, or another host's NS that tries it (from ::). True: we tried it, and it is lost.

        An address that is ours already is defended by the stack and not given up: else a forger takes it away.
        """
        for own in self._own:
            if own.address == address and own.tentative:
                self.duplicates += 1
                self._own.remove(own)
                if own.counter < IDGEN_RETRIES:
                    again = self._make(own.prefix, own.counter + 1, now)
                    again.valid_until, again.preferred_until = own.valid_until, own.preferred_until
                return True
        return False

    def poll(self, now: int) -> list[Probe]:
        """Return what is to be asked now, and let everything that is too old go."""
        out: list[Probe] = []
        for own in self._own:
            if own.probe_at <= now:
                own.probe_at, own.checked_at = FOREVER, now + RETRANS_TIMER
                out.append(Probe(ANY6, solicited_node(own.address), own.address))
            elif own.checked_at <= now:
                own.checked_at = FOREVER
                self.generation += 1
            if 0 <= own.preferred_until <= now:
                own.preferred_until = -1  # deprecated, and no deadline any more
                self.generation += 1
        kept = [own for own in self._own if own.valid_until > now]
        if len(kept) != len(self._own):
            self._own = kept
            self.generation += 1
        gone = _expire(now, self._routers) + _expire(now, self._on_link) + _expire(now, self._dns)
        self.generation += gone > 0
        if self._rs_at == FOREVER and not self._routers:
            self._rs_at, self._rs_interval = now, RS_FIRST  # the last router went: look for another
        if self._rs_at <= now:
            ours = (own.address for own in self._own if own.prefix == LINK_LOCAL_PREFIX and not own.tentative)
            local = next(ours, ANY6)
            out.append(Probe(local, ALL_ROUTERS6, None))
            # RFC 7559: each interval a random tenth longer or shorter, so that hosts do not keep in step.
            tenth = self._rs_interval // 10
            self._rs_at = now + self._rs_interval - tenth + (int.from_bytes(self._random(4), "big") * 2 * tenth >> 32)
            self._rs_interval = min(2 * self._rs_interval, RS_MAX)
        return out

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        times = [self._rs_at]
        for own in self._own:
            times += (own.probe_at, own.checked_at, own.valid_until, own.preferred_until)
        for table in (self._routers, self._on_link, self._dns):
            times += table.values()
        return min((time for time in times if 0 <= time < FOREVER), default=None)

    def _make(self, prefix: bytes, counter: int, probe_at: int) -> _Own:
        """Make an address (RFC 7217 section 5); identifiers that are reserved (RFC 5453) are passed over."""
        while True:
            name = self._name.encode()
            identifier = self._prf(prefix[:8] + bytes((len(name) & 255, counter & 255)) + name)[:8]
            if not _reserved(identifier):
                break
            counter += 1
        own = _Own(prefix[:8] + identifier, prefix, counter, probe_at)
        self._own.append(own)
        return own

    def _keep(self, table: dict[bytes, int], key: bytes, until: int, now: int, most: int) -> None:
        if until <= now:
            self.generation += table.pop(key, None) is not None
        elif key in table or self._room(now, table, most):
            self.generation += key not in table
            table[key] = until

    def _room(self, now: int, table: dict[bytes, int] | dict[tuple[bytes, int], int], most: int) -> bool:
        """Say whether one more fits. What is there stays: a flood must not push out what works."""
        if len(table) < most:
            return True
        self.dropped += 1
        return False


def _until(now: int, seconds: int) -> int:
    return FOREVER if seconds == INFINITE else now + seconds * SECOND


def _reserved(identifier: bytes) -> bool:
    """RFC 5453: the anycast addresses of subnets and of IANA's block."""
    value = int.from_bytes(identifier, "big")
    return value == 0 or identifier[:5] == b"\x02\x00\x5e\xff\xfe" or 0xFDFFFFFFFFFFFF80 <= value <= 0xFDFFFFFFFFFFFFFF


def _expire(now: int, table: dict[K, int]) -> int:
    """Let go what is too old; return how many."""
    gone = [key for key, until in table.items() if until <= now]
    for key in gone:
        del table[key]
    return len(gone)
