"""A hostile host behind virtio, and a whole network above it: the card is lost with a sentence, or nothing happens.

Which numbers the driver checks is tests/unit/driver/virtio's; here a program's network goes on without the card.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import pytest

from sarab.aio.network import WAITING_MAX, NetworkDriver
from sarab.device.network import Outgoing
from sarab.driver.virtio.mmio import Mmio
from sarab.driver.virtio.net import VirtioNet
from sarab.driver.virtio.transport import DEVICE_NEEDS_RESET
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.wire.address import LOOPBACK4, parse
from tests.unit.driver.virtio.model import HEADER, Device, Machine, MmioFace

OURS, PEER, PEER_MAC = parse("10.0.0.1"), parse("10.0.0.2"), b"\2\0\0\0\0\2"
QUEUE = 64
ASK = b"\xff" * 6 + PEER_MAC + b"\x08\x06\0\1\x08\0\6\4\0\1" + PEER_MAC + PEER + bytes(6) + OURS
"""ARP: who has our address?"""


class Victim:
    """A network driver over one card, whose device is the attacker's."""

    def __init__(self) -> None:
        self.device = Device(Machine(), queue_size=QUEUE)
        self.card = VirtioNet(Mmio(MmioFace(self.device).registers), self.device.machine)
        self.network = NetworkDriver(Stack(os.urandom))
        stack, card = self.network.stack, self.card
        self.interface = stack.add_interface("eth0", card.mac, card.mtu, card.offloads, Configuration(((OURS, 24),)))
        self.network.add_card(card, self.interface)

    def turn(self) -> None:
        """Let the network do what it does when the card's descriptor is readable."""
        with self.network.lock:
            self.network.receive()
            self.network.poll()

    def answers(self) -> bool:
        """Say whether the card still carries a question and its answer."""
        before = len(self.device.sent)
        self.device.deliver(ASK)
        self.turn()
        return any(frame[:6] == PEER_MAC for _, frame in self.device.sent[before:])

    def loops_back(self) -> bool:
        """Say whether the rest of the network is alive."""
        with self.network.lock:
            port = self.network.stack.udp_open(0, LOOPBACK4, 0)
            port.send_to(0, b"x", LOOPBACK4, port.local[1])
            self.network.poll()
            got = port.receive_from()
            port.close(0)
        return got is not None and got[0] == b"x"


@pytest.fixture
def victim() -> Iterator[Victim]:
    made = Victim()
    assert made.answers()
    yield made
    os.close(made.device.machine.line.descriptor)


def give_back(queue: int, *entries: tuple[int, int]) -> Callable[[Device], None]:
    """Return what puts these into the used ring and interrupts."""

    def lie(device: Device) -> None:
        device.queues[queue].push(entries)
        device.raise_()

    return lie


def jump(queue: int, by: int) -> Callable[[Device], None]:
    """Return what moves the used index by so much, and interrupts."""

    def lie(device: Device) -> None:
        ring = device.queues[queue]
        index = (ring.used + by) & 0xFFFF
        device.machine.view(ring.device + 2, 2)[:] = index.to_bytes(2, "little")
        device.raise_()

    return lie


def give_up(device: Device) -> None:
    device.status |= DEVICE_NEEDS_RESET
    device.raise_()


LOSSES = {
    "a buffer that does not exist": give_back(0, (QUEUE, 60)),
    "a buffer of the largest number": give_back(0, (0xFFFFFFFF, 60)),
    "a buffer twice": give_back(0, (5, 60), (5, 60)),
    "more bytes than a buffer holds": give_back(0, (5, 4097)),
    "the most bytes that can be said": give_back(0, (5, 0xFFFFFFFF)),
    "more buffers than it was given": jump(0, QUEUE + 1),
    "an index that goes back": jump(0, -1),
    "an index at the other end": jump(0, 0x8000),
    "a frame of buffers that did not come": lambda device: device.deliver(b"x" * 60, num_buffers=2),
    "a frame of as many buffers as can be said": lambda device: device.deliver(b"x" * 60, num_buffers=65535),
    "it wants a reset": give_up,
}


@pytest.mark.parametrize("lie", LOSSES)
def test_card_that_lies_is_lost_with_a_sentence_and_the_network_goes_on(
    victim: Victim, lie: str, capfd: pytest.CaptureFixture[str]
) -> None:
    LOSSES[lie](victim.device)
    victim.turn()
    assert len(victim.network.lost) == 1
    assert "sarab: the network card eth0 is lost: a virtio " in capfd.readouterr().err
    assert not victim.network.cards
    assert victim.loops_back()
    victim.turn()


