"""Who uses a disk's file: the locks that QEMU takes, so that a machine and a Linux process keep each other out.

QEMU (block/file-posix.c) holds, for the life of the disk, shared record locks of the open file (F_OFD_SETLK) on single
bytes: 101 says "I write", 201 says "nobody else may write".
"""

from __future__ import annotations

import fcntl
import struct

WRITES, NO_OTHER_WRITER = 101, 201
_FLOCK = struct.Struct("hhqqi4x")
"""struct flock of 64-bit Linux: type, whence, start, length, owner."""
SEEK_SET = 0


def is_locked(descriptor: int, read_only: bool) -> bool:
    """Say whether another has the file open in a way that ours would be in conflict with.

    A file system that has no locks knows of nobody.
    """
    return any(_is_held(descriptor, byte) for byte in ((WRITES,) if read_only else (WRITES, NO_OTHER_WRITER)))


def lock(descriptor: int, read_only: bool) -> bool:
    """Take the locks, until the file is closed, and say whether nobody else has those that are against it."""
    for byte in (NO_OTHER_WRITER,) if read_only else (WRITES, NO_OTHER_WRITER):
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, SEEK_SET, byte, 1, 0))
        except OSError:
            pass  # a file system without locks; or another asks at the very same time, and is_locked() sees him
    return not is_locked(descriptor, read_only)


def _is_held(descriptor: int, byte: int) -> bool:
    try:
        # A lock that is exclusive would be refused by any other; our own open file's are none.
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, SEEK_SET, byte, 1, 0))
    except OSError:
        return False
    kind: int = _FLOCK.unpack(found)[0]
    return kind != fcntl.F_UNLCK
