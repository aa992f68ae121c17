"""A file system in memory, with a bound (device.file_system.FileSystem): for tests, and for what may be forgotten."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping

from sarab.device.file_system import Status
from sarab.device.network import Buffer
from sarab.storage.paths import check_range, failure, parts_of

SIZE_DEFAULT = 16 << 20
ENTRY_COST = 256
"""Bytes that a file or folder is counted for beside its content: what Python needs to hold it."""


class _File:
    def __init__(self, now: int) -> None:
        self.data = bytearray()
        self.modified = now


class _Folder:
    def __init__(self, now: int) -> None:
        self.entries: dict[str, _File | _Folder] = {}
        self.modified = now


class MemoryFileSystem:
    """device.file_system.FileSystem."""

    def __init__(
        self,
        size: int = SIZE_DEFAULT,
        files: Mapping[str, bytes] | None = None,
        *,
        read_only: bool = False,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`size`: bytes that it holds at most, ENTRY_COST for each file and folder included.

        `files`, by path, are there from the start, with their folders. `clock` tells ns since 1970.
        """
        self.read_only = False
        self._left = size
        self._clock = clock
        self._root = _Folder(clock())
        for path, data in (files or {}).items():
            names = parts_of(path)
            for depth in range(1, len(names)):
                folder = "/" + "/".join(names[:depth])
                if self._look(folder) is None:
                    self._make(folder, _Folder(clock()))
            self._write(path, data, None)
        self.read_only = read_only

    async def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """See FileSystem."""
        check_range(path, offset, length)
        data = self._file(path).data
        end = len(data) if length is None else offset + length
        return bytes(memoryview(data)[offset:end])

    async def write(self, path: str, data: Buffer, offset: int | None = None) -> None:
        """See FileSystem."""
        self._check_writable(path)
        check_range(path, offset, None)
        self._write(path, data, offset)

    async def stat(self, path: str) -> Status:
        """See FileSystem."""
        node = self._node(path)
        if isinstance(node, _Folder):
            return Status(0, True, node.modified)
        return Status(len(node.data), False, node.modified)

    async def list(self, path: str = "/") -> list[str]:
        """See FileSystem."""
        return sorted(self._folder(path).entries)

    async def make_folder(self, path: str) -> None:
        """See FileSystem."""
        self._check_writable(path)
        if self._look(path) is not None:
            raise failure(errno.EEXIST, path)
        self._make(path, _Folder(self._clock()))

    async def remove(self, path: str) -> None:
        """See FileSystem."""
        self._check_writable(path)
        node = self._node(path)
        folder, name = self._place(path)
        if isinstance(node, _Folder) and node.entries:
            raise failure(errno.ENOTEMPTY, path)
        self._left += ENTRY_COST + (len(node.data) if isinstance(node, _File) else 0)
        del folder.entries[name]
        folder.modified = self._clock()

    async def rename(self, path: str, new: str) -> None:
        """See FileSystem."""
        self._check_writable(path)
        node = self._node(path)
        folder, name = self._place(path)
        if parts_of(new)[: len(parts_of(path))] == parts_of(path):
            if new == path:
                return
            raise failure(errno.EINVAL, new)  # into itself
        there, there_name = self._place(new)
        before = there.entries.get(there_name)
        if before is not None:
            if isinstance(before, _Folder):
                raise failure(errno.EEXIST if isinstance(node, _Folder) else errno.EISDIR, new)
            if isinstance(node, _Folder):
                raise failure(errno.ENOTDIR, new)
            self._left += ENTRY_COST + len(before.data)
        del folder.entries[name]
        there.entries[there_name] = node
        folder.modified = there.modified = self._clock()

    async def truncate(self, path: str, size: int) -> None:
        """See FileSystem."""
        self._check_writable(path)
        check_range(path, size, None)
        file = self._file(path)
        self._resize(path, file, size)
        file.modified = self._clock()

    async def flush(self) -> None:
        """See FileSystem: nothing of it survives."""

    # ---- the tree ------------------------------------------------------------------------------------------------

    def _check_writable(self, path: str) -> None:
        parts_of(path)
        if self.read_only:
            raise failure(errno.EROFS, path)

    def _look(self, path: str) -> _File | _Folder | None:
        """Return what is at a path, or None. Raises NotADirectoryError for a path through a file."""
        node: _File | _Folder = self._root
        for name in parts_of(path):
            if isinstance(node, _File):
                raise failure(errno.ENOTDIR, path)
            found = node.entries.get(name)
            if found is None:
                return None
            node = found
        return node

    def _node(self, path: str) -> _File | _Folder:
        node = self._look(path)
        if node is None:
            raise failure(errno.ENOENT, path)
        return node

    def _file(self, path: str) -> _File:
        node = self._node(path)
        if isinstance(node, _Folder):
            raise failure(errno.EISDIR, path)
        return node

    def _folder(self, path: str) -> _Folder:
        node = self._node(path)
        if isinstance(node, _File):
            raise failure(errno.ENOTDIR, path)
        return node

    def _place(self, path: str) -> tuple[_Folder, str]:
        """Return the folder that a path's last name is in, and that name."""
        names = parts_of(path)
        if not names:
            raise failure(errno.EBUSY, path)  # the root stays what and where it is
        above = self._node("/" + "/".join(names[:-1]))
        if isinstance(above, _File):
            raise failure(errno.ENOTDIR, path)
        return above, names[-1]

    def _make(self, path: str, node: _File | _Folder) -> None:
        folder, name = self._place(path)
        if self._left < ENTRY_COST:
            raise failure(errno.ENOSPC, path)
        self._left -= ENTRY_COST
        folder.entries[name] = node
        folder.modified = self._clock()

    def _write(self, path: str, data: Buffer, offset: int | None) -> None:
        node = self._look(path)
        if isinstance(node, _Folder):
            raise failure(errno.EISDIR, path)
        size = len(data) if offset is None else max(offset + len(data), 0 if node is None else len(node.data))
        need = size - (len(node.data) if node is not None else -ENTRY_COST)
        if need > self._left:
            raise failure(errno.ENOSPC, path)
        if node is None:
            node = _File(self._clock())
            self._make(path, node)
        if offset is None:
            self._left -= len(data) - len(node.data)
            node.data = bytearray(data)
        else:
            self._resize(path, node, size)
            node.data[offset : offset + len(data)] = data
        node.modified = self._clock()

    def _resize(self, path: str, file: _File, size: int) -> None:
        need = size - len(file.data)
        if need > self._left:
            raise failure(errno.ENOSPC, path)
        self._left -= need
        if need > 0:
            file.data.extend(bytes(need))
        else:
            del file.data[size:]