SENDING = {
    "a buffer that was not sent": give_back(1, (QUEUE - 1, 0)),
    "a buffer that does not exist": give_back(1, (QUEUE, 0)),
    "more buffers than were sent": jump(1, QUEUE + 1),
}


@pytest.mark.parametrize("lie", SENDING)
def test_card_that_lies_about_what_it_sent_is_lost_when_room_is_wanted(victim: Victim, lie: str) -> None:
    victim.device.held = True
    SENDING[lie](victim.device)
    with victim.network.lock:
        for _ in range(2 * QUEUE):
            victim.interface.queue(Outgoing(bytes(60)))
        victim.network.poll()
    assert len(victim.network.lost) == 1
    assert victim.loops_back()


def test_card_that_sends_nothing_holds_a_bounded_number_of_frames(victim: Victim) -> None:
    victim.device.held = True
    with victim.network.lock:
        for _ in range(100):
            for _ in range(100):
                victim.interface.queue(Outgoing(bytes(1000)))
            victim.network.poll()
    (card,) = victim.network.cards
    assert len(card.waiting) == WAITING_MAX
    assert card.dropped == 10_000 - WAITING_MAX - QUEUE
    assert victim.loops_back()
    victim.device.held = False
    victim.device.transmit()
    victim.turn()
    assert len(victim.device.sent) >= QUEUE + 1


def header(flags: int, kind: int, size: int, gso: int, start: int, offset: int) -> bytes:
    return HEADER.pack(flags, kind, size, gso, start, offset, 1)


@pytest.mark.parametrize(
    "said",
    [header(255, 255, 65535, 65535, 65535, 65535), header(1, 1, 0, 0, 0, 0), header(0, 0x81, 1, 1, 1, 1),
     header(1, 4, 54, 1, 0, 65535), header(2, 3, 0, 65535, 9, 9)],
)  # fmt: skip
def test_nonsense_in_the_header_of_a_frame_is_not_believed(victim: Victim, said: bytes) -> None:
    device = victim.device
    queue = device.queues[0]
    for frame in (ASK, b"", b"x", bytes(4000), os.urandom(1514)):
        head, memory, _ = queue.pop(device.event_idx)
        memory[: len(said) + len(frame)] = said[: HEADER.size] + frame
        queue.push([(head, HEADER.size + len(frame))])
    device.raise_()
    victim.turn()
    assert not victim.network.lost
    assert victim.answers()


def test_frame_larger_than_any_packet_is_dropped_and_counted(victim: Victim) -> None:
    before = victim.network.stack.statistics()
    victim.device.deliver(PEER_MAC[:0] + victim.card.mac + PEER_MAC + b"\x08\0" + b"\x45" + bytes(QUEUE * 4096 - 40))
    victim.turn()
    after = victim.network.stack.statistics()
    assert after["frames_in"] == before["frames_in"] + 1
    assert after["malformed"] + after["not_for_us"] > before["malformed"] + before["not_for_us"]
    assert victim.answers()


def test_storm_of_interrupts_is_work_for_each_turn_and_no_more(victim: Victim) -> None:
    for _ in range(200):
        victim.device.raise_()
        victim.turn()
    assert not victim.network.lost
    assert victim.answers()


def test_configuration_that_changes_under_way_changes_nothing(victim: Victim) -> None:
    mac, mtu = victim.card.mac, victim.card.mtu
    victim.device.mac, victim.device.mtu, victim.device.queue_size = b"\xff" * 6, 0, 0
    victim.device.features = 0
    victim.device.isr |= 2
    victim.device.raise_()
    victim.turn()
    assert (victim.card.mac, victim.card.mtu) == (mac, mtu)
    assert victim.interface.mac == mac
    assert victim.answers()


def test_device_that_forgets_everything_is_silent_and_harms_nobody(victim: Victim) -> None:
    old = victim.device.queues
    victim.device.reset()
    victim.device.raise_()
    victim.turn()
    assert victim.loops_back()
    struct.pack_into("<H", victim.device.machine.view(old[0].device + 2, 2), 0, old[0].used + 1)
    victim.turn()
    assert victim.loops_back()
