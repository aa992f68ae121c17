"""A card as the stack knows it: addresses, neighbours, the frames that wait to leave."""

from __future__ import annotations

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


class Interface:
    """One card. The stack alone changes it."""

    def __init__(self, name: str, mac: bytes, mtu: int, offloads: Offload, configuration: Configuration) -> None:
        self.name, self.mac, self.mtu, self.offloads = name, mac, mtu, offloads
        self.addresses: list[tuple[bytes, int]] = list(configuration.addresses)
        self.gateways: list[bytes] = list(configuration.gateways)
        self.neighbours = Neighbours()
        self.outgoing: list[Outgoing] = []
        self.dropped = 0
        self.packets_in = self.packets_out = self.bytes_in = self.bytes_out = 0

    @property
    def checksums(self) -> bool:
        """The card completes checksums."""
        return bool(self.offloads & (Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6))

    def has(self, address: bytes) -> bool:
        """Say whether `address` is one of ours."""
        return any(address == own for own, _ in self.addresses)

    def hears(self, address: bytes) -> bool:
        """Say whether packets for the IPv4 address are for us: it is ours, or a broadcast."""
        if address == BROADCAST4:
            return True
        return self.has(address) or self.is_broadcast(address)

    def is_broadcast(self, address: bytes) -> bool:
        """Say whether the IPv4 address means everybody on the link."""
        if address == BROADCAST4 or address == ANY4:
            return True
        return any(
            prefix < 31 and address == broadcast_of(own, prefix) for own, prefix in self.addresses if len(own) == 4
        )

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
