"""virtio over PCI against a model of a function: finding it, its structures and its interrupt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.device.network import DeviceLost, Incoming, Outgoing
from sarab.driver.virtio.net import VirtioNet
from sarab.driver.virtio.pci import CAPABILITIES_MAX, Pci, device_id_of, functions
from sarab.testing.cards import check_network
from tests.unit.driver.virtio.model import Device, Machine, PciFace, Wire


def make(**options: bool) -> tuple[VirtioNet, PciFace]:
    device = Device(Machine())
    face = PciFace(device, **options)
    return VirtioNet(Pci(face, face.function, device.machine), device.machine), face


@pytest.mark.parametrize("transitional", [True, False])
def test_a_card_on_pci_keeps_what_every_card_promises(transitional: bool) -> None:
    def fresh() -> tuple[VirtioNet, Wire]:
        card, face = make(transitional=transitional)
        return card, Wire(face.device)

    check_network(fresh)


def test_both_queues_and_the_configuration_use_the_one_vector() -> None:
    _, face = make()
    assert face.vectors == {-1: 0, 0: 0, 1: 0}
    assert face.control & 0xC000 == 0x8000
    assert face.read(face.function, 4, 2) & 0x406 == 0x406


def test_nothing_is_acknowledged_by_hand() -> None:
    card, face = make()
    face.device.deliver(b"x" * 60)
    assert card.receive(9) == [Incoming(b"x" * 60)]
    assert card.send([Outgoing(b"y" * 60)]) == 1
    assert face.device.sent[0][1] == b"y" * 60


class Tree:
    """Buses behind bridges: {function: (vendor, header type, secondary bus)}."""

    def __init__(self, there: dict[int, tuple[int, int, int]]) -> None:
        self.there = there

    def read(self, function: int, offset: int, size: int) -> int:
        if function not in self.there:
            return (1 << 8 * size) - 1
        vendor, header, secondary = self.there[function]
        return {0x00: vendor, 0x0E: header, 0x19: secondary}[offset]

    def write(self, function: int, offset: int, size: int, value: int) -> None:
        raise AssertionError("looking around changes nothing")


def test_functions_behind_bridges_are_found_once() -> None:
    plain, several, bridge = 0, 0x80, 1
    there = {
        0x0000: (0x8086, plain, 0),
        0x0001: (0x8086, plain, 0),  # device 0 has one function only: this is a ghost of it
        0x0008: (0x8086, several, 0),
        0x000B: (0x1AF4, plain, 0),
        0x0010: (0x8086, bridge, 5),
        0x0508: (0x1AF4, plain, 0),
        0x0510: (0x8086, bridge, 0),  # back to where we came from
        0x0518: (0x8086, bridge, 5),
    }
    assert list(functions(Tree(there))) == [0x0000, 0x0008, 0x000B, 0x0010, 0x0508, 0x0510, 0x0518]


def test_what_a_function_is() -> None:
    for transitional in (True, False):
        face = PciFace(Device(Machine()), transitional=transitional)
        assert device_id_of(face, face.function) == 1
        assert device_id_of(face, face.function + 1) == 0
    face.space[0:4] = b"\x86\x80\x41\x10"
    assert device_id_of(face, face.function) == 0


def test_without_msix_the_card_does_not_start() -> None:
    with pytest.raises(DeviceLost, match="MSI-X"):
        make(msix=False)


def test_a_legacy_card_is_told_apart() -> None:
    device = Device(Machine())
    face = PciFace(device)
    face.space[6] = 0
    with pytest.raises(DeviceLost, match="disable-modern"):
        Pci(face, face.function, device.machine)


def test_a_list_of_capabilities_that_runs_in_a_circle_ends() -> None:
    device = Device(Machine())
    face = PciFace(device)
    face.space[0x41] = 0x40
    reads = 0
    read = face.read

    def counted(function: int, offset: int, size: int) -> int:
        nonlocal reads
        reads += 1
        return read(function, offset, size)

    object.__setattr__(face, "read", counted)
    with pytest.raises(DeviceLost):
        Pci(face, face.function, device.machine)
    assert reads < CAPABILITIES_MAX * 12


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_configuration_of_anything_raises_only_what_it_may(data: st.DataObject) -> None:
    device = Device(Machine())
    face = PciFace(device)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0x06, 0xFF))
        face.space[at] = data.draw(st.integers(0, 255))
    try:
        VirtioNet(Pci(face, face.function, device.machine), device.machine)
    except (DeviceLost, OSError):
        pass
    except (AssertionError, KeyError):
        pass  # the model's, of registers that it does not have: a real device ignores that
