"""What virtio devices this machine has: those that its command line describes, and, if it says `pci`, those on PCI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sarab.device.network import DeviceLost, Network
from sarab.driver.virtio import platform
from sarab.driver.virtio.transport import NETWORK, Transport


class Found(NamedTuple):
    """A device: `start(transport, platform, line)` is its driver's constructor."""

    where: str
    """For a person: "at 0xfeb00000", "at PCI 00:02.0"."""
    transport: Transport
    line: int


def devices(kernel: platform.Platform, say: Callable[[str], None]) -> Iterator[Found]:
    """Find this machine's devices, in the order of their addresses on the command line, then on PCI.

    `say` is given a sentence for each that cannot be used.
    """
    line = platform.command_line()
    slots = platform.described(line)
    if slots:
        from sarab.driver.virtio.mmio import Mmio

        for slot in slots:
            where = f"at {slot.address:#x}"
            try:
                registers = Mmio(kernel.registers(slot.address, slot.size))
            except OSError as why:
                say(f"the device {where} cannot be reached: {why}")
                continue
            if registers.device_id:
                yield Found(where, registers, slot.line)
    if platform.is_pci_described(line):
        from sarab.driver.virtio import pci

        try:
            bus = pci.Ports()
        except OSError as why:
            say(f"PCI cannot be reached: {why}")
            return
        for function in pci.functions(bus):
            if not pci.device_id_of(bus, function):
                continue
            where = f"at PCI {function >> 8:02x}:{function >> 3 & 31:02x}.{function & 7}"
            try:
                yield Found(where, pci.Pci(bus, function, kernel), -1)
            except (DeviceLost, OSError) as why:
                say(f"the device {where} cannot be used: {why}")


def networks(say: Callable[[str], None], wanted: Callable[[str], bool] = lambda _: True) -> dict[str, Network]:
    """Start those of this machine's network cards whose names, eth0 and so on, are wanted, and return them by name.

    `say` is given a sentence for each that does not start.
    """
    kernel = platform.Kernel()
    cards: dict[str, Network] = {}
    count = 0
    for where, transport, line in devices(kernel, say):
        if transport.device_id != NETWORK:
            continue
        name = f"eth{count}"
        count += 1
        if not wanted(name):
            continue
        from sarab.driver.virtio.net import VirtioNet

        try:
            cards[name] = VirtioNet(transport, kernel, line)
        except (DeviceLost, MemoryError, OSError) as why:
            say(f"the network card {where} does not start: {why}")
    return cards
