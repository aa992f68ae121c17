"""Key-value stores over any file system (device.key_value.KeyValue over device.file_system.FileSystem)."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from sarab.device.errors import DeviceFailed, NoSpace, NotFound, OutOfRange, ReadOnly
from sarab.device.file_system import FileSystem, Status
from sarab.device.network import Buffer
from sarab.storage.memory import check_key, patched
from sarab.storage.paths import failure, parts_of

T = TypeVar("T")
PIECE_MAX = 200
"""Characters of a key in one name; what is left of a longer key is in folders."""
FOLDER, VALUE, BEGUN = "d", "v", "t"
"""How names begin: of a key's first pieces, of its last, and of a value that is being written."""
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
"""What stands for itself: no file system takes two of these for one."""


def names_of(key: str) -> list[str]:
    """Return the names of the folders and of the file that a key's value is in."""
    text = "".join(
        chr(byte) if chr(byte) in _PLAIN else f"%{byte:02x}" for byte in check_key(key).encode()
    )  # no key is longer than 765 characters so
    pieces = [text[at : at + PIECE_MAX] for at in range(0, len(text), PIECE_MAX)]
    return [FOLDER + piece for piece in pieces[:-1]] + [VALUE + pieces[-1]]


def key_of(text: str) -> str | None:
    """Return the key of the joined pieces of its names; None: nobody wrote that here."""
    found = bytearray()
    at = 0
    try:
        while at < len(text):
            if text[at] == "%":
                found.append(int(text[at + 1 : at + 3], 16))
                at += 3
            else:
                found.append(ord(text[at]))
                at += 1
        key = found.decode()
        return key if names_of(key)[-1][1:] and "".join(name[1:] for name in names_of(key)) == text else None
    except (ValueError, IndexError, OutOfRange):
        return None


async def translated(work: Awaitable[T], key: str) -> T:
    """Return what `work` on a key returns, with a file system's errors as a store's."""
    try:
        return await work
    except OSError as error:
        number = error.errno
        if number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            raise NotFound(f"there is no value of {key!r}") from None
        if number == errno.EROFS:
            raise ReadOnly(f"the file system is read-only, and {key!r} with it") from None
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise NoSpace(f"the file system has no room for {key!r}") from None
        raise DeviceFailed(f"the file system failed at {key!r}: {error.strerror}") from None


class FileKeyValue:
    """device.key_value.KeyValue in a folder that nobody else writes to: a file a value, any text as a key."""

    def __init__(self, files: FileSystem, folder: str = "/") -> None:
        """`folder` is there already. Raises OSError(EINVAL) if it is no path."""
        parts_of(folder)
        self._files, self._folder = files, folder.rstrip("/")
        self._turn = asyncio.Lock()
        """Changes are made one by one: folders come and go with the keys that need them."""

    @property
    def read_only(self) -> bool:
        """See KeyValue."""
        return self._files.read_only

    def _path(self, key: str) -> str:
        return "/".join((self._folder, *names_of(key)))

    async def get(self, key: str) -> bytes:
        """See KeyValue."""
        return await translated(self._files.read(self._path(key)), key)

    async def get_partial(self, key: str, offset: int, length: int) -> bytes:
        """See KeyValue."""
        if offset < 0 or length < 0:
            raise OutOfRange(f"there are no {length} bytes from {offset} on")
        return await translated(self._files.read(self._path(key), offset, length), key)

    async def set(self, key: str, value: Buffer) -> None:
        """See KeyValue: the value is written beside the old one, which it replaces when it is whole."""
        self._check_writable()
        path = self._path(key)
        async with self._turn:
            await self._replace(path, value, key)

    async def set_partial(self, key: str, offset: int, value: Buffer) -> None:
        """See KeyValue: the value is written anew."""
        self._check_writable()
        path = self._path(key)
        async with self._turn:
            await self._replace(path, patched(await self.get(key), offset, value), key)

    async def _replace(self, path: str, value: Buffer, key: str) -> None:
        begun = f"{self._folder}/{BEGUN}"
        try:
            await translated(self._files.write(begun, value), key)
            await self._move(begun, path, key)
        except BaseException:
            await asyncio.shield(self._forget(begun))
            raise

    async def _move(self, path: str, new: str, key: str) -> None:
        """Rename into folders that may not be there."""
        folders = new[len(self._folder) + 1 :].split("/")[:-1]
        place = self._folder
        for name in folders:
            place = f"{place}/{name}"
            try:
                await self._files.make_folder(place)
            except FileExistsError:
                continue
            except OSError as error:
                await translated(_raise(error), key)
        await translated(self._files.rename(path, new), key)

    async def _forget(self, path: str) -> None:
        try:
            await self._files.remove(path)
        except OSError:
            return  # the next value is written over it

    async def delete(self, key: str) -> None:
        """See KeyValue."""
        path = self._path(key)
        self._check_writable()
        async with self._turn:
            await translated(self._files.remove(path), key)
            await self._tidy(path)

    async def _tidy(self, path: str) -> None:
        """Remove the folders that a key needed, and no other does."""
        while (path := path.rpartition("/")[0]) != self._folder:
            try:
                await self._files.remove(path)
            except OSError:
                return

    async def rename(self, key: str, new: str) -> None:
        """See KeyValue."""
        path, other = self._path(key), self._path(new)
        self._check_writable()
        async with self._turn:
            await translated(self._files.stat(path), key)
            if path != other:
                await self._move(path, other, key)
                await self._tidy(path)

    async def exists(self, key: str) -> bool:
        """See KeyValue."""
        try:
            await translated(self._files.stat(self._path(key)), key)
        except NotFound:
            return False
        return True

    async def size(self, key: str) -> int:
        """See KeyValue."""
        return (await translated(self._files.stat(self._path(key)), key)).size

    async def modified(self, key: str) -> int:
        """See KeyValue."""
        return (await translated(self._files.stat(self._path(key)), key)).modified

    async def list(self, prefix: str = "") -> list[str]:
        """See KeyValue; it looks at every key."""
        found = [key async for key in self._walk(self._folder or "/", "") if key.startswith(prefix)]
        return sorted(found)

    async def _walk(self, folder: str, text: str) -> AsyncIterator[str]:
        try:
            names = await self._files.list(folder)
        except (FileNotFoundError, NotADirectoryError):
            return  # it went while we looked
        for name in names:
            if name.startswith(VALUE):
                key = key_of(text + name[1:])
                if key is not None:
                    yield key
            elif name.startswith(FOLDER):
                async for key in self._walk(f"{folder.rstrip('/')}/{name}", text + name[1:]):
                    yield key

    async def flush(self) -> None:
        """See KeyValue."""
        await translated(self._files.flush(), "")

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnly("the file system of this store is read-only")


