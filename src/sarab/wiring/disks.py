"""The disks of this machine, by their names: started once, whoever asks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sarab.driver.virtio.disks import blocks

if TYPE_CHECKING:
    from sarab.driver.virtio.block import VirtioBlock

_disks: dict[str, VirtioBlock] | None = None


def disks() -> dict[str, VirtioBlock]:
    """Return this machine's disks: name -> device. What cannot be used is said on standard error, and left out."""
    global _disks
    if _disks is None:
        _disks = {}
        for disk in blocks(_say):
            if disk.serial in _disks:
                _say(f"two disks are called {disk.serial!r}: the second is left out")
            else:
                _disks[disk.serial] = disk
    return _disks


def _say(sentence: str) -> None:
    print(f"sarab: {sentence}", file=sys.stderr)
