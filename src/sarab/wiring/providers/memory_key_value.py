"""Values in memory: for tests, for caches, and where nothing lasting was chosen."""

from __future__ import annotations

from typing import Annotated

from sarab.device.key_value import KeyValue
from sarab.storage.memory import SIZE_DEFAULT, MemoryKeyValue
from sarab.wiring.keys import Key, Name, Size

SIZE = Size(SIZE_DEFAULT)


def key_value(name: Name, *, size: Annotated[Size, Key("memory that it takes at most")] = SIZE) -> KeyValue:
    """A store in memory: it begins empty, and is forgotten in the end."""
    del name  # another for each
    return MemoryKeyValue(size)