async def _raise(error: OSError) -> None:
    raise error


class TreeKeyValue:
    """device.key_value.KeyValue that only reads: keys are the paths of files, `css/site.css` (MirageOS: crunch)."""

    read_only = True

    def __init__(self, files: FileSystem, folder: str = "/") -> None:
        """`folder` is there already. Raises OSError(EINVAL) if it is no path."""
        parts_of(folder)
        self._files, self._folder = files, folder.rstrip("/")

    def _path(self, key: str) -> str:
        return f"{self._folder}/{check_key(key)}"

    async def _translated(self, work: Awaitable[T], key: str) -> T:
        """As translated(); a key that is no path has no file either."""
        try:
            return await work
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENAMETOOLONG):
                error = failure(errno.ENOENT, key)
            await translated(_raise(error), key)
            raise AssertionError from None

    async def get(self, key: str) -> bytes:
        """See KeyValue."""
        return await self._translated(self._files.read(self._path(key)), key)

    async def get_partial(self, key: str, offset: int, length: int) -> bytes:
        """See KeyValue."""
        if offset < 0 or length < 0:
            raise OutOfRange(f"there are no {length} bytes from {offset} on")
        return await self._translated(self._files.read(self._path(key), offset, length), key)

    async def exists(self, key: str) -> bool:
        """See KeyValue."""
        try:
            await self.size(key)
        except NotFound:
            return False
        return True

    async def size(self, key: str) -> int:
        """See KeyValue."""
        return (await self._status(key)).size

    async def modified(self, key: str) -> int:
        """See KeyValue."""
        return (await self._status(key)).modified

    async def _status(self, key: str) -> Status:
        status = await self._translated(self._files.stat(self._path(key)), key)
        if status.is_folder:
            raise NotFound(f"there is no value of {key!r}")
        return status

    async def list(self, prefix: str = "") -> list[str]:
        """See KeyValue; it looks at every file."""
        return sorted([key async for key in self._walk("") if key.startswith(prefix)])

    async def _walk(self, below: str) -> AsyncIterator[str]:
        for name in await self._files.list(f"{self._folder}/{below}".rstrip("/") or "/"):
            path = f"{below}/{name}" if below else name
            if (await self._files.stat(f"{self._folder}/{path}")).is_folder:
                async for key in self._walk(path):
                    yield key
            else:
                yield path

    async def set(self, key: str, value: Buffer) -> None:
        """See KeyValue."""
        raise self._refusal(key)

    async def set_partial(self, key: str, offset: int, value: Buffer) -> None:
        """See KeyValue."""
        raise self._refusal(key)

    async def delete(self, key: str) -> None:
        """See KeyValue."""
        raise self._refusal(key)

    async def rename(self, key: str, new: str) -> None:
        """See KeyValue."""
        raise self._refusal(key)

    async def flush(self) -> None:
        """See KeyValue: there is nothing to do."""

    def _refusal(self, key: str) -> ReadOnly:
        check_key(key)
        return ReadOnly(f"{key!r} is a file that is only read")
