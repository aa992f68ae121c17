"""DHCP for a card of the stack: the client's messages as frames, and what it leases as the card's configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sarab.device.network import Outgoing
from sarab.net.errors import NetworkUnreachable
from sarab.proto.dhcp.client import Client
from sarab.wire import dhcpv4, ethernet, ipv4, udp
from sarab.wire.address import ANY4, BROADCAST4
from sarab.wire.checksum import checksum, partial, pseudo_header
from sarab.wire.errors import Malformed

if TYPE_CHECKING:
    from sarab.net.interface import Interface
    from sarab.net.stack import Stack


class Leases:
    """The DHCP client of one interface. What is set by hand stays beside what is leased."""

    port: Final = dhcpv4.CLIENT_PORT
    """Of UDP, to which servers answer."""

    def __init__(self, stack: Stack, interface: Interface, hostname: str, random: Callable[[int], bytes]) -> None:
        self._stack, self._interface = stack, interface
        self.client = Client(interface.mac, hostname, random)
        self._by_hand = list(interface.configured)
        self._gateways = interface.gateways
        self._mtu = interface.mtu
        """The card's own."""
        self._who = f"DHCP on {interface.name}"
        self.malformed = 0

    @property
    def dropped(self) -> int:
        """Messages that were none, or none for us."""
        return self.malformed + self.client.statistics()["dropped"]

    def receive(self, now: int, data: bytes) -> None:
        """Take a datagram that came to port 68 through this card."""
        try:
            message = dhcpv4.parse(data)
        except Malformed:
            self.malformed += 1
            return
        self.client.receive(now, message)
        self._apply()

    def poll(self, now: int) -> None:
        """Send what is due, and see what became of the lease."""
        for message, server in self.client.poll(now):
            self._send(now, dhcpv4.emit(message), server)
        self._apply()

    def _apply(self) -> None:
        if not self.client.take_changes():
            return
        interface, lease = self._interface, self.client.lease
        others = [pair for pair in interface.configured if len(pair[0]) == 16]
        mine = [pair for pair in self._by_hand if len(pair[0]) == 4]
        # Before the rest: every flow finds its way anew then. A smaller MTU lasts no longer than what told of it.
        interface.mtu = min(lease.mtu or self._mtu, self._mtu) if lease is not None else self._mtu
        if lease is None:
            interface.set_addresses(mine + others)
            interface.set_gateways(self._gateways)
            self._stack.names.offer(self._who, ())
            return
        interface.set_addresses([*mine, (lease.address, lease.prefix), *others])
        interface.set_gateways(self._gateways + lease.routers)
        self._stack.names.offer(self._who, lease.dns, lease.search or ((lease.domain,) if lease.domain else ()))

    def _send(self, now: int, payload: bytes, server: bytes | None) -> None:
        """Send a message to a server, or, without an address, to everybody from 0.0.0.0."""
        lease = self.client.lease
        source = lease.address if lease is not None else ANY4
        destination = server or BROADCAST4
        length = udp.HEADER_SIZE + len(payload)
        bare = udp.emit(udp.Header(dhcpv4.CLIENT_PORT, dhcpv4.SERVER_PORT, length))
        whole = checksum(bare, pseudo_header(source, destination, ipv4.UDP, length) + partial(payload)) or 65535
        datagram = bare[:6] + whole.to_bytes(2, "big") + payload
        if server is not None:
            try:
                self._stack.ipv4.send(now, source, destination, ipv4.UDP, datagram)
            except NetworkUnreachable:
                self._stack.counters["no_route"] += 1
            return
        header = ethernet.emit(ethernet.Header(ethernet.BROADCAST, self._interface.mac, ethernet.IPV4))
        packet = ipv4.emit(ipv4.Header(source, destination, ipv4.UDP, ipv4.HEADER_SIZE + length))
        self._interface.queue(Outgoing(header + packet, datagram))
