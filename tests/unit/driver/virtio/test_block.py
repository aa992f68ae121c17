"""virtio-blk against a model of a disk, over MMIO and over PCI: transfers, what is in flight, and disks that lie."""

from __future__ import annotations

import asyncio
import random
import select
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.device.errors import DeviceError, DeviceFailed, DeviceLost, ReadOnly
from sarab.driver.virtio import block
from sarab.driver.virtio.block import VirtioBlock
from sarab.driver.virtio.mmio import Mmio
from sarab.driver.virtio.pci import Pci
from sarab.driver.virtio.transport import F_EVENT_IDX
from sarab.testing.checks.block import check_block
from tests.unit.driver.virtio.model import Machine, MmioFace, PciFace
from tests.unit.driver.virtio.model_disk import SECTORS, WRITABLE, Chain, Disk


def over_mmio(disk: Disk) -> VirtioBlock:
    return VirtioBlock(Mmio(MmioFace(disk).registers), disk.machine)


def over_pci(disk: Disk) -> VirtioBlock:
    face = PciFace(disk)
    struct.pack_into(
        "<I", face.space, face.space.find(struct.pack("<BBBBHII", 20, 4, 4, 0, 0, face.CONFIG, 16)) + 10, 64
    )
    return VirtioBlock(Pci(face, face.function, disk.machine), disk.machine)


def make(features: int = WRITABLE, **more: Any) -> tuple[VirtioBlock, Disk]:
    disk = Disk(Machine(8 << 20), features, queue_size=more.pop("queue_size", 256))
    for name, value in more.items():
        setattr(disk, name, value)
    return over_mmio(disk), disk


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


@pytest.mark.parametrize("features", [WRITABLE, WRITABLE & ~F_EVENT_IDX, 0, block.F_FLUSH, block.F_RO], ids=str)
@pytest.mark.parametrize("queue_size", [256, 8])
def test_it_keeps_what_every_disk_promises(features: int, queue_size: int) -> None:
    check_block(lambda: make(features, queue_size=queue_size)[0])


def test_a_disk_of_large_sectors_and_small_transfers_keeps_them_too() -> None:
    check_block(lambda: make(blk_size=4096, size_max=4096 * 2 + 5)[0])


def test_a_disk_on_pci_keeps_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PciFace, "read_bar", _read_bar)
    check_block(lambda: over_pci(Disk(Machine(8 << 20))))


def _read_bar(face: PciFace, offset: int, size: int) -> int:
    """As PciFace's, with a configuration of 64 bytes."""
    if face.CONFIG <= offset < face.CONFIG + 64:
        return face.device.config(offset - face.CONFIG, size)
    return READ_BAR(face, offset, size)


READ_BAR = PciFace.read_bar


def test_what_the_disk_is_and_its_name() -> None:
    disk, device = make(serial=b"abcdefghijklmnopqrst")
    assert (disk.sector_size, disk.sectors, disk.read_only, disk.serial) == (
        512,
        SECTORS,
        False,
        "abcdefghijklmnopqrst",
    )
    assert device.requests == [(block.GET_ID, 0, 20)]
    assert make(block.F_BLK_SIZE, blk_size=4096)[0].sectors == SECTORS // 8
    nameless, device = make(answer=lambda kind, status, written: (2, 1))
    assert nameless.serial == ""
    assert make(serial=b"\xff\n")[0].serial == "\ufffd\n"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"blk_size": 0}, "sectors of 0 bytes"),
        ({"blk_size": 768}, "sectors of 768 bytes"),
        ({"blk_size": 1 << 20}, "sectors of 1048576 bytes"),
        ({"size_max": 511}, "takes no sector whole (size_max 511)"),
        ({"queue_size": 2}, "whose queue has 2 places"),
        ({"queue_size": 0}, "whose queue has 0 places"),
        ({"answer": lambda kind, status, written: (status, 22)}, "wrote more than a buffer holds"),
    ],
)
def test_a_disk_that_cannot_be_used_says_why_and_is_given_up(facts: dict[str, Any], words: str) -> None:
    disk = Disk(Machine(8 << 20), queue_size=facts.pop("queue_size", 256))
    for name, value in facts.items():
        setattr(disk, name, value)
    with pytest.raises(DeviceLost, match=words.replace("(", "\\(").replace(")", "\\)")):
        over_mmio(disk)
    assert disk.status == 128


