"""A key-value store in memory, with a bound (device.key_value.KeyValue): for tests, and for what may be forgotten."""

from __future__ import annotations

import time
from bisect import bisect_left, insort

from sarab.device.errors import NoSpace, NotFound, OutOfRange, ReadOnly
from sarab.device.network import Buffer

KEY_MAX = 255
"""Bytes of a key in UTF-8."""
SIZE_DEFAULT = 16 << 20
VALUE_MAX = 1 << 30
"""Of a value that is changed in part, for it is changed in memory."""
ENTRY_COST = 128
"""Bytes that a key and its value are counted for beside their own: what Python needs to hold them."""


def check_key(key: str) -> str:
    """Return the key. Raises OutOfRange if it is none."""
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise OutOfRange(f"{key!r} is no key: it is no text that UTF-8 can write") from None
    if not 1 <= length <= KEY_MAX:
        raise OutOfRange(f"a key has 1 to {KEY_MAX} bytes in UTF-8, and not {length}")
    return key


def patched(value: bytes, offset: int, part: Buffer) -> bytes:
    """Return a value with `part` in it from `offset` on. Raises OutOfRange."""
    if offset < 0:
        raise OutOfRange(f"there is nothing from {offset} on")
    if offset + len(part) > VALUE_MAX:
        raise NoSpace(f"a value that is written at {offset} would have more than {VALUE_MAX} bytes")
    return value[:offset].ljust(offset, b"\0") + bytes(part) + value[offset + len(part) :]


class MemoryKeyValue:
    """device.key_value.KeyValue."""

    def __init__(
        self, size: int = SIZE_DEFAULT, values: dict[str, bytes] | None = None, *, read_only: bool = False
    ) -> None:
        """`size`: bytes that it holds at most, keys and ENTRY_COST included; `values` are there from the start."""
        self.read_only = read_only
        self._left = size
        self._values: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._modified: dict[str, int] = {}
        for key, value in (values or {}).items():
            self._put(check_key(key), bytes(value))

    async def get(self, key: str) -> bytes:
        """See KeyValue."""
        return self._find(key)

    async def get_partial(self, key: str, offset: int, length: int) -> bytes:
        """See KeyValue."""
        if offset < 0 or length < 0:
            raise OutOfRange(f"there are no {length} bytes from {offset} on")
        return self._find(key)[offset : offset + length]

    async def set(self, key: str, value: Buffer) -> None:
        """See KeyValue."""
        self._check_writable()
        self._put(check_key(key), bytes(value))

    async def set_partial(self, key: str, offset: int, value: Buffer) -> None:
        """See KeyValue."""
        self._check_writable()
        before = self._find(key)
        if offset + len(value) - len(before) > self._left:  # before the zeros are made
            raise NoSpace(f"a value of {offset + len(value)} bytes is more than this store has left")
        self._put(key, patched(before, offset, value))

    async def delete(self, key: str) -> None:
        """See KeyValue."""
        self._check_writable()
        self._find(key)
        self._drop(key)

    async def rename(self, key: str, new: str) -> None:
        """See KeyValue."""
        self._check_writable()
        value = self._find(key)
        if check_key(new) != key:
            modified = self._modified[key]
            self._drop(key)
            try:
                self._put(new, value)
                self._modified[new] = modified
            except NoSpace:
                self._put(key, value)
                self._modified[key] = modified
                raise

    async def exists(self, key: str) -> bool:
        """See KeyValue."""
        return check_key(key) in self._values

    async def size(self, key: str) -> int:
        """See KeyValue."""
        return len(self._find(key))

    async def modified(self, key: str) -> int:
        """See KeyValue."""
        self._find(key)
        return self._modified[key]

    async def list(self, prefix: str = "") -> list[str]:
        """See KeyValue."""
        keys = self._keys
        start = end = bisect_left(keys, prefix)
        while end < len(keys) and keys[end].startswith(prefix):
            end += 1
        return keys[start:end]

    async def flush(self) -> None:
        """See KeyValue: nothing of it survives."""

    def _check_writable(self) -> None:
        if self.read_only:
            raise ReadOnly("this store in memory is read-only")

    def _find(self, key: str) -> bytes:
        value = self._values.get(check_key(key))
        if value is None:
            raise NotFound(f"there is no value of {key!r}")
        return value

    def _put(self, key: str, value: bytes) -> None:
        before = self._values.get(key)
        need = len(value) - len(before) if before is not None else len(value) + len(key.encode()) + ENTRY_COST
        if need > self._left:
            raise NoSpace(f"a value of {len(value)} bytes needs {need} more, and this store has {self._left} left")
        self._left -= need
        self._values[key] = value
        self._modified[key] = time.time_ns()
        if before is None:
            insort(self._keys, key)

    def _drop(self, key: str) -> None:
        self._left += len(self._values.pop(key)) + len(key.encode()) + ENTRY_COST
        del self._modified[key]
        del self._keys[bisect_left(self._keys, key)]
