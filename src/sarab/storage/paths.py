"""Paths of file systems, and their errors as open() would raise them (device.file_system)."""

from __future__ import annotations

import errno
import os

NAME_MAX = 255
"""Bytes of a name in UTF-8, as of every common file system."""
PATH_MAX = 4095
"""Bytes of a path, as Linux has it."""


def failure(number: int, path: str) -> OSError:
    """Return the OSError of a number, of the class that PEP 3151 gives it. A read-only file system's is the class of no
    permission, too."""
    if number == errno.EROFS:
        return PermissionError(number, os.strerror(number), path)
    return OSError(number, os.strerror(number), path)


def parts_of(path: str) -> tuple[str, ...]:
    """Return the names of a path from the root on; () is the root. Raises OSError(EINVAL), OSError(ENAMETOOLONG)."""
    if not path.startswith("/"):
        raise failure(errno.EINVAL, path)
    if path == "/":
        return ()
    names = tuple(path[1:].split("/"))
    try:
        lengths = [len(name.encode()) for name in names]
    except UnicodeEncodeError:
        raise failure(errno.EINVAL, path) from None
    if "\0" in path or any(name in ("", ".", "..") for name in names):
        raise failure(errno.EINVAL, path)
    if max(lengths) > NAME_MAX or sum(lengths) + len(lengths) > PATH_MAX:
        raise failure(errno.ENAMETOOLONG, path)
    return names


def check_range(path: str, offset: int | None, length: int | None) -> None:
    """Raises OSError(EINVAL) for bytes that no file can have."""
    if (offset is not None and not 0 <= offset < 1 << 62) or (length is not None and length < 0):
        raise failure(errno.EINVAL, path)
