"""A card as the stack knows it: addresses, neighbours, the frames that wait to leave."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from sarab.device.network import Offload, Outgoing
from sarab.net.neighbours import Neighbours
from sarab.net.slaac import Autoconfiguration
from sarab.wire.address import ANY4, BROADCAST4, broadcast_of, in_network, is_link_local

if TYPE_CHECKING:
    from sarab.net.leases import Leases

OUTGOING_MAX = 4096
"""Frames that wait for the card; what comes on top is dropped, as a full ring drops."""


class Configuration(NamedTuple):
    """How an interface gets its addresses. Addresses are bytes."""

    addresses: tuple[tuple[bytes, int], ...] = ()
    """(address, prefix length)"""
    gateways: tuple[bytes, ...] = ()
    dns: tuple[bytes, ...] = ()
    ipv6: bool = False
    """Make a link-local address, listen to routers. Also so where an IPv6 address is given."""
    dhcp: bool = False
    """Lease an IPv4 address, and what goes with it."""
    hostname: str = ""
    """What a DHCP server is told."""


class Changes:
    """Counts changes of addresses and routes: who keeps what was made of them compares."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Interface:
    """One card. The stack alone changes it."""

    def __init__(
        self, name: str, mac: bytes, mtu: int, offloads: Offload, configuration: Configuration, changes: Changes
    ) -> None:
        self._changes = changes
        self.name, self.mac, self.mtu, self.offloads = name, mac, mtu, offloads
        self.addresses: list[tuple[bytes, int]] = []
        """(address, prefix length); changed by set_addresses() alone."""
        self.own: frozenset[bytes] = frozenset()
        self.broadcasts: frozenset[bytes] = frozenset()
        """IPv4 addresses that mean everybody on the link."""
        self.configured: list[tuple[bytes, int]] = []
        """Of `addresses` those that somebody set, IPv6's also while they are being tried."""
        self.reconfigured = False
        """`configured` was changed, and IPv6's have not been looked at yet."""
        self.ipv6 = configuration.ipv6 or any(len(own) == 16 for own, _ in configuration.addresses)
        self.auto: Autoconfiguration | None = None
        """Made at the first poll(), for it needs the time."""
        self.auto_generation = -1
        """The machine's generation when what follows was taken from it."""
        self.due6 = 0
        """Before this moment the machine has nothing to do."""
        self.addresses6: list[tuple[bytes, int]] = []
        self.deprecated6: frozenset[bytes] = frozenset()
        self.tentative6: frozenset[bytes] = frozenset()
        self.groups6: frozenset[bytes] = frozenset()
        """Multicast groups that we hear."""
        self.on_link6: list[tuple[bytes, int]] = []
        self.routers6: list[bytes] = []
        self.mtu6 = mtu
        self.neighbours6 = Neighbours()
        self.set_addresses(configuration.addresses)
        self.gateways: tuple[bytes, ...] = configuration.gateways
        self.neighbours = Neighbours()
        self.leases: Leases | None = None
        """The DHCP client, where there is one."""
        self.outgoing: list[Outgoing] = []
        self.dropped = 0
        self.packets_in = self.packets_out = self.bytes_in = self.bytes_out = 0

    @property
    def checksums(self) -> bool:
        """The card completes checksums."""
        return bool(self.offloads & (Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6))

    def set_addresses(self, addresses: Iterable[tuple[bytes, int]]) -> None:
        """Have these addresses, and no others."""
        self.configured = list(addresses)
        self.reconfigured = True
        self.combine()

    def combine(self) -> None:
        """Set `addresses` anew: IPv4's as set, IPv6's as far as they have been tried."""
        self.addresses = [pair for pair in self.configured if len(pair[0]) == 4] + self.addresses6
        self.own = frozenset(own for own, _ in self.addresses)
        directed = {broadcast_of(own, prefix) for own, prefix in self.addresses if len(own) == 4 and prefix < 31}
        self.broadcasts = frozenset(directed | {BROADCAST4, ANY4})
        self._changes.count += 1

    def set_gateways(self, gateways: Iterable[bytes]) -> None:
        """Send what is far to these, the first of each family."""
        self.gateways = tuple(gateways)
        self._changes.count += 1

    def changed(self) -> None:
        """Have everybody find their ways anew."""
        self._changes.count += 1

    def has(self, address: bytes) -> bool:
        """Say whether `address` is one of ours."""
        return address in self.own

    def hears(self, address: bytes) -> bool:
        """Say whether packets for the IPv4 address are for us: it is ours, or a broadcast."""
        return address in self.own or address in self.broadcasts

    def is_broadcast(self, address: bytes) -> bool:
        """Say whether the IPv4 address means everybody on the link."""
        return address in self.broadcasts

    def source_for(self, destination: bytes) -> bytes | None:
        """Return our address that is nearest to `destination`, or None."""
        if len(destination) == 16:
            return self._source6(destination)
        best = None
        for own, prefix in self.addresses:
            if len(own) == len(destination):
                if in_network(destination, own, prefix):
                    return own
                best = best or own
        return best

    def next_hop(self, destination: bytes) -> bytes | None:
        """Return who on the link is to get packets for `destination`: itself, a gateway, or None."""
        if len(destination) == 16:
            return self._next_hop6(destination)
        for own, prefix in self.addresses:
            if in_network(destination, own, prefix):
                return destination
        for gateway in self.gateways:
            if len(gateway) == len(destination):
                return gateway
        return None

    def _source6(self, destination: bytes) -> bytes | None:
        """RFC 6724 section 5: rules 1, 2, 3 and 8 (the others tell of mobility, tunnels and temporary addresses)."""
        if destination in self.own:
            return destination
        wanted = scope_of(destination)
        best, best_key = None, (False, 0, False, 0)
        bits = int.from_bytes(destination, "big")
        for own, _ in self.addresses6:
            scope = scope_of(own)
            common = 128 - (int.from_bytes(own, "big") ^ bits).bit_length()
            key = (scope >= wanted, -scope if scope >= wanted else scope, own not in self.deprecated6, common)
            if best is None or key > best_key:
                best, best_key = own, key
        return best

    def _next_hop6(self, destination: bytes) -> bytes | None:
        if not self.addresses6:
            return None
        if is_link_local(destination):
            return destination
        for prefix, length in self.on_link6:
            if in_network(destination, prefix, length):
                return destination
        for gateway in self.gateways:
            if len(gateway) == 16:
                return gateway
        return self.routers6[0] if self.routers6 else None

    def queue_all(self, frames: list[Outgoing]) -> None:
        """Put frames behind those that wait for the card."""
        if len(self.outgoing) + len(frames) > OUTGOING_MAX:
            for frame in frames:
                self.queue(frame)
            return
        self.outgoing += frames
        self.packets_out += len(frames)
        for header, payload, _, _, _, _ in frames:
            self.bytes_out += len(header) + len(payload)

    def queue_sized(self, frame: Outgoing, size: int) -> None:
        """Put a frame of `size` bytes behind those that wait for the card."""
        if len(self.outgoing) >= OUTGOING_MAX:
            self.dropped += 1
            return
        self.outgoing.append(frame)
        self.packets_out += 1
        self.bytes_out += size

    def queue(self, frame: Outgoing) -> None:
        """Put a frame behind those that wait for the card."""
        self.queue_sized(frame, len(frame.header) + len(frame.payload))


def scope_of(address: bytes) -> int:
    """Return how far an IPv6 address reaches: 2 the link, 5 the site, 14 the world (RFC 6724 section 3.1)."""
    if address[0] == 0xFF:
        return address[1] & 15
    if is_link_local(address) or (address[15] == 1 and not any(address[:15])):
        return 2
    if address[0] == 0xFE and address[1] & 0xC0 == 0xC0:
        return 5
    return 14
