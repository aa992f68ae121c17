"""virtio-net against a model of a card, over a model of MMIO: frames, room, interrupts, and cards that lie."""

from __future__ import annotations

import random
import select
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.device.network import DeviceLost, Gso, Incoming, Offload, Outgoing
from sarab.driver.virtio import net
from sarab.driver.virtio.mmio import Mmio
from sarab.driver.virtio.net import VirtioNet
from sarab.driver.virtio.transport import DEVICE_NEEDS_RESET, F_EVENT_IDX, FAILED
from sarab.testing.cards import check_network
from tests.unit.driver.virtio.model import HEADER, Device, Machine, MmioFace, Wire


def card_of(device: Device) -> VirtioNet:
    return VirtioNet(Mmio(MmioFace(device).registers), device.machine)


def make(features: int = net.WANTED, **more: int) -> tuple[VirtioNet, Device]:
    device = Device(Machine(), features, **more)
    return card_of(device), device


def is_readable(card: VirtioNet) -> bool:
    return bool(select.select([card.fileno()], [], [], 0)[0])


@pytest.mark.parametrize("features", [net.WANTED, net.WANTED & ~F_EVENT_IDX, 0, net.F_CSUM | net.F_MAC])
def test_it_keeps_what_every_card_promises(features: int) -> None:
    def fresh() -> tuple[VirtioNet, Wire]:
        card, device = make(features)
        return card, Wire(device)

    check_network(fresh)


def test_features_become_offloads_mac_and_mtu() -> None:
    card, _ = make(mtu=9000)
    assert card.offloads == Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6
    assert (card.mac, card.mtu) == (b"\x02\x11\x22\x33\x44\x55", 9000)
    card, device = make(0)
    assert card.offloads == Offload.NONE
    assert card.mac[0] == 2
    assert card.mtu == 1500
    assert device.taken == 1 << 32


def test_bursts_are_not_asked_for_where_a_buffer_could_not_hold_them() -> None:
    _, device = make(net.WANTED & ~net.F_MRG_RXBUF)
    assert not device.taken & (net.F_GUEST_TSO4 | net.F_GUEST_TSO6)
    assert device.taken & net.F_HOST_TSO4


@pytest.mark.parametrize("mtu", [0, 67, 65535])
def test_an_mtu_is_believed_within_bounds(mtu: int) -> None:
    assert make(mtu=mtu)[0].mtu == (65535 if mtu == 65535 else 1500)
    assert make(net.F_MTU, mtu=mtu)[0].mtu <= 4096 - 12 - 18


def test_offloads_are_told_to_the_card() -> None:
    card, device = make()
    assert card.send([Outgoing(b"h" * 54, b"p" * 3000, 34, 16, Gso.TCPV4, 1448), Outgoing(b"plain" * 12)]) == 2
    assert device.sent[0] == ((1, 1, 54, 1448, 34, 16, 0), b"h" * 54 + b"p" * 3000)
    assert device.sent[1] == ((0, 0, 0, 0, 0, 0, 0), b"plain" * 12)


def test_a_burst_in_many_buffers_is_one_frame() -> None:
    card, device = make()
    data = random.Random(1).randbytes(65000)
    device.deliver(data, flags=1, gso=1, gso_size=1448)
    device.deliver(b"small" * 12, flags=2)
    device.deliver(b"plain" * 12)
    assert card.receive(10) == [
        Incoming(data, True, 1448),
        Incoming(b"small" * 12, True, 0),
        Incoming(b"plain" * 12, False, 0),
    ]


@pytest.mark.parametrize("limit", [1, 7, 256])
@pytest.mark.parametrize("features", [net.WANTED, net.WANTED & ~F_EVENT_IDX])
@pytest.mark.parametrize("pulses", [False, True])
def test_nobody_sleeps_while_frames_lie_in_the_ring(limit: int, features: int, pulses: bool) -> None:
    """receive() is called only when the descriptor is readable, once each time, and yet every frame comes."""
    device = Device(Machine(), features)
    device.machine.line.pulses = pulses
    card = card_of(device)
    chance = random.Random(limit)
    sent, got = 0, 0
    while sent < 2000:
        for _ in range(chance.choice((0, 1, 2, 256, 300))):
            device.deliver(sent.to_bytes(4, "big") * 15)
            sent += 1
        while is_readable(card):
            frames = card.receive(limit)
            assert len(frames) <= limit
            for frame in frames:
                assert frame.data == got.to_bytes(4, "big") * 15
                got += 1
        assert got == sent


def test_an_idle_card_is_silent() -> None:
    card, device = make()
    device.deliver(b"x" * 60)
    assert is_readable(card)
    assert len(card.receive(256)) == 1
    assert not is_readable(card)
    assert card.receive(256) == []


def test_a_busy_receiver_is_not_interrupted_for_each_frame() -> None:
    card, device = make()
    for _ in range(100):
        device.deliver(b"x" * 60)
    assert device.interrupts == 1
    assert len(card.receive(256)) == 100


