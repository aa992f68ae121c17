"""A disk in a file of the system that a Linux process runs on; transfers are made by asyncio's threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from sarab.device.errors import DeviceFailed, DeviceLost, ReadOnly
from sarab.device.network import Buffer
from sarab.driver.disk_lock import lock
from sarab.driver.disk_range import check_range, sectors_of

SECTOR_SIZE = 512
T = TypeVar("T")


class FileDisk:
    """device.block.Block. The file's size is the disk's, and a multiple of 512."""

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        """Raises DeviceLost with a sentence, for a file that is none, of no whole sectors, or used by another."""
        self.path, self.read_only, self.sector_size = path, read_only, SECTOR_SIZE
        self._mutex = threading.Condition()
        self._users = 0
        """Transfers on their way: the descriptor is closed behind the last, for its number may be another file's."""
        self._closed = False
        self._writing: set[int] = set()
        """Numbers of the writes on their way, also of those whose caller was cancelled: a flush waits for them."""
        self._next = 0
        try:
            self._descriptor = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceLost(f"the disk {path} cannot be opened: {error.strerror}") from None
        try:
            # A disk of the host tells its size only so.
            size = os.lseek(self._descriptor, 0, os.SEEK_END)
            if size % SECTOR_SIZE or not size:
                raise DeviceLost(f"the disk {path} has {size} bytes, which are no whole sectors of {SECTOR_SIZE}")
            if not lock(self._descriptor, read_only):
                raise DeviceLost(f"the disk {path} is used by another machine or process")
        except BaseException as error:
            os.close(self._descriptor)
            if isinstance(error, OSError):
                raise DeviceLost(f"{path} is no disk: {error.strerror}") from None
            raise
        self.sectors = size // SECTOR_SIZE

    async def read(self, sector: int, count: int) -> bytes:
        """See Block."""
        check_range(self, sector, count)
        return await self._do(lambda: self._read(sector * SECTOR_SIZE, count * SECTOR_SIZE))

    async def write(self, sector: int, data: Buffer) -> None:
        """See Block."""
        self._check_writable()
        count = sectors_of(self, data)
        check_range(self, sector, count)
        whole = bytes(data)  # a copy: who is cancelled uses his buffer again, and the thread goes on
        await self._do(lambda: self._write(sector * SECTOR_SIZE, whole))

    async def flush(self) -> None:
        """See Block."""
        if not self.read_only:
            await self._do(self._flush)

    async def discard(self, sector: int, count: int) -> None:
        """See Block. Nothing is done: Python reaches no fallocate() that makes holes."""
        self._check_writable()
        check_range(self, sector, count)

    def close(self) -> None:
        """Give the file back, behind the transfers that are on their way. Twice is harmless."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                if not self._users:
                    os.close(self._descriptor)

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnly(f"the disk {self.path} is read-only")

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, self._in_thread, work)

    def _in_thread(self, work: Callable[[], T]) -> T:
        with self._mutex:
            if self._closed:
                raise DeviceLost(f"the disk {self.path} was closed")
            self._users += 1
        try:
            return work()
        except OSError as error:
            raise DeviceFailed(f"the disk {self.path} failed: {error.strerror}") from None
        finally:
            with self._mutex:
                self._users -= 1
                if self._closed and not self._users:
                    os.close(self._descriptor)

    def _read(self, offset: int, length: int) -> bytes:
        pieces: list[bytes] = []
        while length:
            piece = os.pread(self._descriptor, length, offset)
            if not piece:
                raise DeviceFailed(f"the disk {self.path} was cut short")
            pieces.append(piece)
            offset, length = offset + len(piece), length - len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _write(self, offset: int, data: bytes) -> None:
        with self._mutex:
            self._next += 1
            number = self._next
            self._writing.add(number)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                offset, view = offset + written, view[written:]
        finally:
            with self._mutex:
                self._writing.discard(number)
                self._mutex.notify_all()

    def _flush(self) -> None:
        with self._mutex:
            before = self._writing.copy()
            self._mutex.wait_for(lambda: not before & self._writing)
        os.fdatasync(self._descriptor)
