"""The network of this image or process: what the environment says, the cards that are here, one stack for all.

SARAB_IP       10.0.0.2/24,fd00::2/64   addresses; `eth1=10.0.1.2/24` names another card than eth0. Without: DHCP
SARAB_GATEWAY  10.0.0.1                 one a family; in the same notation
SARAB_DNS      10.0.0.1,1.1.1.1         who resolves names
SARAB_HOSTNAME web                      the name of this host
SARAB_NET      none                     use no card: loopback only
SARAB_TAP      tap0,tap1                cards of a Linux process
SARAB_MAC      02:00:00:00:00:01        their own addresses; without, drawn
SARAB_PCAP     /tmp/out.pcap            write every frame of eth0 there, of eth1 into /tmp/out-eth1.pcap, and so on
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from typing import TypeVar

from sarab.aio.network import NetworkDriver
from sarab.device.network import Network
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.wire.address import parse, parse_mac, parse_network

T = TypeVar("T")
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


def make(environ: Mapping[str, str], devices: list[Network]) -> NetworkDriver:
    """Return a driver of a new stack over `devices`, eth0 first. Raises ValueError with a sentence."""
    driver = NetworkDriver(Stack(os.urandom))
    pcap = environ.get("SARAB_PCAP")
    for index, device in enumerate(devices):
        name = f"eth{index}"
        if pcap:
            device = _captured(device, pcap, index)
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


def cards(environ: Mapping[str, str]) -> list[Network]:
    """Return the cards that are here."""
    if environ.get("SARAB_NET") == "none":
        return []
    taps = [name for name in environ.get("SARAB_TAP", "").split(",") if name]
    if taps:
        from importlib import import_module

        module = import_module(".".join(("sarab", "driver", "tap")))  # no image needs it
        found: list[Network] = []
        for index, name in enumerate(taps):
            mac = next(
                (_read("SARAB_MAC", parse_mac, item) for item in _items(environ, "SARAB_MAC", f"eth{index}")), None
            )
            found.append(module.Tap(name, mac))
        return found
    return _virtio()


def _virtio() -> list[Network]:
    if not os.path.exists("/dev/dma"):
        return []
    from sarab.driver.virtio import discovery

    return discovery.networks(lambda sentence: print(f"sarab: {sentence}", file=sys.stderr))
