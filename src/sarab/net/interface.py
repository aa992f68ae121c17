"""A card as the stack knows it: addresses, neighbours, the frames that wait to leave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sarab.device.network import Offload, Outgoing
from sarab.net.neighbours import Neighbours
from sarab.wire.address import ANY4, BROADCAST4, broadcast_of, in_network

OUTGOING_MAX = 4096
"""Frames that wait for the card; what comes on top is dropped, as a full ring drops."""


class Configuration(NamedTuple):
    """How an interface gets its addresses. Addresses are bytes."""

    addresses: tuple[tuple[bytes, int], ...] = ()
    """(address, prefix length)"""
    gateways: tuple[bytes, ...] = ()
    dns: tuple[bytes, ...] = ()


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
        self.set_addresses(configuration.addresses)
        self.gateways: tuple[bytes, ...] = configuration.gateways
        self.neighbours = Neighbours()
        self.outgoing: list[Outgoing] = []
        self.dropped = 0
        self.packets_in = self.packets_out = self.bytes_in = self.bytes_out = 0

    @property
    def checksums(self) -> bool:
        """The card completes checksums."""
        return bool(self.offloads & (Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6))

    def set_addresses(self, addresses: Iterable[tuple[bytes, int]]) -> None:
        """Have these addresses, and no others."""
        self.addresses = list(addresses)
        self.own = frozenset(own for own, _ in self.addresses)
        directed = {broadcast_of(own, prefix) for own, prefix in self.addresses if len(own) == 4 and prefix < 31}
        self.broadcasts = frozenset(directed | {BROADCAST4, ANY4})
        self._changes.count += 1

    def set_gateways(self, gateways: Iterable[bytes]) -> None:
        """Send what is far to these, the first of each family."""
        self.gateways = tuple(gateways)
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
        best = None
        for own, prefix in self.addresses:
            if len(own) == len(destination):
                if in_network(destination, own, prefix):
                    return own
                best = best or own
        return best

    def next_hop(self, destination: bytes) -> bytes | None:
        """Return who on the link is to get packets for `destination`: itself, a gateway, or None."""
        for own, prefix in self.addresses:
            if in_network(destination, own, prefix):
                return destination
        for gateway in self.gateways:
            if len(gateway) == len(destination):
                return gateway
        return None

    def queue(self, frame: Outgoing) -> None:
        """Put a frame behind those that wait for the card."""
        if len(self.outgoing) >= OUTGOING_MAX:
            self.dropped += 1
            return
        self.outgoing.append(frame)
        self.packets_out += 1
        self.bytes_out += len(frame.header) + len(frame.payload)
