"""virtio's ring as a target: any bytes are what a hostile host writes into the memory it shares with a driver.

Whatever it writes, the driver gives frames made of its own buffers, or raises DeviceLost; it reads no byte outside what
it was given (the model of the device has no memory beyond), and holds no more than its buffers.
"""

from __future__ import annotations

import os
from random import Random

from sarab.device.network import DeviceLost, Outgoing
from sarab.driver.virtio import net
from sarab.driver.virtio.mmio import Mmio
from sarab.driver.virtio.net import VirtioNet
from sarab.driver.virtio.rng import VirtioRng
from tests.unit.driver.virtio.model import Device, Machine, MmioFace, Queue

RECORDS_MAX = 48
SIZE = 8
"""Buffers of a queue: few, so that the story comes round."""


def _record(card: VirtioNet, device: Device, kind: int, data: bytes) -> None:
    """Let the device write something, or the driver look."""
    queue: Queue = device.queues[kind >> 7]
    word = int.from_bytes(data[:2], "little")
    machine = device.machine
    match kind & 7:
        case 0:  # a used element
            at = queue.device + 4 + 8 * (word % queue.size)
            machine.view(at, 8)[:] = data[2:10].ljust(8, b"\0")
        case 1:  # the index: a little more, or anything
            index = queue.used + (word & 15) if kind & 8 else word
            queue.used = index & 0xFFFF
            machine.view(queue.device + 2, 2)[:] = (index & 0xFFFF).to_bytes(2, "little")
        case 2:  # what is read as a frame's header
            start = word % SIZE * net.BUFFER_SIZE
            region = card._buffers.view
            region[start : start + min(len(data), 64)] = data[:64]
        case 3:  # flags, or where the device wants to be told
            machine.view(queue.device, 2)[:] = data[:2].ljust(2, b"\0")
            machine.view(queue.device + 4 + 8 * queue.size, 2)[:] = data[2:4].ljust(2, b"\0")
        case 4:  # as a device that behaves
            if kind & 8:
                device.deliver(data or b"x", flags=word & 3, gso=word >> 4 & 4, gso_size=word, num_buffers=word >> 12)
            else:
                device.transmit(1 + (word & 7), lambda heads: heads[::-1] if kind & 16 else heads)
        case 5:  # the driver sends
            count = card.send([Outgoing(b"y" * 60, bytes((word & 63) * 200))] * (1 + (kind >> 3 & 15)))
            assert 0 <= count <= 16
        case 6:
            device.status |= 64
            device.raise_()
        case _:
            limit = 1 + (kind >> 3 & 15)
            frames = card.receive(limit)
            assert len(frames) <= limit
            assert sum(len(frame.data) for frame in frames) <= SIZE * net.BUFFER_SIZE


def any_device(data: bytes) -> None:
    """Run a story of a network card. Raises whatever the driver must not."""
    if not data:
        return
    machine = Machine(2 << 20)
    features = [net.WANTED, net.WANTED & ~net.F_MRG_RXBUF, net.WANTED & ~(1 << 29), 0][data[0] & 3]
    device = Device(machine, features, queue_size=SIZE)
    device.held = True
    try:
        card = VirtioNet(Mmio(MmioFace(device).registers), machine)
        at = 1
        for _ in range(RECORDS_MAX):
            if at + 2 > len(data):
                break
            size = data[at + 1] & 127
            try:
                _record(card, device, data[at], data[at + 2 : at + 2 + size])
            except AssertionError as wrong:
                if wrong.__traceback__ is None or not _is_of_the_model(wrong):
                    raise
            at += 2 + size
        card.receive(SIZE)
        lent = sum(card._rx.lent) + len(card._rx.free)
        assert lent <= SIZE
        card.close()
    except DeviceLost:
        pass
    finally:
        if _is_open(machine.line.descriptor):
            os.close(machine.line.descriptor)


def _is_of_the_model(wrong: AssertionError) -> bool:
    """The model refuses what its device cannot do, such as a frame that is too long for it."""
    trace = wrong.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.endswith("model.py")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class _Entropy(Device):
    """Gives what a story says it gives."""

    def notified(self, index: int) -> None:
        """Nothing comes by itself."""


def any_entropy(data: bytes) -> None:
    """Run a story of an entropy device."""
    machine = Machine(1 << 20)
    device = _Entropy(machine, queue_size=SIZE)
    device.device_id = 4
    source = VirtioRng(Mmio(MmioFace(device).registers), machine)
    try:
        for at in range(0, min(len(data), 200), 10):
            part = data[at : at + 10].ljust(10, b"\0")
            source.ask(1 + int.from_bytes(part[:2], "little"))
            queue = device.queues[0]
            machine.view(queue.device + 4 + 8 * (part[2] % queue.size), 8)[:] = part[2:10]
            machine.view(queue.device + 2, 2)[:] = bytes((part[9], part[8] & 1))
            assert len(source.take()) <= 4096
    except DeviceLost:
        pass
    finally:
        source.close()


def seeds() -> list[bytes]:
    """Return stories to begin with: each kind of record among ones that behave."""
    chance = Random(3)
    found = []
    for kind in range(256):
        records = [bytes((4 | 8, 60)) + bytes(60), bytes((kind, 12)) + chance.randbytes(12), b"\x47\0", b"\5\2ab"]
        found.append(bytes((kind & 3,)) + b"".join(records * 3))
    return found
