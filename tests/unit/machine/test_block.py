"""What --block says, what keeps a machine from its disk, and QEMU's words for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sarab.driver.disk_file import FileDisk
from sarab.errors import UsageError
from sarab.machine.block import BlockOption, check, make, parse_block, process_environment, qemu_words
from sarab.machine.network import NetworkOptions
from sarab.machine.options import MachineOptions
from sarab.machine.vector import Channels, qemu_vector


def disk(folder: Path, name: str = "disk.img", size: int = 4096) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    return path


def why(*items: str) -> str:
    with pytest.raises(UsageError) as caught:
        check(make(items))
    return str(caught.value)


def test_a_disk_is_a_name_and_a_file() -> None:
    assert parse_block("data=/x/disk.img") == BlockOption("data", Path("/x/disk.img"))
    assert parse_block("logs=/x/a=b.img:ro") == BlockOption("logs", Path("/x/a=b.img"), True)
    assert parse_block("a=here.img").path == Path.cwd() / "here.img"


@pytest.mark.parametrize("text", ["data", "=x", "data=", "data=:ro", "Data=x", "a" * 21 + "=x", "a b=x", "a,b=x"])
def test_what_names_no_disk_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--block "):
        parse_block(text)


def test_each_reason_against_a_disk_is_a_sentence(tmp_path: Path) -> None:
    good = disk(tmp_path)
    assert why(f"data={tmp_path}/none") == (
        f"--block data: there is no file {tmp_path}/none: "
        f"'truncate -s 64M {tmp_path}/none' makes an empty disk of 64 MiB"
    )
    for suffix in ("", ":ro"):
        assert "is a directory" in why(f"data={tmp_path}{suffix}")
    odd = disk(tmp_path, "odd", 1000)
    assert "has 1000 bytes, and a disk has a multiple of 512" in why(f"data={odd}")
    assert f"'truncate -s 1024 {odd}'" in why(f"data={odd}")
    assert "is empty" in why(f"data={disk(tmp_path, 'empty', 0)}")
    assert why(f"data={good}", f"data={odd}") == "--block data is given twice: each disk has a name of its own"
    os.link(good, tmp_path / "link")
    for other in (good, tmp_path / "link"):
        assert "--block b and --block a are one file" in why(f"a={good}", f"b={other}")
    assert "8 disks at most, and --block names 9" in why(*(f"d{n}={disk(tmp_path, f'd{n}')}" for n in range(9)))
    with pytest.raises(UsageError, match="a machine has 7 disks at most beside 1 network card, and --block names 8"):
        check(make([f"d{n}={tmp_path}/d{n}" for n in range(8)]), 1)
    check(make([f"a={good}", f"b={tmp_path}/d0:ro"]), 6)


def test_a_disk_that_another_uses_is_refused(tmp_path: Path) -> None:
    path = disk(tmp_path)
    used = FileDisk(str(path))
    for suffix in ("", ":ro"):
        assert "is used by another machine" in why(f"data={path}{suffix}")
    used.close()
    used = FileDisk(str(path), read_only=True)
    check(make([f"data={path}:ro"]))
    assert "is used by another machine" in why(f"data={path}")
    used.close()
    check(make([f"data={path}"]))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write every file")
def test_a_disk_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    path = disk(tmp_path)
    path.chmod(0o400)
    assert f"cannot be written: Permission denied; data={path}:ro only reads it" in why(f"data={path}")
    check(make([f"data={path}:ro"]))


def test_qemu_is_told_of_a_disk_by_its_slot_and_name() -> None:
    blocks = BlockOption("data", Path("/x/a,b.img")), BlockOption("logs", Path("/x/l.img"), True)
    words = qemu_words(blocks, "microvm", 1)
    assert words[1].startswith("if=none,id=block0,format=raw,")
    assert words[1].endswith(",file=/x/a,,b.img")
    assert "readonly" not in words[1]
    assert ",readonly=on,file=/x/l.img" in words[5]
    assert words[3] == "virtio-blk-device,bus=virtio-mmio-bus.1,drive=block0,serial=data,num-queues=1"
    assert words[7] == "virtio-blk-device,bus=virtio-mmio-bus.2,drive=block1,serial=logs,num-queues=1"
    assert qemu_words(blocks, "q35", 1)[3] == "virtio-blk-pci,disable-legacy=on,drive=block0,serial=data,num-queues=1"


def test_cards_and_disks_share_a_machines_slots() -> None:
    options = MachineOptions(network=NetworkOptions(), blocks=(BlockOption("data", Path("/x")),))
    vector = qemu_vector("qemu", Path("i.elf"), options, "tcg", Channels(10, 11, 12, 13))
    told = vector[vector.index("-append") + 1].split()
    assert told[1:3] == ["virtio_mmio.device=512@0xfeb00000:16", "virtio_mmio.device=512@0xfeb00200:17"]
    assert vector.count("virtio-mmio.force-legacy=false") == 1


def test_a_process_is_told_of_its_disks() -> None:
    blocks = BlockOption("data", Path("/x/a.img")), BlockOption("logs", Path("/x/l.img"), True)
    assert process_environment(blocks) == (("SARAB_BLOCK", "data=/x/a.img,logs=/x/l.img:ro"),)
    assert process_environment(()) == ()
    with pytest.raises(UsageError, match="comma"):
        process_environment([BlockOption("data", Path("/x/a,b"))])