def test_a_disk_that_does_not_say_its_name_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "SERIAL_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(Disk, "notified", lambda self, index: None)
    with pytest.raises(DeviceLost, match="does not say its name"):
        make()


def test_many_requests_are_in_flight_and_told_with_one_notification() -> None:
    async def main() -> None:
        disk, device = make()
        device.holds = True
        before = device.queues[0].notified
        tasks = [asyncio.ensure_future(disk.write(number, bytes([number]) * 512)) for number in range(50)]
        await asyncio.sleep(0.01)
        assert len(device.kept) == block.SLOTS_MAX
        assert device.queues[0].notified == before + 1
        device.holds = False
        device.release()
        await asyncio.gather(*tasks)
        assert device.medium[: 50 * 512] == b"".join(bytes([number]) * 512 for number in range(50))
        assert not disk._flying
        assert sorted(disk._free) == list(range(block.SLOTS_MAX))

    run(main())


def test_flush_waits_for_a_write_that_was_cancelled() -> None:
    async def main() -> None:
        disk, device = make()
        device.holds = True
        write = asyncio.ensure_future(disk.write(0, b"x" * 512))
        await asyncio.sleep(0.001)
        write.cancel()
        flush = asyncio.ensure_future(disk.flush())
        await asyncio.sleep(0.01)
        assert not flush.done()
        assert len(device.kept) == 1, "nothing is asked for before the write has ended"
        device.holds = False
        device.release()
        await flush
        assert [kind for kind, _, _ in device.requests] == [block.GET_ID, block.OUT, block.FLUSH]

    run(main())


def test_a_cancelled_transfer_leaves_the_queue_what_it_has_not_begun() -> None:
    async def main() -> None:
        disk, device = make(size_max=512)
        device.holds = True
        long = [asyncio.ensure_future(work) for work in (disk.write(0, bytes(512 * 100)), disk.read(0, 100))]
        await asyncio.sleep(0.001)
        for task in long:
            task.cancel()
        await asyncio.sleep(0.001)
        assert not disk._waiting
        device.holds = False
        device.release()
        await disk.flush()
        assert len(device.requests) == 1 + block.SLOTS_MAX + 1
        assert not disk._abandoned
        assert sorted(disk._free) == list(range(block.SLOTS_MAX))

    run(main())


def test_a_request_that_fails_takes_no_other_with_it() -> None:
    async def main() -> None:
        disk, device = make()
        device.answer = lambda kind, status, written: (1 if kind == block.OUT else status, written)
        with pytest.raises(DeviceFailed, match="a write of 1024 bytes from 1536 on failed"):
            await disk.write(3, bytes(1024))
        assert await disk.read(3, 2) == bytes(1024)
        device.answer = lambda kind, status, written: (2, written)
        await disk.discard(0, 8)  # it said that it can, and cannot: no more than a hint is lost
        with pytest.raises(DeviceFailed, match="a flush failed"):
            await disk.flush()

    run(main())


def test_discard_keeps_to_what_the_disk_takes_at_once() -> None:
    async def main() -> None:
        disk, device = make(discard_max=100)
        await disk.discard(1, 250)
        assert device.medium == bytes(512) + b"\xdd" * 250 * 512 + bytes((SECTORS - 251) * 512)
        assert device.requests[1:] == [(block.DISCARD, 0, 16)] * 3

    run(main())


def test_a_read_only_disk_is_asked_to_change_nothing() -> None:
    async def main() -> None:
        disk, device = make(block.WANTED)
        assert disk.read_only
        for work in (disk.write(0, bytes(512)), disk.discard(0, 1)):
            with pytest.raises(ReadOnly):
                await work
        await disk.flush()
        assert len(device.requests) == 1

    run(main())


