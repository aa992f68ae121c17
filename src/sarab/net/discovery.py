"""Neighbours, routers and groups of IPv6: what NDP and MLD say and ask (RFC 4861, RFC 4862, RFC 9777).

Redirects are not followed: an image has one way out, and a forger on the link would have it otherwise.
"""

from __future__ import annotations

from _blake2 import blake2s  # hashlib would load OpenSSL
from typing import TYPE_CHECKING

from sarab.device.network import Outgoing
from sarab.net.interface import Interface
from sarab.net.neighbours import Solicitation
from sarab.net.slaac import FOREVER, Advertisement, Autoconfiguration
from sarab.wire import icmpv6, igmp, ipv6, mld, ndp
from sarab.wire.address import ALL_NODES6, ANY6, is_link_local, is_multicast, multicast_mac, solicited_node

if TYPE_CHECKING:
    from sarab.net.ipv6 import Ipv6
    from sarab.net.stack import Stack

SECOND = 1_000_000_000
MLD_REPEAT = 1 * SECOND
"""A change is told twice, for nobody acknowledges it (RFC 9777 section 9.11: once more within a second)."""


class Discovery:
    """NDP and MLD of every interface of a stack."""

    def __init__(self, ip: Ipv6, stack: Stack) -> None:
        self._ip, self._stack = ip, stack
        self._key = stack.random(32)
        self._reports: dict[Interface, int] = {}
        """When an interface is to say to which groups it listens."""

    def _prf(self, data: bytes) -> bytes:
        return blake2s(data, key=self._key, digest_size=16).digest()

    # ---- time ----------------------------------------------------------------------------------------------------

    def poll(self, now: int, interface: Interface) -> None:
        """Do what is due on an interface that speaks IPv6."""
        if interface.reconfigured or interface.due6 <= now:
            self._configure(now, interface)
        for question in interface.neighbours6.poll(now):
            self._ask(interface, question)
        failed = interface.neighbours6.failed
        if failed and len(interface.routers6) > 1 and interface.routers6[0] in failed:
            interface.routers6.append(interface.routers6.pop(0))  # RFC 4861 section 6.3.6: another one then
            interface.changed()

    def _configure(self, now: int, interface: Interface) -> None:
        """Let the machine of addresses and routers run, and tell of our groups."""
        auto = interface.auto
        if auto is None:
            auto = Autoconfiguration(now, interface.name, self._prf, self._stack.random, interface.mtu)
            interface.auto = auto
        if interface.reconfigured:
            interface.reconfigured = False
            auto.manual(now, [pair for pair in interface.configured if len(pair[0]) == 16])
        probes = auto.poll(now)
        self._sync(now, interface, auto)
        if self._reports.get(interface, now + 1) <= now:
            del self._reports[interface]
            self._report(interface, interface.groups6)
        for source, destination, target in probes:
            own = ndp.Options(source_link=interface.mac) if any(source) else ndp.NO_OPTIONS
            if target is None:
                self._say(interface, source, destination, ndp.RouterSolicitation(own))
            else:
                self._say(interface, source, destination, ndp.NeighbourSolicitation(target))
        self._wind(interface, auto)

    def _wind(self, interface: Interface, auto: Autoconfiguration) -> None:
        due = auto.deadline()
        report = self._reports.get(interface)
        interface.due6 = min((time for time in (due, report) if time is not None), default=FOREVER)

    def deadline(self, interface: Interface) -> int | None:
        """Return when poll() has something to do."""
        if interface.reconfigured:
            return 0
        asked = interface.neighbours6.deadline()
        due = interface.due6 if asked is None or interface.due6 < asked else asked
        return due if due < FOREVER else None

    def _sync(self, now: int, interface: Interface, auto: Autoconfiguration) -> None:
        """Take over what the machine has made."""
        tentative = frozenset(auto.tentative())
        if auto.generation == interface.auto_generation and tentative == interface.tentative6:
            return
        interface.auto_generation = auto.generation
        interface.tentative6 = tentative
        interface.addresses6 = auto.addresses(now)
        interface.deprecated6 = frozenset(auto.deprecated(now))
        usable = frozenset(address for address, _ in interface.addresses6)
        given = [pair for pair in interface.configured if pair[0] in usable]
        interface.on_link6 = auto.on_link_prefixes(now) + given
        interface.routers6 = auto.routers(now)
        interface.mtu6 = auto.mtu
        interface.combine()
        groups = frozenset([ALL_NODES6] + [solicited_node(address) for address in usable | tentative])
        joined, left = groups - interface.groups6, interface.groups6 - groups
        interface.groups6 = groups
        if joined or left:
            self._report(interface, joined, left)
            self._reports[interface] = now + MLD_REPEAT
        self._stack.names.offer(f"the routers of {interface.name}", tuple(auto.dns(now)))

    # ---- what comes ----------------------------------------------------------------------------------------------

    def receive(self, now: int, interface: Interface, header: ipv6.Header, message: icmpv6.Message, mac: bytes) -> None:
        """Take a message of NDP or MLD; `mac` is who sent the frame, b"" where extension headers stood before.

        Raises Malformed.
        """
        if message.type in mld.TYPES:
            value = mld.parse(message)
            mld.validate(value, header.source, header.hop_limit)
            if isinstance(value, mld.Query):
                # RFC 9777 section 6.2: at a random time, so that not everybody speaks at once.
                chance = int.from_bytes(self._stack.random(4), "big")
                at = now + (value.max_response * 1_000_000 * chance >> 32)
                self._reports[interface] = min(at, self._reports.get(interface, at))
                interface.due6 = min(interface.due6, at)
            return
        # RFC 6980: never in fragments; nor does anybody put other headers before it.
        if message.type not in ndp.TYPES or mac == interface.mac or not mac:
            self._stack.counters["icmp_ignored"] += 1
            return
        self._stack.counters["ndp_in"] += 1
        said = ndp.parse(message)
        ndp.validate(said, header.source, header.destination, header.hop_limit)
        if isinstance(said, ndp.NeighbourSolicitation):
            self._solicited(now, interface, header.source, said)
        elif isinstance(said, ndp.NeighbourAdvertisement):
            self._advertised(now, interface, said)
        elif isinstance(said, ndp.RouterAdvertisement) and interface.auto is not None:
            options = said.options
            router = Advertisement(header.source, said.lifetime, options.prefixes, options.mtu, options.dns)
            interface.auto.advertised(now, router)
            self._heard(now, interface, header.source, options.source_link)
            self._sync(now, interface, interface.auto)
            self._wind(interface, interface.auto)

    def _heard(self, now: int, interface: Interface, address: bytes, mac: bytes) -> None:
        if mac and not mac[0] & 1 and mac != interface.mac:
            for frame in interface.neighbours6.confirmed(now, address, mac, asked=True):
                interface.queue(frame)

    def _solicited(self, now: int, interface: Interface, source: bytes, said: ndp.NeighbourSolicitation) -> None:
        target = said.target
        if target in interface.tentative6:
            if not any(source):  # another one tries it too: nobody gets it (RFC 4862 section 5.4.3)
                self._claimed(now, interface, target)
            return
        if target not in interface.own:
            return
        if any(source):
            self._heard(now, interface, source, said.options.source_link)
        link = ndp.Options(target_link=interface.mac)
        answer = ndp.NeighbourAdvertisement(target, False, any(source), True, link)
        self._say(interface, target, source if any(source) else ALL_NODES6, answer, now)

    def _advertised(self, now: int, interface: Interface, said: ndp.NeighbourAdvertisement) -> None:
        target, mac = said.target, said.options.target_link
        if target in interface.tentative6:
            self._claimed(now, interface, target)
            return
        if target in interface.own:
            self._stack.counters["address_conflicts"] += 1
            return
        neighbours = interface.neighbours6
        known = neighbours.known(target)
        mac = mac or known or b""  # an answer to a probe may leave it out (RFC 4861 section 4.4)
        if not mac or mac[0] & 1 or mac == interface.mac:
            return
        if not said.solicited or (not said.override and known not in (None, mac)):
            neighbours.announced(now, target, mac)
            return
        for frame in neighbours.confirmed(now, target, mac, asked=False):
            interface.queue(frame)

    def _claimed(self, now: int, interface: Interface, address: bytes) -> None:
        self._stack.counters["address_conflicts"] += 1
        if interface.auto is not None and interface.auto.claimed(now, address):
            self._sync(now, interface, interface.auto)
            self._wind(interface, interface.auto)

    # ---- what goes -----------------------------------------------------------------------------------------------

    def _ask(self, interface: Interface, question: Solicitation) -> None:
        source = interface.source_for(question.address)
        if source is None:
            return
        target = question.address
        said = ndp.NeighbourSolicitation(target, ndp.Options(source_link=interface.mac))
        destination = solicited_node(target) if question.mac is None else target
        self._frame(interface, question.mac or multicast_mac(destination), source, destination, ndp.emit(said))

    def _say(self, interface: Interface, source: bytes, destination: bytes, said: ndp.Value, now: int = 0) -> None:
        if is_multicast(destination):
            self._frame(interface, multicast_mac(destination), source, destination, ndp.emit(said))
            return
        mac = interface.neighbours6.known(destination)  # to answer one who asks is no use that would keep his entry
        payload = icmpv6.emit(ndp.emit(said), source, destination)
        header = ipv6.emit(ipv6.Header(source, destination, ipv6.ICMPV6, len(payload), ndp.HOP_LIMIT))
        frame = Outgoing((mac or bytes(6)) + interface.mac + b"\x86\xdd" + header, payload)
        if mac is None:
            interface.neighbours6.enqueue(now, destination, frame)
        else:
            interface.queue(frame)

    def _frame(
        self, interface: Interface, mac: bytes, source: bytes, destination: bytes, message: icmpv6.Message
    ) -> None:
        payload = icmpv6.emit(message, source, destination)
        header = ipv6.emit(ipv6.Header(source, destination, ipv6.ICMPV6, len(payload), ndp.HOP_LIMIT))
        interface.queue(Outgoing(mac + interface.mac + b"\x86\xdd" + header, payload))

    def _report(self, interface: Interface, joined: frozenset[bytes], left: frozenset[bytes] = frozenset()) -> None:
        """Say to which groups we listen; to that of all nodes everybody does, and says nothing (RFC 9777 section 6)."""
        records = igmp.join(*sorted(joined - {ALL_NODES6})).records + igmp.leave(*sorted(left)).records
        if not records:
            return
        source = next((own for own, _ in interface.addresses6 if is_link_local(own)), ANY6)
        message = icmpv6.emit(mld.emit(igmp.Report(records)), source, mld.ALL_V2_ROUTERS)
        payload = mld.HOP_BY_HOP + message
        header = ipv6.Header(source, mld.ALL_V2_ROUTERS, ipv6.HOP_BY_HOP, len(payload), mld.HOP_LIMIT)
        start = multicast_mac(mld.ALL_V2_ROUTERS) + interface.mac + b"\x86\xdd" + ipv6.emit(header)
        interface.queue(Outgoing(start, payload))
