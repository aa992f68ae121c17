"""Values and files of a Linux process: in a folder of its host, or in memory where none is named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from sarab.device.errors import DeviceLost
from sarab.device.file_system import FileSystem
from sarab.device.key_value import KeyValue
from sarab.storage.folder import FolderFileSystem
from sarab.storage.keyed import FileKeyValue
from sarab.storage.memory import SIZE_DEFAULT, MemoryKeyValue
from sarab.storage.memory_files import MemoryFileSystem
from sarab.wiring.keys import Key, Name, Size

SIZE = Size(SIZE_DEFAULT)


def _open(name: str, folder: str) -> FolderFileSystem:
    try:
        return FolderFileSystem(folder)
    except OSError as error:
        raise DeviceLost(f"the folder {folder} of {name} cannot be used: {error.strerror}") from None


async def key_value(
    name: Name,
    *,
    folder: Annotated[str, Key("a folder of its own on this host; without, in memory")] = "",
    size: Annotated[Size, Key("memory that it takes at most")] = SIZE,
) -> AsyncIterator[KeyValue]:
    """A store in a folder of the host, or in memory."""
    if not folder:
        yield MemoryKeyValue(size)
        return
    files = _open(name, folder)
    yield FileKeyValue(files)
    await files.flush()
    files.close()


async def file_system(
    name: Name,
    *,
    folder: Annotated[str, Key("a folder on this host; without, in memory")] = "",
    size: Annotated[Size, Key("memory that it takes at most")] = SIZE,
) -> AsyncIterator[FileSystem]:
    """A folder of the host, and nothing beside it, or files in memory."""
    if not folder:
        yield MemoryFileSystem(size)
        return
    files = _open(name, folder)
    yield files
    await files.flush()
    files.close()
