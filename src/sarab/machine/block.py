"""A machine's disks: `--block NAME=FILE`, QEMU's words for them, and what a Linux process is told instead."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sarab.driver.disk_lock import is_locked
from sarab.errors import UsageError
from sarab.machine.virtio import DEVICES_MAX, device_word

SECTOR_SIZE = 512
NAME_MAX = 20
"""Bytes of a virtio disk's serial number (virtio 1.3 section 5.2.6)."""
READ_ONLY = ":ro"
_NAME = re.compile(r"[a-z0-9_-]{1,20}")


class BlockOption(NamedTuple):
    """A disk: its name, which is its serial number too, and the file that it is."""

    name: str
    path: Path
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.name}={self.path}{READ_ONLY if self.read_only else ''}"


def parse_block(text: str) -> BlockOption:
    """Return the disk of `NAME=FILE` or `NAME=FILE:ro`. Raises UsageError."""
    name, equals, file = text.partition("=")
    if not equals or not file.removesuffix(READ_ONLY):
        raise UsageError(f"--block {text}: give NAME=FILE, or NAME=FILE:ro for one that is only read")
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--block {text}: '{name}' is no name of a disk: lower-case letters, digits, _ and -, {NAME_MAX} at most"
        )
    return BlockOption(name, Path(file.removesuffix(READ_ONLY)).absolute(), file.endswith(READ_ONLY))


def make(items: Sequence[str]) -> tuple[BlockOption, ...]:
    """Return the disks of the command line. Raises UsageError."""
    blocks = tuple(map(parse_block, items))
    for index, block in enumerate(blocks):
        for other in blocks[:index]:
            if block.name == other.name:
                raise UsageError(f"--block {block.name} is given twice: each disk has a name of its own")
            if _is_same(block.path, other.path):
                raise UsageError(
                    f"--block {block.name} and --block {other.name} are one file, {block.path}: each disk has its own"
                )
    return blocks


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False  # one of them is not there, and check() says so


def check(blocks: Sequence[BlockOption], cards: int = 0) -> None:
    """Find out before the machine starts what would keep it from its disks. Raises UsageError with a sentence."""
    if len(blocks) + cards > DEVICES_MAX:
        beside = f" beside {cards} network card{'s' * (cards > 1)}" if cards else ""
        raise UsageError(f"a machine has {DEVICES_MAX - cards} disks at most{beside}, and --block names {len(blocks)}")
    for block in blocks:
        _check_file(block)


def _check_file(block: BlockOption) -> None:
    start = f"--block {block.name}: "
    try:
        descriptor = os.open(block.path, (os.O_RDONLY if block.read_only else os.O_RDWR) | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise UsageError(
                f"{start}there is no file {block.path}: 'truncate -s 64M {block.path}' makes an empty disk of 64 MiB"
            ) from None
        if error.errno == errno.EISDIR:
            raise UsageError(f"{start}{block.path} is a directory: a disk is a file, or a disk of this host") from None
        if not block.read_only and os.access(block.path, os.R_OK):
            raise UsageError(
                f"{start}{block.path} cannot be written: {error.strerror}; {block}{READ_ONLY} only reads it"
            ) from None
        raise UsageError(f"{start}{block.path} cannot be opened: {error.strerror}") from None
    try:
        if os.path.isdir(block.path):
            raise UsageError(f"{start}{block.path} is a directory: a disk is a file, or a disk of this host")
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
        except OSError:
            raise UsageError(f"{start}{block.path} is no disk: it has no size") from None
        if size == 0:
            raise UsageError(f"{start}{block.path} is empty: 'truncate -s 64M {block.path}' makes it a disk of 64 MiB")
        if size % SECTOR_SIZE:
            whole = (size + SECTOR_SIZE - 1) // SECTOR_SIZE * SECTOR_SIZE
            raise UsageError(
                f"{start}{block.path} has {size} bytes, and a disk has a multiple of {SECTOR_SIZE}: "
                f"'truncate -s {whole} {block.path}' fills it up with zeros"
            )
        if is_locked(descriptor, block.read_only):
            raise UsageError(f"{start}{block.path} is used by another machine: a disk is one machine's at a time")
    finally:
        os.close(descriptor)


def qemu_words(blocks: Sequence[BlockOption], machine: str, first_slot: int) -> list[str]:
    """Return QEMU's arguments for the disks, in slots from `first_slot` on.

    A write is on the host's medium when the guest has flushed it. A request that fails is told to the guest: QEMU's own
    way with a full host, to stop the machine, would be silent.
    """
    words: list[str] = []
    for index, block in enumerate(blocks):
        path = str(block.path).replace(",", ",,")
        drive = f"if=none,id=block{index},format=raw,cache=writeback,discard=unmap,werror=report,rerror=report"
        read_only = ",readonly=on" if block.read_only else ""
        words += ["-drive", f"{drive}{read_only},file={path}"]
        options = f",drive=block{index},serial={block.name},num-queues=1"
        words += ["-device", device_word("virtio-blk", machine, first_slot + index, options)]
    return words


def process_environment(blocks: Sequence[BlockOption]) -> tuple[tuple[str, str], ...]:
    """Return what tells a Linux process of its disks; wiring/providers/block_process.py reads it. Raises UsageError."""
    for block in blocks:
        if "," in str(block.path):
            raise UsageError(f"--block {block.name}: a process takes no disk with a comma in its path: {block.path}")
    return (("SARAB_BLOCK", ",".join(map(str, blocks))),) if blocks else ()
