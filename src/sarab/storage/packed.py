"""A folder of a package, as the image has it: a read-only file system (device.file_system.FileSystem).

    def static() -> FileSystem:
        return PackedFileSystem(importlib.resources.files("mypackage") / "static")

The builder packs a package's files when one of its modules names importlib.resources, as here; other files by
`data = [...]` in [tool.sarab].
"""

from __future__ import annotations

import errno
from importlib.resources.abc import Traversable

from sarab.device.file_system import Status
from sarab.device.network import Buffer
from sarab.storage.paths import check_range, failure, parts_of


class PackedFileSystem:
    """device.file_system.FileSystem. What is read is in memory already, so nothing waits."""

    read_only = True

    def __init__(self, root: Traversable) -> None:
        """Raises NotADirectoryError if `root` is no folder: the package, or its files, are not in the image."""
        if not root.is_dir():
            raise failure(errno.ENOTDIR, str(root))
        self._root = root

    def _find(self, path: str) -> Traversable:
        node = self._root
        for name in parts_of(path):
            if not node.is_dir():
                raise failure(errno.ENOTDIR, path)
            node = node / name
        if not node.is_dir() and not node.is_file():
            raise failure(errno.ENOENT, path)
        return node

    async def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """See FileSystem."""
        check_range(path, offset, length)
        node = self._find(path)
        if node.is_dir():
            raise failure(errno.EISDIR, path)
        if offset == 0 and length is None:
            return node.read_bytes()
        with node.open("rb") as file:
            file.seek(offset)
            data: bytes = file.read(-1 if length is None else length)
            return data

    async def stat(self, path: str) -> Status:
        """See FileSystem."""
        node = self._find(path)
        if node.is_dir():
            return Status(0, True, 0)
        with node.open("rb") as file:
            return Status(file.seek(0, 2), False, 0)

    async def list(self, path: str = "/") -> list[str]:
        """See FileSystem."""
        node = self._find(path)
        if not node.is_dir():
            raise failure(errno.ENOTDIR, path)
        return sorted(each.name for each in node.iterdir() if each.is_dir() or each.is_file())

    async def write(self, path: str, data: Buffer, offset: int | None = None) -> None:
        """See FileSystem."""
        raise self._refusal(path)

    async def make_folder(self, path: str) -> None:
        """See FileSystem."""
        raise self._refusal(path)

    async def remove(self, path: str) -> None:
        """See FileSystem."""
        raise self._refusal(path)

    async def rename(self, path: str, new: str) -> None:
        """See FileSystem."""
        raise self._refusal(path)

    async def truncate(self, path: str, size: int) -> None:
        """See FileSystem."""
        raise self._refusal(path)

    async def flush(self) -> None:
        """See FileSystem: there is nothing to do."""

    def _refusal(self, path: str) -> OSError:
        parts_of(path)
        return failure(errno.EROFS, path)
