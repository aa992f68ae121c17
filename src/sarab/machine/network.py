"""A machine's network cards: what the command line says of them, QEMU's words for them, and what the guest is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from sarab.driver.pcap import file_of
from sarab.errors import UsageError
from sarab.machine.ports import check_free
from sarab.machine.virtio import DEVICES_MAX, device_word
from sarab.wire import address

LOOPBACK = "127.0.0.1"
WILDCARDS = {"0.0.0.0", "::"}
USER_ADDRESS, USER_GATEWAY, USER_DNS = "10.0.2.15/24", "10.0.2.2", "10.0.2.3"
"""QEMU's user-mode network (net/slirp.c): fixed, so no start waits for DHCP."""
HOSTNAME_MAX = 63
IFF_UP = 1
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
_CARD = re.compile(r"eth([0-9]{1,3})=(.*)")
_FORWARD = re.compile(
    r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?P<port>[0-9]+):(?P<guest>[0-9]+)(?:/(?P<kind>tcp|udp))?"
)


class Forward(NamedTuple):
    """A port of this host that leads to a port of the machine."""

    kind: Literal["tcp", "udp"]
    host: str
    port: int
    guest_port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} of this host leads to port {self.guest_port}/{self.kind} of the program"


@dataclass(frozen=True)
class NetworkOptions:
    """The cards: one on each tap, eth0 first. Without a tap one on QEMU's user-mode network, which needs no right.

    Addresses, gateways, DNS servers and MAC addresses are eth0's; `eth1=10.0.1.2/24` names another card.
    """

    taps: tuple[str, ...] = ()
    forwards: tuple[Forward, ...] = ()
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    hostname: str | None = None
    pcap: Path | None = None
    environment: tuple[tuple[str, str], ...] = field(init=False, default=())
    """What the guest is told; wiring/network.py reads it."""

    def __post_init__(self) -> None:
        """Check what is said together. Raises UsageError."""
        if self.taps and self.forwards:
            raise UsageError("-p forwards ports of the user-mode network; on a tap the machine's own ports are reached")
        self._check_cards()
        if not self.taps and (self.addresses or self.gateways):
            raise UsageError(
                f"--{'ip' if self.addresses else 'gateway'} needs --tap: the user-mode network has its own addresses, "
                f"and the machine is {USER_ADDRESS.partition('/')[0]} in it"
            )
        for index, forward in enumerate(self.forwards):
            for other in self.forwards[:index]:
                same_host = forward.host == other.host or {forward.host, other.host} & WILDCARDS
                if (forward.kind, forward.port) == (other.kind, other.port) and same_host:
                    raise UsageError(f"port {forward.port}/{forward.kind} of this host is forwarded twice")
        addresses, gateways, dns = self.addresses, self.gateways, self.dns
        if not self.taps:
            addresses, gateways, dns = (USER_ADDRESS,), (USER_GATEWAY,), dns or (USER_DNS,)
        words = {"SARAB_IP": addresses, "SARAB_GATEWAY": gateways, "SARAB_DNS": dns}
        told = [(name, ",".join(items)) for name, items in words.items() if items]
        if self.hostname is not None:
            told.append(("SARAB_HOSTNAME", self.hostname))
        object.__setattr__(self, "environment", tuple(told))

    @property
    def cards(self) -> int:
        """How many cards the machine has."""
        return len(self.taps) or 1

    def of_card(self, index: int, items: tuple[str, ...]) -> list[str]:
        """Return those of `items` that belong to a card, without its name."""
        return [item for card, item in map(split_card, items) if card == index]

    def pcap_of(self, index: int) -> Path | None:
        """Return the file that a card's frames are written into: eth0's is the one that was named."""
        return None if self.pcap is None else Path(file_of(str(self.pcap.absolute()), index))

    def _check_cards(self) -> None:
        for index, tap in enumerate(self.taps):
            if tap in self.taps[:index]:
                raise UsageError(f"--tap {tap} is given twice: each card needs a tap device of its own")
        if len(self.taps) > DEVICES_MAX:
            raise UsageError(
                f"a machine has {DEVICES_MAX} network cards at most, and --tap is given {len(self.taps)} times"
            )
        options = {"ip": self.addresses, "gateway": self.gateways, "dns": self.dns, "mac": self.macs}
        for option, items in options.items():
            for item in items:
                if split_card(item)[0] >= self.cards:
                    have = "eth0 is the only card" if self.cards == 1 else f"the cards are eth0 to eth{self.cards - 1}"
                    raise UsageError(f"--{option} {item}: there is no such card; {have} (one for each --tap)")
        macs = [(index, mac) for index in range(self.cards) for mac in self.of_card(index, self.macs)]
        for at, (index, mac) in enumerate(macs):
            if index in (other for other, _ in macs[:at]):
                raise UsageError(f"--mac gives eth{index} two addresses: a card has one")
            if mac in (other for _, other in macs[:at]):
                raise UsageError(f"--mac {mac} is given to two cards: each needs its own")
        for index in range(self.cards):
            own = self.of_card(index, self.addresses)
            for gateway in self.of_card(index, self.gateways) if own else ():
                if not any(_inside(gateway, item) for item in own):
                    raise UsageError(f"the gateway {gateway} is in none of the networks of --ip: nobody could reach it")


