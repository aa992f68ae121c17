"""Disks of a Linux process: files of its host."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping

from sarab.device.block import Block
from sarab.device.errors import DeviceLost
from sarab.driver.disk_file import FileDisk
from sarab.wiring.keys import Name

READ_ONLY = ":ro"


def files(environ: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    """Return the path of each disk, and whether it is read-only: SARAB_BLOCK=data=/x/data.img,logs=/x/logs.img:ro."""
    found = {}
    for item in filter(None, environ.get("SARAB_BLOCK", "").split(",")):
        name, equals, path = item.partition("=")
        if not equals or not path.removesuffix(READ_ONLY):
            raise DeviceLost(f"SARAB_BLOCK: '{item}' names no disk: give NAME=FILE, or NAME=FILE:ro")
        found[name] = path.removesuffix(READ_ONLY), path.endswith(READ_ONLY)
    return found


async def block(name: Name) -> AsyncIterator[Block]:
    """The file that `sarab run --on process --block NAME=FILE`, or SARAB_BLOCK, gave this name, flushed in the end."""
    named = files(os.environ)
    if name not in named:
        raise DeviceLost(
            f"this process has no disk {name}: 'sarab run --on process' gives it one by --block {name}=FILE"
        )
    path, read_only = named[name]
    disk = FileDisk(path, read_only=read_only)
    yield disk
    await disk.flush()
    disk.close()