Lie = Callable[[int, int, int], tuple[int | None, int]]
LIES: dict[str, Lie] = {
    "no status": lambda kind, status, written: (None, written),
    "less than it was asked for": lambda kind, status, written: (status, written - 1 if kind == block.IN else written),
    "more than there was room for": lambda kind, status, written: (status, written + 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_disk_that_lies_is_lost_for_all_who_wait(lie: str) -> None:
    async def main() -> None:
        disk, device = make(WRITABLE)
        device.answer = LIES[lie]
        device.holds = True
        tasks: list[Awaitable[object]] = [asyncio.ensure_future(disk.read(0, 300)) for _ in range(20)]
        await asyncio.sleep(0.001)
        device.release()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(error, DeviceLost) for error in found)
        assert not device.queues[0].ready, "the disk was stopped before its memory is anybody's again"
        with pytest.raises(DeviceLost):
            await disk.write(0, bytes(512))
        disk.close()

    run(main())


def test_a_disk_that_gives_up_is_lost() -> None:
    async def main() -> None:
        disk, device = make()
        device.holds = True
        task = asyncio.ensure_future(disk.read(0, 1))
        await asyncio.sleep(0.001)
        device.status |= 64
        device._raise_line()
        with pytest.raises(DeviceLost, match="given up"):
            await task

    run(main())


def test_closing_tells_those_who_wait_and_stops_the_disk() -> None:
    async def main() -> None:
        disk, device = make()
        device.holds = True
        before = device.resets
        task = asyncio.ensure_future(disk.read(0, 1))
        await asyncio.sleep(0.001)
        disk.close()
        disk.close()
        with pytest.raises(DeviceLost, match="was closed"):
            await task
        assert device.resets == before + 1
        with pytest.raises(DeviceLost):
            await disk.flush()

    run(main())


def test_a_disk_outlives_its_loop() -> None:
    disk, device = make(WRITABLE)

    async def first() -> None:
        device.holds = True
        task = asyncio.ensure_future(disk.write(0, b"a" * 512))
        await asyncio.sleep(0.001)
        task.cancel()

    async def second() -> None:
        flush = asyncio.ensure_future(disk.flush())
        await asyncio.sleep(0.01)
        assert not flush.done()
        device.holds = False
        device.release()
        await flush
        assert await disk.read(0, 1) == b"a" * 512

    run(first())
    run(second())
    disk.close()


def test_an_idle_disk_wakes_nobody() -> None:
    async def main() -> None:
        disk, device = make()
        await disk.read(0, 1)
        assert not select.select([disk._interrupt.fileno()], [], [], 0)[0]
        assert device.interrupts <= 2

    run(main())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_answer_of_a_hostile_disk_is_more_than_a_device_error(data: st.DataObject) -> None:
    """Any number in the used ring and any status: each caller gets bytes of the right length, or a DeviceError."""

    async def main() -> None:
        disk, device = make(WRITABLE)
        chance = random.Random(data.draw(st.integers(0, 1 << 32)))

        def lie(chain: Chain) -> None:
            head, pieces = chain
            pieces[-1][0][0] = chance.choice((0, 0, 0, 1, 2, 255, 7))
            size = sum(len(view) for view, writable in pieces if writable)
            entries = [(chance.choice((head, head, head, 3, 1000)), chance.choice((size, size, 0, size + 9)))]
            device.queues[0].push(entries * chance.choice((1, 1, 1, 2)))
            device.signal(device.queues[0])

        device.do = lie  # type: ignore[method-assign]
        for _ in range(20):
            tasks = [asyncio.ensure_future(work) for work in (disk.read(0, 2), disk.write(0, bytes(512)), disk.flush())]
            done, pending = await asyncio.wait(tasks, timeout=0.02 if disk._lost is None else 1)
            for task in pending:
                task.cancel()  # a device may be silent for ever
            for task in done:
                error = task.exception()
                assert error is None or isinstance(error, DeviceError)
                assert error is not None or len(task.result() or bytes(1024)) == 1024
            if disk._lost is not None:
                return
        disk.close()

    run(main())
