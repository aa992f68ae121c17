"""virtio-blk as a target: any bytes are what a hostile host answers, and what a program asks for meanwhile.

Whatever comes, a request ends with bytes of the length that was asked for, with a DeviceError, or not at all; the
driver has no more requests than slots, and no slot twice.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from random import Random
from typing import Any

from sarab.device.errors import DeviceError, DeviceLost
from sarab.driver.virtio import block
from sarab.driver.virtio.block import VirtioBlock
from sarab.driver.virtio.mmio import Mmio
from tests.unit.driver.virtio.model import Machine, MmioFace
from tests.unit.driver.virtio.model_disk import WRITABLE, Disk

RECORDS_MAX = 40
QUEUE_SIZE = 16
"""Five requests: few, so that others wait."""
RAM_SIZE = 1 << 20
SIZE_MAX = 2048


def any_disk(data: bytes) -> None:
    """Run a story of a disk. Raises whatever the driver must not."""
    if len(data) < 12:
        return
    machine = Machine(RAM_SIZE)
    features = [WRITABLE, block.WANTED, WRITABLE & ~(1 << 29), 0][data[0] & 3]
    disk = Disk(machine, features, queue_size=QUEUE_SIZE)
    disk.size_max = SIZE_MAX
    if data[0] & 4:  # what it says of itself
        disk.blk_size, disk.size_max, disk.capacity = (
            1 << (data[1] & 31),
            data[2] << 8,
            int.from_bytes(data[3:11], "big"),
        )
        disk.serial = data[3:11]
    try:
        driver = VirtioBlock(Mmio(MmioFace(disk).registers), machine)
    except (DeviceLost, MemoryError):
        os.close(machine.line.descriptor)
        return
    disk.holds = True
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_story(driver, disk, data[11:]))
    finally:
        driver.close()
        loop.close()


async def _story(driver: VirtioBlock, disk: Disk, data: bytes) -> None:
    wanted: dict[asyncio.Task[Any], int | None] = {}
    at = 0
    for _ in range(RECORDS_MAX):
        if at + 2 > len(data):
            break
        size = data[at + 1] & 15
        _record(driver, disk, data[at], data[at + 2 : at + 2 + size], wanted)
        at += 2 + size
        await asyncio.sleep(0)
        _check(driver)
    if driver._lost is None:
        disk.machine.line.fire()
    for _ in range(4):
        await asyncio.sleep(0)
    for task in wanted:
        task.cancel()
    if wanted:
        await asyncio.wait(wanted)
    for task, length in wanted.items():
        if task.cancelled():
            continue
        error = task.exception()
        if error is None:
            assert length is None or len(task.result()) == length
        elif not isinstance(error, DeviceError):
            raise error
    _check(driver)


def _record(
    driver: VirtioBlock, disk: Disk, kind: int, data: bytes, wanted: dict[asyncio.Task[Any], int | None]
) -> None:
    queue, machine = disk.queues[0], disk.machine
    word = int.from_bytes(data[:2], "little")
    if driver._lost is not None and kind & 7 < 4:
        return  # it was reset, and has no queue
    match kind & 7:
        case 0:  # a used element, of a request or of none
            at = queue.device + 4 + 8 * (queue.used % queue.size)
            entry = data[:8].ljust(8, b"\0")
            if kind & 8 and disk.kept:
                entry = disk.kept[word % len(disk.kept)][0].to_bytes(4, "little") + data[2:6].ljust(4, b"\0")
            machine.view(at, 8)[:] = entry
        case 1:  # the index: a little more, or anything
            index = queue.used + (word & 7) if kind & 8 else word
            queue.used = index & 0xFFFF
            machine.view(queue.device + 2, 2)[:] = queue.used.to_bytes(2, "little")
            disk._raise_line()
        case 2:  # a status, or what is in a request's memory
            for _, pieces in disk.kept[word % 4 :][:1]:
                view = pieces[-1 - (kind >> 3 & 1)][0]
                part = data[2 : 2 + len(view)]
                view[: len(part)] = part
        case 3:  # as a disk that behaves, or nearly
            disk.answer = lambda what, status, written: (
                (data[2:3] or b"\0")[0] if kind & 8 else status,
                written + (word & 3 if kind & 16 else 0),
            )
            disk.release()
        case 4:
            _ask(wanted, driver.read(word & 63, word >> 6 & 31), (word >> 6 & 31) * driver.sector_size)
        case 5:
            _ask(wanted, driver.write(word & 63, bytes((word >> 6 & 15) * driver.sector_size)), None)
        case 6:
            _ask(wanted, driver.flush() if kind & 8 else driver.discard(word & 63, word >> 6), None)
        case _:
            for task in list(wanted)[word % 8 :][:2]:
                task.cancel()


def _ask(wanted: dict[asyncio.Task[Any], int | None], work: Coroutine[Any, Any, Any], length: int | None) -> None:
    wanted[asyncio.ensure_future(work)] = length


def _check(driver: VirtioBlock) -> None:
    slots = QUEUE_SIZE // 3
    if driver._lost is None:
        heads = [head // 3 for head in driver._flying]
        assert sorted(heads + driver._free) == list(range(slots)), "each slot is free or flies"


def seeds() -> list[bytes]:
    """Return stories to begin with: each kind of record among ones that behave."""
    chance = Random(5)
    found = []
    ask = bytes((4, 2, 0x45, 0)), bytes((5, 2, 0x81, 0)), bytes((14, 0))
    for kind in range(64):
        records = [*ask, bytes((kind, 8)) + chance.randbytes(8), bytes((3, 0)), bytes((9, 2, 1, 0))]
        found.append(bytes((kind & 7, 9, 8)) + bytes(7) + b"\x40" + b"".join(records * 3))
    return found
