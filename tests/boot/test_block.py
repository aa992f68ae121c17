"""Images that use their disks through QEMU's virtio-blk, over MMIO and PCI; what one boot flushed another reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sarab.errors import UsageError
from sarab.machine.block import make
from sarab.machine.options import Accelerator, MachineType
from sarab.machine.outcome import Ending
from tests.boot.programs import ACCELERATOR, boot, build_program, start, text

pytestmark = [pytest.mark.boot, pytest.mark.slow]

MACHINES: list[tuple[MachineType, Accelerator]] = [("microvm", ACCELERATOR), ("microvm", "tcg"), ("q35", "tcg")]

PROGRAM = """
    import asyncio
    import hashlib
    import sys
    from sarab.device.errors import OutOfRange, ReadOnly
    from sarab.driver.virtio.disks import blocks

    async def main(disks, words):
        data = disks["data"]
        for name in sorted(disks):
            disk = disks[name]
            print(name, disk.sector_size, disk.sectors, disk.read_only, (await disk.read(0, 1))[:16])
        if words == ["write"]:
            whole = b"".join(hashlib.sha256(str(n).encode()).digest() * 16 for n in range(4096))
            await data.write(8, whole)
            await asyncio.gather(*(data.write(5000 + n, bytes([n]) * 512) for n in range(200)))
            await data.flush()
            await data.discard(9000, 64)
            try:
                await disks["logs"].write(0, bytes(512))
            except ReadOnly as error:
                print(error)
            try:
                await data.read(data.sectors, 1)
            except OutOfRange as error:
                print(error)
        elif words == ["hold"]:
            print("held", flush=True)
            await asyncio.sleep(1000)
        else:
            print(hashlib.sha256(await data.read(8, 4096)).hexdigest())
            got = await asyncio.gather(*(data.read(5000 + n, 1) for n in range(200)))
            print(got == [bytes([n]) * 512 for n in range(200)])
        for disk in disks.values():
            disk.close()

    asyncio.run(main({disk.serial: disk for disk in blocks(print)}, sys.argv[1:]))
    """


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_program(tmp_path_factory.mktemp("blocks"), PROGRAM)


def disks(folder: Path) -> list[str]:
    found = []
    for name, size in (("data", 8 << 20), ("logs", 1 << 20), ("a-third_1", 512)):
        path = folder / f"{name}.img"
        path.write_bytes(f"disk {name}".encode().ljust(16).ljust(size, b"\0"))
        found.append(f"{name}={path}{':ro' if name == 'logs' else ''}")
    return found


@pytest.mark.parametrize(("machine", "accelerator"), MACHINES)
def test_what_was_flushed_is_there_at_the_next_boot(
    machine: MachineType, accelerator: Accelerator, image: Path, tmp_path: Path
) -> None:
    options = {"machine": machine, "accel": accelerator, "blocks": make(disks(tmp_path))}
    first = boot(image, arguments=("write",), **options)  # type: ignore[arg-type]
    assert first.ending is Ending.EXITED, text(first)
    assert text(first).splitlines() == [
        "a-third_1 512 1 False b'disk a-third_1  '",
        "data 512 16384 False b'disk data       '",
        "logs 512 2048 True b'disk logs       '",
        "this virtio disk is read-only",
        "1 sectors from 16384 on are not on a disk of 16384",
    ]
    whole = b"".join(hashlib.sha256(str(n).encode()).digest() * 16 for n in range(4096))
    expected = whole[: (5000 - 8) * 512]
    on_disk = (tmp_path / "data.img").read_bytes()
    assert on_disk[8 * 512 : (8 + 4096) * 512] == expected
    second = boot(image, arguments=("read",), **options)  # type: ignore[arg-type]
    assert text(second).splitlines()[3:] == [hashlib.sha256(expected).hexdigest(), "True"], text(second)


def test_a_disk_is_one_machines_at_a_time(image: Path, tmp_path: Path) -> None:
    blocks = make(disks(tmp_path))
    with start(image, arguments=("hold",), blocks=blocks) as running:
        running.wait_for(b"held", timeout_s=60)
        with pytest.raises(UsageError, match=r"--block data: .* is used by another machine"):
            boot(image, arguments=("read",), blocks=blocks)
        # One that both only read is no quarrel.
        alone = boot(image, arguments=("hold",), blocks=blocks[1:2], timeout_s=30)
        assert "KeyError: 'data'" in text(alone)
        running.kill()
