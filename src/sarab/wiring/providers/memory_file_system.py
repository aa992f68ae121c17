"""Files in memory: for tests, and where nothing lasting was chosen."""

from __future__ import annotations

from typing import Annotated

from sarab.device.file_system import FileSystem
from sarab.storage.memory_files import SIZE_DEFAULT, MemoryFileSystem
from sarab.wiring.keys import Key, Name, Size

SIZE = Size(SIZE_DEFAULT)


def file_system(name: Name, *, size: Annotated[Size, Key("memory that it takes at most")] = SIZE) -> FileSystem:
    """A file system in memory: it begins empty, and is forgotten in the end."""
    del name  # another for each
    return MemoryFileSystem(size)
