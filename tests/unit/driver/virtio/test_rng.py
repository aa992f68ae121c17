"""virtio-rng against a model of the device: what is asked for, what comes, and a device that lies."""

from __future__ import annotations

import pytest

from sarab.device.network import DeviceLost
from sarab.driver.virtio.mmio import Mmio
from sarab.driver.virtio.rng import REQUEST_MAX, VirtioRng
from tests.unit.driver.virtio.model import Device, Machine, MmioFace


class Entropy(Device):
    """Gives the bytes 0, 1, 2, ... in answers of at most `portion`."""

    portion = 4096
    given = 0
    silent = False

    def notified(self, index: int) -> None:
        assert index == 0
        queue = self.queues[0]
        while not self.silent and queue.available():
            head, memory, writable = queue.pop(self.event_idx)
            assert writable
            count = min(len(memory), self.portion)
            memory[:count] = bytes((self.given + step) % 256 for step in range(count))
            self.given += count
            queue.push([(head, count)])
            self.signal(queue)


def make() -> tuple[VirtioRng, Entropy]:
    device = Entropy(Machine())
    device.device_id = 4
    return VirtioRng(Mmio(MmioFace(device).registers), device.machine), device


def test_bytes_come_in_order_and_each_once() -> None:
    source, device = make()
    device.portion = 100
    assert source.read(1000) == bytes(step % 256 for step in range(1000))
    assert device.given == 1000, "no more is asked for than is wanted"
    assert source.take() == b""


def test_what_was_given_does_not_stay_in_memory() -> None:
    source, _ = make()
    source.read(100)
    assert not any(source._memory)


def test_a_silent_host_does_not_hold_anybody_up() -> None:
    source, device = make()
    device.silent = True
    assert source.read(10, patience_s=0.01) == b""
    device.silent = False
    device.notified(0)
    assert source.read(10) == bytes(range(10))


def test_a_request_has_a_bound() -> None:
    source, device = make()
    source.ask(1 << 20)
    source.ask(1 << 20)
    assert source.take() == bytes(step % 256 for step in range(REQUEST_MAX))
    assert device.given == REQUEST_MAX


def test_more_than_was_asked_for_is_lost() -> None:
    source, device = make()
    device.silent = True
    source.ask(16)
    device.queues[0].pop(True)
    device.queues[0].push([(0, 17)])
    with pytest.raises(DeviceLost):
        source.take()


def test_closing_stops_the_device() -> None:
    source, device = make()
    before = device.resets
    source.close()
    source.close()
    assert device.resets == before + 1
    assert source.read(10) == b""
