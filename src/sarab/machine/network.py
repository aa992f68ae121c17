"""A machine's network card: what the command line says of it, QEMU's words for it, and what the guest is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from sarab.errors import UsageError
from sarab.machine.ports import check_free
from sarab.wire import address

LOOPBACK = "127.0.0.1"
WILDCARDS = {"0.0.0.0", "::"}
SLOT_ADDRESS, SLOT_SIZE, SLOT_LINE = 0xFEB00000, 512, 16
"""Where QEMU's microvm has its first virtio-mmio device (hw/i386/microvm.c), with one I/O APIC."""
USER_ADDRESS, USER_GATEWAY, USER_DNS = "10.0.2.15/24", "10.0.2.2", "10.0.2.3"
"""QEMU's user-mode network (net/slirp.c): fixed, so no start waits for DHCP."""
HOSTNAME_MAX = 63
IFF_UP = 1
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?")
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
    """One card. Without a tap it is QEMU's user-mode network, which needs no right."""

    tap: str | None = None
    forwards: tuple[Forward, ...] = ()
    addresses: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    mac: str | None = None
    hostname: str | None = None
    pcap: Path | None = None
    environment: tuple[tuple[str, str], ...] = field(init=False, default=())
    """What the guest is told; wiring/network.py reads it."""

    def __post_init__(self) -> None:
        """Check what is said together. Raises UsageError."""
        if self.tap is not None and self.forwards:
            raise UsageError("-p forwards ports of the user-mode network; on a tap the machine's own ports are reached")
        for gateway in self.gateways if self.addresses else ():
            near = [item for item in self.addresses if _inside(gateway, item)]
            if not near:
                raise UsageError(f"the gateway {gateway} is in none of the networks of --ip: nobody could reach it")
        if self.tap is None and (self.addresses or self.gateways):
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
        if self.tap is None:
            addresses, gateways, dns = (USER_ADDRESS,), (USER_GATEWAY,), dns or (USER_DNS,)
        words = {"SARAB_IP": addresses, "SARAB_GATEWAY": gateways, "SARAB_DNS": dns}
        told = [(name, ",".join(items)) for name, items in words.items() if items]
        if self.hostname is not None:
            told.append(("SARAB_HOSTNAME", self.hostname))
        object.__setattr__(self, "environment", tuple(told))


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


def parse_cidr(text: str) -> str:
    """Return `text` if it is an address with a prefix length. Raises UsageError."""
    try:
        own, prefix = address.parse_network(text)
    except ValueError as error:
        raise UsageError(f"--ip: {error}") from None
    if address.is_multicast(own) or address.is_unspecified(own) or address.is_loopback(own):
        raise UsageError(f"--ip: {text} is no address that a card can have")
    if len(own) == 4 and prefix < 31 and own in (address.network_of(own, prefix), address.broadcast_of(own, prefix)):
        raise UsageError(f"--ip: {text} names a network or its broadcast address, and no host in it")
    return text


def parse_address(option: str, text: str) -> str:
    """Return `text` if it is an address. Raises UsageError, naming the option."""
    try:
        address.parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    return text


def parse_mac(text: str) -> str:
    """Return `text` if a card may have it as its address. Raises UsageError."""
    try:
        mac = address.parse_mac(text.lower())
    except ValueError as error:
        raise UsageError(f"--mac: {error}") from None
    if mac[0] & 1 or not any(mac):
        raise UsageError(f"--mac: {text} is a multicast address: the first byte of a card's is even (02:...)")
    return text.lower()


def parse_hostname(text: str) -> str:
    """Return `text` if it is a host's name (RFC 1123 section 2.1). Raises UsageError."""
    if len(text) > HOSTNAME_MAX or not _HOSTNAME.fullmatch(text):
        raise UsageError(f"--hostname: '{text}' is no name of a host: letters, digits and inner hyphens, 63 at most")
    return text


def check(options: NetworkOptions) -> None:
    """Find out before the machine starts what would make its network fail. Raises UsageError with a sentence."""
    for forward in options.forwards:
        check_free(*forward)
    if options.tap is not None:
        check_tap(options.tap)
    if options.pcap is not None:
        try:
            with options.pcap.open("wb"):
                pass
        except OSError as error:
            raise UsageError(f"--pcap: {options.pcap} cannot be written: {error.strerror}") from None


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


def kernel_words(options: NetworkOptions | None, machine: str) -> tuple[str, ...]:
    """Return what tells the guest of its card (decision 0042)."""
    if options is None:
        return ()
    return (f"virtio_mmio.device={SLOT_SIZE}@{SLOT_ADDRESS:#x}:{SLOT_LINE}",) if machine == "microvm" else ("pci",)


def qemu_words(options: NetworkOptions, machine: str = "microvm") -> list[str]:
    """Return QEMU's arguments for the card."""
    if options.tap is not None:
        net = f"tap,id=net0,ifname={options.tap},script=no,downscript=no"
    else:
        net = "user,id=net0"
        for forward in options.forwards:
            host = f"[{forward.host}]" if ":" in forward.host else forward.host
            net += f",hostfwd={forward.kind}:{host}:{forward.port}-:{forward.guest_port}"
    if machine == "microvm":
        device = "virtio-net-device,netdev=net0,bus=virtio-mmio-bus.0,mq=off"
    else:
        device = "virtio-net-pci,netdev=net0,disable-legacy=on,romfile=,mq=off"
    if options.mac is not None:
        device += f",mac={options.mac}"
    words = ["-global", "virtio-mmio.force-legacy=false", "-netdev", net, "-device", device]
    if options.pcap is not None:
        quoted = str(options.pcap.absolute()).replace(",", ",,")
        words += ["-object", f"filter-dump,id=pcap0,netdev=net0,maxlen=65550,file={quoted}"]
    return words


def make(
    *,
    tap: str | None,
    forwards: Sequence[str],
    addresses: Sequence[str],
    gateways: Sequence[str],
    dns: Sequence[str],
    mac: str | None,
    hostname: str | None,
    pcap: Path | None,
) -> NetworkOptions:
    """Return the options that the command line's words say. Raises UsageError."""
    return NetworkOptions(
        tap=tap,
        forwards=tuple(parse_forward(item) for item in forwards),
        addresses=tuple(parse_cidr(item) for item in addresses),
        gateways=tuple(parse_address("--gateway", item) for item in gateways),
        dns=tuple(parse_address("--dns", item) for item in dns),
        mac=None if mac is None else parse_mac(mac),
        hostname=None if hostname is None else parse_hostname(hostname),
        pcap=pcap,
    )