def test_a_sender_is_not_interrupted_at_all() -> None:
    card, device = make()
    for _ in range(1000):
        assert card.send([Outgoing(b"x" * 60)]) == 1
    assert device.interrupts == 0
    assert len(device.sent) == 1000


def test_one_batch_is_one_notification() -> None:
    card, device = make()
    assert card.send([Outgoing(b"x" * 60)] * 100) == 100
    assert device.queues[1].notified == 1


@pytest.mark.parametrize("features", [net.WANTED, net.WANTED & ~F_EVENT_IDX])
@pytest.mark.parametrize("size", [60, 65549])
def test_a_full_ring_says_when_there_is_room(features: int, size: int) -> None:
    card, device = make(features)
    device.held = True
    frames = [Outgoing(b"h" * 60, bytes([number]) * (size - 60)) for number in range(200)] * 2
    taken = card.send(frames)
    assert 0 < taken < len(frames)
    assert card.send(frames[taken:]) == 0
    card.receive(1)
    assert not is_readable(card)
    device.transmit(2)  # memory is a ring, of which a few bytes stay empty: one may not be enough for one
    assert is_readable(card)
    assert card.receive(1) == []
    assert card.send(frames[taken:]) >= 1
    device.transmit()
    while (done := len(device.sent)) < len(frames):
        card.send(frames[done:])
        device.transmit()
    assert [data for _, data in device.sent] == [frame.header + bytes(frame.payload) for frame in frames]


raced = pytest.mark.skipif(net.__file__.endswith(".so"), reason="a compiled card takes no queue but a compiled one")


class Raced:
    """A queue in which something happens while the driver asks for an interrupt."""

    def __init__(self, queue: object, interrupts_on: Callable[[], bool]) -> None:
        self._queue, self.interrupts_on = queue, interrupts_on

    def __getattr__(self, name: str) -> object:
        return getattr(self._queue, name)


def nothing() -> None:
    pass


def race(
    card: VirtioNet, name: str, *, before: Callable[[], None] = nothing, after: Callable[[], None] = nothing
) -> None:
    """The next time the driver asks for the queue's interrupts, do something just before or just after it."""
    queue = getattr(card, name)
    done = False

    def interrupts_on() -> bool:
        nonlocal done
        if done:
            return bool(queue.interrupts_on())
        done = True
        before()
        result: bool = queue.interrupts_on()
        after()
        return result

    setattr(card, name, Raced(queue, interrupts_on))


@raced
def test_room_that_comes_while_we_ask_for_it_is_used() -> None:
    """The device sends between our last look and our asking for an interrupt: no interrupt will ever come."""
    card, device = make()
    device.held = True
    race(card, "_tx", before=device.transmit)
    assert card.send([Outgoing(b"x" * 60)] * 300) == 300


@raced
@pytest.mark.parametrize("limit", [1, 2, 256])
def test_frames_that_come_while_we_ask_for_an_interrupt_are_not_forgotten(limit: int) -> None:
    card, device = make()

    def three() -> None:
        for _ in range(3):
            device.deliver(b"x" * 60)

    device.deliver(b"x" * 60)
    race(card, "_rx", before=three)
    got = len(card.receive(limit))
    assert device.interrupts == 1, "only of the first does the device tell"
    while is_readable(card):
        got += len(card.receive(limit))
    assert got == 4


@raced
def test_a_pulse_right_after_we_asked_for_it_is_heard() -> None:
    card, device = make()
    device.machine.line.pulses = True
    device.deliver(b"x" * 60)
    race(card, "_rx", after=lambda: device.deliver(b"y" * 60))
    assert card.receive(256) == [Incoming(b"x" * 60)]
    assert is_readable(card)
    assert card.receive(256) == [Incoming(b"y" * 60)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(14, 66000), st.integers(0, 300)), max_size=40), st.randoms(use_true_random=False))
def test_what_lies_in_the_ring_is_never_overwritten(batches: list[tuple[int, int]], chance: random.Random) -> None:
    """Frames of any size, given back in any order, arrive as they were."""
    card, device = make(queue_size=16)
    device.held = True
    expected = []

    def shuffled(heads: list[int]) -> list[int]:
        chance.shuffle(heads)
        return heads

    for number, (size, most) in enumerate(batches):
        data = bytes([number % 251]) * size
        if card.send([Outgoing(data[:14], data[14:])]) and size <= net.FRAME_SIZE_MAX:
            expected.append(data)
        device.transmit(most, shuffled)
    device.transmit()
    assert [data for _, data in device.sent] == expected


def test_what_no_card_could_carry_is_dropped_and_counted() -> None:
    card, device = make()
    assert card.send([Outgoing(b"h" * 14, bytes(70000)), Outgoing(b"x" * 60)]) == 2
    assert len(device.sent) == 1
    assert card.oversized == 1


# ---- starting -------------------------------------------------------------------------------------------------------


def test_a_device_that_refuses_or_hangs_is_lost() -> None:
    for change, words in (("refuses", "refuses"), ("stuck", "does not reset")):
        device = Device(Machine())
        setattr(device, change, True)
        device.status = 4
        with pytest.raises(DeviceLost, match=words):
            card_of(device)