def split_card(item: str) -> tuple[int, str]:
    """Return 1 and `10.0.1.2/24` of `eth1=10.0.1.2/24`; without a name it is eth0's."""
    match = _CARD.fullmatch(item)
    return (int(match[1]), match[2]) if match is not None else (0, item)


def _inside(gateway: str, cidr: str) -> bool:
    own, prefix = address.parse_network(cidr)
    return address.in_network(address.parse(gateway), own, prefix)


def parse_forward(text: str) -> Forward:
    """Return the forward of `8080:80`, `0.0.0.0:8080:80` or `5353:53/udp`. Raises UsageError."""
    match = _FORWARD.fullmatch(text)
    if match is None:
        raise UsageError(f"'{text}' forwards no port: give HOST-PORT:PORT (8080:80, 0.0.0.0:8080:80, 5353:53/udp)")
    port, guest_port = int(match["port"]), int(match["guest"])
    for number in (port, guest_port):
        if not 1 <= number <= 65535:
            raise UsageError(f"'{text}' forwards no port: {number} is none (1 to 65535)")
    host = (match["host"] or LOOPBACK).strip("[]")
    try:
        address.parse(host)
    except ValueError as error:
        raise UsageError(f"'{text}' forwards no port: {error}") from None
    return Forward("udp" if match["kind"] == "udp" else "tcp", host, port, guest_port)


def parse_cidr(item: str) -> str:
    """Return `item` if it is an address with a prefix length. Raises UsageError."""
    text = split_card(item)[1]
    try:
        own, prefix = address.parse_network(text)
    except ValueError as error:
        raise UsageError(f"--ip: {error}") from None
    if address.is_multicast(own) or address.is_unspecified(own) or address.is_loopback(own):
        raise UsageError(f"--ip: {text} is no address that a card can have")
    if len(own) == 4 and prefix < 31 and own in (address.network_of(own, prefix), address.broadcast_of(own, prefix)):
        raise UsageError(f"--ip: {text} names a network or its broadcast address, and no host in it")
    return item


def parse_address(option: str, item: str) -> str:
    """Return `item` if it is an address. Raises UsageError, naming the option."""
    try:
        address.parse(split_card(item)[1])
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    return item


def parse_mac(item: str) -> str:
    """Return `item` in lower case if a card may have it as its address. Raises UsageError."""
    text = split_card(item)[1]
    try:
        mac = address.parse_mac(text.lower())
    except ValueError as error:
        raise UsageError(f"--mac: {error}") from None
    if mac[0] & 1 or not any(mac):
        raise UsageError(f"--mac: {text} is a multicast address: the first byte of a card's is even (02:...)")
    return item.lower()


