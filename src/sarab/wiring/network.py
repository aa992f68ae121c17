"""The network of this image or process: what the environment says, the cards that are here, one stack for all.

SARAB_IP       10.0.0.2/24,fd00::2/64   addresses; `eth1=10.0.1.2/24` names another card than eth0. Without: DHCP
SARAB_GATEWAY  10.0.0.1                 one a family; in the same notation
SARAB_DNS      10.0.0.1,1.1.1.1         who resolves names
SARAB_HOSTNAME web                      the name of this host
SARAB_NET      none                     use no card: loopback only
SARAB_TAP      tap0,tap1                cards of a Linux process
SARAB_MAC      02:00:00:00:00:01        their own addresses; without, drawn
SARAB_RAW      eth1                     cards that the application drives itself
SARAB_PCAP     /tmp/out.pcap            write every frame of eth0 there, of eth1 into /tmp/out-eth1.pcap, and so on
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeVar

from sarab.aio.network import NetworkDriver
from sarab.device.network import Network
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.net.tcp import FLOW_SIZE, FLOWS_MAX
from sarab.wire.address import parse, parse_mac, parse_network

T = TypeVar("T")
TCP_PART = 4
"""All buffers of TCP hold a quarter of the machine's memory at most: the rest is the program's."""
FLOWS_PART = 2
"""Connections that others opened are so many that, idle, they take half of it."""

_lock = threading.Lock()
_driver: NetworkDriver | None = None


def network() -> NetworkDriver:
    """Return the one driver of the network, made when it is first asked for.

    What the environment says wrongly ends the program with a sentence and status 2, as a wrong option does.
    """
    global _driver
    if _driver is None:
        with _lock:
            if _driver is None:
                try:
                    _driver = make(os.environ, cards(os.environ))
                except ValueError as error:
                    print(f"sarab: {error}.", file=sys.stderr)
                    warnings.simplefilter("ignore", RuntimeWarning)  # of coroutines that are not awaited any more
                    raise SystemExit(2) from None
                atexit.register(_driver.drain)
    return _driver


def make(environ: Mapping[str, str], devices: Mapping[str, Network]) -> NetworkDriver:
    """Return a driver of a new stack over `devices`, eth0, eth1, ... by name. Raises ValueError with a sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    flows = min(memory // FLOWS_PART // FLOW_SIZE, FLOWS_MAX)
    driver = NetworkDriver(Stack(os.urandom, tcp_memory=memory // TCP_PART, tcp_flows=flows))
    pcap = environ.get("SARAB_PCAP")
    for name, device in devices.items():
        if pcap:
            device = _captured(device, pcap, int(name.removeprefix("eth")))
        settings = configuration(environ, name)
        interface = driver.stack.add_interface(name, device.mac, device.mtu, device.offloads, settings)
        driver.add_card(device, interface)
    return driver


def _captured(device: Network, pcap: str, index: int) -> Network:
    from sarab.driver.pcap import Pcap, file_of

    try:
        return Pcap(device, open(file_of(pcap, index), "wb"))  # noqa: SIM115  # the card's end closes it
    except OSError as error:
        raise ValueError(f"SARAB_PCAP: {file_of(pcap, index)} cannot be written: {error.strerror}") from None


def configuration(environ: Mapping[str, str], card: str) -> Configuration:
    """Return what the environment says about a card. Raises ValueError with a sentence."""
    addresses = tuple(_read("SARAB_IP", parse_network, item) for item in _items(environ, "SARAB_IP", card))
    return Configuration(
        addresses=addresses,
        gateways=tuple(_read("SARAB_GATEWAY", parse, item) for item in _items(environ, "SARAB_GATEWAY", card)),
        dns=tuple(_read("SARAB_DNS", parse, item) for item in _items(environ, "SARAB_DNS", card)),
        # Who gives IPv6 addresses by hand wants these and no others; else the link's routers say them.
        ipv6=not any(len(address) == 16 for address, _ in addresses),
        dhcp=not any(len(address) == 4 for address, _ in addresses),
        hostname=environ.get("SARAB_HOSTNAME", ""),
    )


def _items(environ: Mapping[str, str], variable: str, card: str) -> list[str]:
    found = []
    for word in environ.get(variable, "").split(","):
        name, named, item = word.strip().partition("=")
        if not named:
            name, item = "eth0", name
        if item and name == card:
            found.append(item)
    return found


def _read(variable: str, read: Callable[[str], T], item: str) -> T:
    try:
        return read(item)
    except ValueError as error:
        raise ValueError(f"{variable}: {error}") from None


def cards(environ: Mapping[str, str]) -> dict[str, Network]:
    """Return the stack's cards, by name: all that are here, but for those that the application drives itself.

    Raises ValueError with a sentence.
    """
    if environ.get("SARAB_NET") == "none":
        return {}
    raw = {name for name in environ.get("SARAB_RAW", "").split(",") if name}
    return start_cards(environ, lambda name: name not in raw)


def start_cards(environ: Mapping[str, str], wanted: Callable[[str], bool]) -> dict[str, Network]:
    """Start the cards whose names are wanted, and return them by name. Raises ValueError with a sentence."""
    taps = [name for name in environ.get("SARAB_TAP", "").split(",") if name]
    if taps:
        named = {f"eth{index}": tap for index, tap in enumerate(taps)}
        return {name: _tap(environ, tap, name) for name, tap in named.items() if wanted(name)}
    if not os.path.exists("/dev/dma"):
        return {}
    from sarab.driver.virtio import discovery

    return discovery.networks(lambda sentence: print(f"sarab: {sentence}", file=sys.stderr), wanted)


def _tap(environ: Mapping[str, str], tap: str, name: str) -> Network:
    module = import_module(".".join(("sarab", "driver", "tap")))  # no image needs it
    macs = [_read("SARAB_MAC", parse_mac, item) for item in _items(environ, "SARAB_MAC", name)]
    made: Network = module.Tap(tap, macs[0] if macs else None)
    return made