def test_a_legacy_device_is_told_apart() -> None:
    device = Device(Machine())
    assert Mmio(MmioFace(device, version=1).registers).device_id == 0
    device.features &= ~(1 << 32)
    with pytest.raises(DeviceLost, match="force-legacy"):
        card_of(device)
    assert device.status == FAILED


def test_without_queues_or_memory_the_card_is_given_up() -> None:
    for device, error in ((Device(Machine(), queue_size=0), DeviceLost), (Device(Machine(1 << 20)), MemoryError)):
        with pytest.raises(error):
            card_of(device)
        assert device.status == FAILED
        assert not device.queues[0].ready


def test_closing_stops_the_device() -> None:
    card, device = make()
    before = device.resets
    card.close()
    card.close()
    assert device.resets == before + 1
    assert card.receive(1) == []
    assert card.send([Outgoing(b"x" * 60)]) == 1


# ---- cards that lie --------------------------------------------------------------------------------------------------


def test_a_buffer_that_does_not_exist_is_lost() -> None:
    for queue in (0, 1):
        card, device = make()
        card.send([Outgoing(b"x" * 60)])
        device.held = True
        card.send([Outgoing(b"x" * 60)] * 300)
        device.queues[queue].push([(256, 60)])
        with pytest.raises(DeviceLost, match="does not have"):
            card.receive(1) if queue == 0 else card.send([Outgoing(b"x" * 60)])


def test_a_buffer_twice_is_lost() -> None:
    card, device = make()
    device.queues[0].push([(5, 60), (5, 60)])
    with pytest.raises(DeviceLost, match="does not have"):
        card.receive(10)
    card, device = make()
    device.held = True
    card.send([Outgoing(b"x" * 60)] * 256)
    device.queues[1].push([(5, 0), (5, 0)])
    with pytest.raises(DeviceLost, match="does not have"):
        card.send([Outgoing(b"x" * 60)])


def test_more_than_was_lent_is_lost() -> None:
    card, device = make()
    device.held = True
    card.send([Outgoing(b"x" * 60)])
    device.queues[1].push([(255, 0), (254, 0)])
    with pytest.raises(DeviceLost, match="than it was given"):
        card.send([Outgoing(b"x" * 60)] * 256)


def test_more_than_a_buffer_holds_is_lost() -> None:
    card, device = make()
    device.queues[0].push([(3, 4097)])
    with pytest.raises(DeviceLost, match="more than a buffer holds"):
        card.receive(1)


def test_a_frame_that_is_all_header_is_counted() -> None:
    card, device = make()
    queue = device.queues[0]
    for length in (0, 11, 12):
        head, _, _ = queue.pop(device.event_idx)
        queue.push([(head, length)])
    device.signal(queue)
    device.deliver(b"x" * 60)
    assert card.receive(9) == [Incoming(b"x" * 60)]
    assert card.malformed == 3


def test_a_frame_of_more_buffers_than_came_is_lost() -> None:
    for buffers in (2, 257, 65535):
        card, device = make()
        device.deliver(b"x" * 60, num_buffers=buffers)
        with pytest.raises(DeviceLost, match="before all of it"):
            card.receive(1)


def test_without_mergeable_buffers_their_number_means_nothing() -> None:
    card, device = make(0)
    device.deliver(b"x" * 60, num_buffers=9)
    assert card.receive(1) == [Incoming(b"x" * 60)]


def test_a_device_that_has_given_up_is_lost() -> None:
    card, device = make()
    device.status |= DEVICE_NEEDS_RESET
    device.raise_()
    with pytest.raises(DeviceLost, match="given up"):
        card.receive(1)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_card_that_writes_anything_anywhere_it_may_raises_only_device_lost(data: st.DataObject) -> None:
    card, device = make(queue_size=8)
    device.held = True
    card.send([Outgoing(b"x" * 60)] * 4)
    for queue in device.queues:
        used = device.machine.view(queue.device, 6 + 8 * queue.size)
        used[:] = data.draw(st.binary(min_size=len(used), max_size=len(used)))
        if data.draw(st.booleans()):  # likelier to get past the first check
            used[2:4] = data.draw(st.integers(0, 8)).to_bytes(2, "little")
            for slot in range(queue.size):
                used[4 + 8 * slot : 8 + 8 * slot] = data.draw(st.integers(0, 8)).to_bytes(4, "little")
                used[8 + 8 * slot : 12 + 8 * slot] = data.draw(st.integers(0, 4100)).to_bytes(4, "little")
    buffers = device.machine.view(card._buffers.physical, 8 * net.BUFFER_SIZE)
    for number in range(8):
        head = data.draw(st.binary(min_size=HEADER.size, max_size=HEADER.size))
        buffers[number * net.BUFFER_SIZE :][: HEADER.size] = head
    try:
        for _ in range(3):
            frames = card.receive(8)
            assert sum(len(frame.data) for frame in frames) <= 8 * net.BUFFER_SIZE
            card.send([Outgoing(b"y" * 60)] * 9)
    except DeviceLost:
        pass