def parse_hostname(text: str) -> str:
    """Return `text` if it is a host's name (RFC 1123 section 2.1). Raises UsageError."""
    if len(text) > HOSTNAME_MAX or not _HOSTNAME.fullmatch(text):
        raise UsageError(f"--hostname: '{text}' is no name of a host: letters, digits and inner hyphens, 63 at most")
    return text


def check(options: NetworkOptions) -> None:
    """Find out before the machine starts what would make its network fail. Raises UsageError with a sentence."""
    for forward in options.forwards:
        check_free(*forward)
    for tap in options.taps:
        check_tap(tap)
    for index in range(options.cards):
        if (pcap := options.pcap_of(index)) is not None:
            try:
                with pcap.open("wb"):
                    pass
            except OSError as error:
                raise UsageError(f"--pcap: {pcap} cannot be written: {error.strerror}") from None


def check_tap(name: str) -> None:
    """Find out whether `name` is a tap device that we may use. Raises UsageError."""
    folder = Path("/sys/class/net", name)
    if not re.fullmatch(r"[^/\s]{1,15}", name) or not folder.exists():
        raise UsageError(f"there is no network device '{name}': 'ip tuntap add {name} mode tap' makes it, as root")
    flags = folder / "tun_flags"
    if not flags.exists() or not int(flags.read_text(), 16) & 2:
        raise UsageError(f"'{name}' is no tap device: 'ip tuntap add tap0 mode tap' makes one, as root")
    from sarab.driver.tap import Tap

    try:
        Tap(name).close()  # nothing else knows of every owner, group and limit
    except OSError as error:
        raise UsageError(f"--tap: {error.strerror}") from None
    if not int((folder / "flags").read_text(), 16) & IFF_UP:
        raise UsageError(f"the tap device '{name}' is down: 'ip link set {name} up' puts it up, as root")


def process_environment(options: NetworkOptions) -> tuple[tuple[str, str], ...]:
    """Return what tells a Linux process of its cards on taps; wiring/network.py reads it."""
    told = [("SARAB_TAP", ",".join(options.taps)), *options.environment]
    if options.macs:
        told.append(("SARAB_MAC", ",".join(options.macs)))
    if options.pcap is not None:
        told.append(("SARAB_PCAP", str(options.pcap.absolute())))
    return tuple(told)


def qemu_words(options: NetworkOptions, machine: str = "microvm") -> list[str]:
    """Return QEMU's arguments for the cards, in slots from 0 on."""
    words: list[str] = []
    for index in range(options.cards):
        if options.taps:
            net = f"tap,id=net{index},ifname={options.taps[index]},script=no,downscript=no"
        else:
            net = f"user,id=net{index}"
            for forward in options.forwards:
                host = f"[{forward.host}]" if ":" in forward.host else forward.host
                net += f",hostfwd={forward.kind}:{host}:{forward.port}-:{forward.guest_port}"
        settings = f",netdev=net{index},mq=off"
        for mac in options.of_card(index, options.macs):
            settings += f",mac={mac}"
        if machine != "microvm":
            settings += ",romfile="
        words += ["-netdev", net, "-device", device_word("virtio-net", machine, index, settings)]
        if (pcap := options.pcap_of(index)) is not None:
            quoted = str(pcap).replace(",", ",,")
            words += ["-object", f"filter-dump,id=pcap{index},netdev=net{index},maxlen=65550,file={quoted}"]
    return words


def make(
    *,
    taps: Sequence[str],
    forwards: Sequence[str],
    addresses: Sequence[str],
    gateways: Sequence[str],
    dns: Sequence[str],
    macs: Sequence[str],
    hostname: str | None,
    pcap: Path | None,
) -> NetworkOptions:
    """Return the options that the command line's words say. Raises UsageError."""
    return NetworkOptions(
        taps=tuple(taps),
        forwards=tuple(parse_forward(item) for item in forwards),
        addresses=tuple(parse_cidr(item) for item in addresses),
        gateways=tuple(parse_address("--gateway", item) for item in gateways),
        dns=tuple(parse_address("--dns", item) for item in dns),
        macs=tuple(map(parse_mac, macs)),
        hostname=None if hostname is None else parse_hostname(hostname),
        pcap=pcap,
    )
