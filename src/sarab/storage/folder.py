"""A folder of the system that a Linux process runs on (device.file_system.FileSystem), and nothing beside it.

Every name of a path is opened in the folder before it and never through a link (O_NOFOLLOW), so that neither `..` nor a
link leads out, whoever makes links in there meanwhile. Links, sockets and the like are not seen.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import threading
from collections.abc import Callable
from typing import TypeVar

from sarab.device.file_system import Status
from sarab.device.network import Buffer
from sarab.storage.paths import check_range, failure, parts_of

DIRTY_MAX = 1024
"""Files and folders of which flush() remembers that they were changed; beyond, it has the system write everything."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
T = TypeVar("T")
Parts = tuple[str, ...]
Names = list[str]


class FolderFileSystem:
    """device.file_system.FileSystem; its work is done by asyncio's threads."""

    def __init__(self, folder: str | os.PathLike[str], *, read_only: bool = False) -> None:
        """Raises OSError if `folder` is none."""
        self.read_only = read_only
        self._root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mutex = threading.Lock()
        self._dirty: set[Parts] | None = set()
        """Changed since the last flush(); None: more than DIRTY_MAX."""
        self._users = 0
        self._closed = False

    def close(self) -> None:
        """Give the folder back, behind the work that is on its way. Twice is harmless."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                if not self._users:
                    os.close(self._root)

    async def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """See FileSystem."""
        check_range(path, offset, length)
        return await self._do(path, lambda: self._read(path, offset, length))

    async def write(self, path: str, data: Buffer, offset: int | None = None) -> None:
        """See FileSystem."""
        self._check_writable(path)
        check_range(path, offset, None)
        whole = bytes(data)  # a copy: who is cancelled uses his buffer again, and the thread goes on
        await self._do(path, lambda: self._write(path, whole, offset))

    async def stat(self, path: str) -> Status:
        """See FileSystem."""
        return await self._do(path, lambda: self._stat(path))

    async def list(self, path: str = "/") -> list[str]:
        """See FileSystem."""
        return await self._do(path, lambda: self._list(path))

    async def make_folder(self, path: str) -> None:
        """See FileSystem."""
        self._check_writable(path)
        await self._do(path, lambda: self._make_folder(path))

    async def remove(self, path: str) -> None:
        """See FileSystem."""
        self._check_writable(path)
        await self._do(path, lambda: self._remove(path))

    async def rename(self, path: str, new: str) -> None:
        """See FileSystem. A file's bytes are on the medium before its name is: a crash leaves no empty file there."""
        self._check_writable(path)
        self._check_writable(new)
        await self._do(path, lambda: self._rename(path, new))

    async def truncate(self, path: str, size: int) -> None:
        """See FileSystem."""
        self._check_writable(path)
        check_range(path, size, None)
        await self._do(path, lambda: self._truncate(path, size))

    async def flush(self) -> None:
        """See FileSystem."""
        await self._do("/", self._flush)

    # ---- in a thread ---------------------------------------------------------------------------------------------

    def _check_writable(self, path: str) -> None:
        parts_of(path)
        if self.read_only:
            raise failure(errno.EROFS, path)

    async def _do(self, path: str, work: Callable[[], T]) -> T:
        parts_of(path)
        return await asyncio.get_running_loop().run_in_executor(None, self._in_thread, path, work)

    def _in_thread(self, path: str, work: Callable[[], T]) -> T:
        with self._mutex:
            if self._closed:
                raise failure(errno.EIO, path)
            self._users += 1
        try:
            return work()
        except OSError as error:
            # A link (ELOOP) or a pipe (ENXIO) is nothing that is here.
            number = errno.ENOENT if error.errno in (errno.ELOOP, errno.ENXIO) else error.errno or errno.EIO
            raise failure(number, path) from None
        finally:
            with self._mutex:
                self._users -= 1
                if self._closed and not self._users:
                    os.close(self._root)

    def _enter(self, names: Parts) -> int:
        """Return a descriptor of the folder at `names`, to be closed."""
        here = os.open(".", _FOLDER, dir_fd=self._root)
        for name in names:
            try:
                there = os.open(name, _FOLDER, dir_fd=here)
            except NotADirectoryError:
                # What Linux says of a link, too.
                is_link = stat.S_ISLNK(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode)
                raise OSError(errno.ENOENT if is_link else errno.ENOTDIR, "") from None
            finally:
                os.close(here)
            here = there
        return here

    def _open(self, path: str, flags: int) -> int:
        """Return a descriptor of the file at a path, to be closed."""
        names = parts_of(path)
        if not names:
            raise OSError(errno.EISDIR, "")
        folder = self._enter(names[:-1])
        try:
            descriptor = os.open(names[-1], flags | _FILE, 0o666, dir_fd=folder)
        finally:
            os.close(folder)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            os.close(descriptor)
            raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.ENOENT, "")
        return descriptor

    def _changed(self, *changed: Parts) -> None:
        with self._mutex:
            if self._dirty is not None:
                self._dirty.update(changed)
                if len(self._dirty) > DIRTY_MAX:
                    self._dirty = None

    def _read(self, path: str, offset: int, length: int | None) -> bytes:
        descriptor = self._open(path, os.O_RDONLY)
        try:
            left = os.fstat(descriptor).st_size - offset
            left = left if length is None else min(length, left)
            pieces: list[bytes] = []
            while left > 0 and (piece := os.pread(descriptor, left, offset)):
                pieces.append(piece)
                offset, left = offset + len(piece), left - len(piece)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        finally:
            os.close(descriptor)

    def _write(self, path: str, data: bytes, offset: int | None) -> None:
        names = parts_of(path)
        descriptor = self._open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if offset is None else 0))
        try:
            self._changed(names, names[:-1])
            view, at = memoryview(data), offset or 0
            while view:
                written = os.pwrite(descriptor, view, at)
                at, view = at + written, view[written:]
            if not data and offset is not None and offset > os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, offset)
        finally:
            os.close(descriptor)

    def _stat(self, path: str) -> Status:
        names = parts_of(path)
        folder = self._enter(names[:-1])
        try:
            found = os.stat(names[-1] if names else ".", dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(folder)
        if stat.S_ISDIR(found.st_mode):
            return Status(0, True, found.st_mtime_ns)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ENOENT, "")
        return Status(found.st_size, False, found.st_mtime_ns)

    def _list(self, path: str) -> Names:
        folder = self._enter(parts_of(path))
        try:
            with os.scandir(folder) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False))
                    and entry.name.isprintable()
                )
        finally:
            os.close(folder)

    def _make_folder(self, path: str) -> None:
        names = parts_of(path)
        if not names:
            raise OSError(errno.EEXIST, "")
        folder = self._enter(names[:-1])
        try:
            os.mkdir(names[-1], dir_fd=folder)
        finally:
            os.close(folder)
        self._changed(names[:-1])

    def _remove(self, path: str) -> None:
        names = parts_of(path)
        if not names:
            raise OSError(errno.EBUSY, "")
        is_folder = self._stat(path).is_folder
        folder = self._enter(names[:-1])
        try:
            if is_folder:
                os.rmdir(names[-1], dir_fd=folder)
            else:
                os.unlink(names[-1], dir_fd=folder)
        finally:
            os.close(folder)
        self._changed(names[:-1])

    def _rename(self, path: str, new: str) -> None:
        names, others = parts_of(path), parts_of(new)
        if not names or not others:
            raise OSError(errno.EBUSY, "")
        status = self._stat(path)
        if status.is_folder and names != others:
            try:
                before = self._stat(new)
            except FileNotFoundError:
                pass
            else:
                raise OSError(errno.EEXIST if before.is_folder else errno.ENOTDIR, "")
        elif not status.is_folder:
            descriptor = self._open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        folder = self._enter(names[:-1])
        try:
            there = self._enter(others[:-1])
            try:
                os.rename(names[-1], others[-1], src_dir_fd=folder, dst_dir_fd=there)
            finally:
                os.close(there)
        finally:
            os.close(folder)
        self._changed(names[:-1], others[:-1])

    def _truncate(self, path: str, size: int) -> None:
        descriptor = self._open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)
        self._changed(parts_of(path))

    def _flush(self) -> None:
        with self._mutex:
            dirty, self._dirty = self._dirty, set()
        if dirty is None:
            os.sync()
            return
        for names in dirty:
            try:
                folder = self._enter(names[:-1])
                try:
                    descriptor = os.open(names[-1] if names else ".", os.O_RDONLY | _FILE, dir_fd=folder)
                finally:
                    os.close(folder)
            except OSError:
                continue  # it was removed, or moved: then its new place is remembered
            try:
                os.fsync(descriptor)
            except OSError:
                self._changed(names)
                raise
            finally:
                os.close(descriptor)
