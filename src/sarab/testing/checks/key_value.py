"""What every device.key_value.KeyValue promises, checked: `check_key_value(make)`. A read-only one holds values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sarab.device.errors import DeviceError, NoSpace, NotFound, OutOfRange, ReadOnly
from sarab.device.key_value import KeyValue
from sarab.testing.checks.promise import Run, each_must_raise, must, must_raise, opened, within

AWKWARD = (
    "a", "A", "a/b", "/", "/a", "a/", "a//b", "..", "../a", ".", ".hidden", "a b", "a%2fb", "%", "a\0b", "a\nb",
    "d", "v", "t", "con", "\u00fc", "u\u0308", "\U0001f600", "x" * 255, "\u00fc" * 127, "/" * 255,
    "A" * 200 + "/" + "b" * 54, "~", "*",
)  # fmt: skip
"""Keys that a store must tell from each other."""
LONG = 300_000
MANY = 1 << 20
"""Bytes of a value that is stored until a store of bounded room is full."""
ROOM_MAX = 64 << 20
"""Above so many bytes a store's bound is not looked for."""


def check_key_value(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check a store; `make` returns a fresh, empty one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], object]) -> None:
    for check in (_values, _keys, _parts, _lists, _renames, _at_once, _bounds):
        async with opened(make()) as store:
            if store.read_only:
                await within(_only_reads(store), "a store answers")
                return
            await within(check(store), f"a store answers ({check.__name__.strip('_')})")


async def _only_reads(store: KeyValue) -> None:
    keys = await store.list()
    must(len(keys) > 0, "a read-only store that is checked holds something: see make()")
    for key in keys[:10]:
        value = await store.get(key)
        must(await store.exists(key), "a key that is listed is there")
        must(await store.size(key) == len(value), "size() is the value's length")
        must(await store.modified(key) >= 0, "modified() is a time, or 0")
        must(await store.get_partial(key, 1, 3) == value[1:4], "get_partial() is a part of the value")
        await each_must_raise(
            ReadOnly,
            "what would change a read-only store raises ReadOnly",
            store.set(key, b"x"),
            store.set_partial(key, 0, b"x"),
            store.delete(key),
            store.rename(key, "other"),
        )
        must(await store.get(key) == value, "a read-only store stays as it is")
    await must_raise(ReadOnly, store.set("new key", b""), "set() on a read-only store raises ReadOnly")
    await must_raise(NotFound, store.get("no such key"), "get() of a key without a value raises NotFound")
    must(not await store.exists("no such key"), "exists() is false for a key without a value")
    await _no_keys(store)
    await store.flush()


async def _no_keys(store: KeyValue) -> None:
    for key in ("", "x" * 256, "\u00fc" * 128, "\ud800"):
        await must_raise(OutOfRange, store.get(key), f"a key that is none, {key[:9]!r}, raises OutOfRange")
        await must_raise(OutOfRange, store.exists(key), f"a key that is none, {key[:9]!r}, raises OutOfRange")
    await must_raise(OutOfRange, store.get_partial("a", -1, 1), "get_partial() before the start raises OutOfRange")


async def _values(store: KeyValue) -> None:
    must(await store.list() == [], "a fresh store is empty")
    data = bytearray(b"first")
    await store.set("key", data)
    data[:] = b"xxxxx"
    must(await store.get("key") == b"first", "get() returns what set() was given, as it was then")
    must(type(await store.get("key")) is bytes, "a value is bytes")
    for value in (b"", b"short", bytes(range(256)) * (LONG // 256), b"x"):
        await store.set("key", memoryview(value))
        must(await store.get("key") == value, "set() replaces the value before, whole")
        must(await store.size("key") == len(value), "size() is the value's length")
        must(await store.exists("key"), "a key with a value, even an empty one, exists")
    await store.flush()
    must(await store.get("key") == b"x", "flush() changes nothing that is read")
    await store.delete("key")
    must(not await store.exists("key"), "a key that was deleted is there no more")
    await each_must_raise(
        NotFound,
        "a key without a value raises NotFound",
        store.get("key"),
        store.size("key"),
        store.modified("key"),
        store.set_partial("key", 0, b"x"),
        store.delete("key"),
        store.get_partial("key", 0, 1),
    )
    await must_raise(KeyError, store.get("key"), "NotFound is a KeyError")


async def _keys(store: KeyValue) -> None:
    for number, key in enumerate(AWKWARD):
        await store.set(key, str(number).encode())
    for number, key in enumerate(AWKWARD):
        must(await store.get(key) == str(number).encode(), f"every text is a key of its own, also {key[:20]!r}")
    must(await store.list() == sorted(AWKWARD), "list() returns every key as it was given, sorted")
    await _no_keys(store)
    await must_raise(OutOfRange, store.set("", b""), "a key that is none raises OutOfRange")
    await must_raise(OutOfRange, store.rename("a", "x" * 256), "a key that is none raises OutOfRange")
    for key in AWKWARD:
        await store.delete(key)
    must(await store.list() == [], "what was deleted is not listed")


async def _parts(store: KeyValue) -> None:
    value = bytes(range(200))
    await store.set("key", value)
    for offset, length in ((0, 200), (0, 0), (10, 20), (199, 1), (199, 5), (200, 1), (5000, 5), (0, 1 << 40)):
        got = await store.get_partial("key", offset, length)
        must(got == value[offset : offset + length], f"get_partial(key, {offset}, {length}) is that part of the value")
    expected = value
    for offset, part in ((0, b""), (0, b"first"), (10, b"inner"), (198, b"over"), (300, b"behind"), (5, bytes(400))):
        await store.set_partial("key", offset, memoryview(part))
        expected = expected[:offset].ljust(offset, b"\0") + part + expected[offset + len(part) :]
        must(await store.get("key") == expected, f"set_partial(key, {offset}, ...) replaces that part, and no other")
    await must_raise(OutOfRange, store.set_partial("key", -1, b"x"), "set_partial() before the start raises OutOfRange")
    must(await store.get("key") == expected, "a set_partial() that failed changes nothing")
    before = await store.modified("key")
    await store.set("key", b"later")
    must(before <= await store.modified("key"), "modified() does not go back when a value is stored")
    must(before == 0 or before > 1e18, "modified() is nanoseconds since 1970, or 0")


async def _lists(store: KeyValue) -> None:
    keys = ["b", "a", "ab", "a/x", "a/y", "a0", "\u00fc1", "\u00fc2"]
    for key in keys:
        await store.set(key, b"")
    must(await store.list() == sorted(keys), "list() is sorted")
    for prefix in ("a", "a/", "b", "c", "\u00fc", "a/x", "a/xx"):
        expected = sorted(key for key in keys if key.startswith(prefix))
        must(await store.list(prefix) == expected, f"list({prefix!r}) returns the keys that begin so")


async def _renames(store: KeyValue) -> None:
    await store.set("one", b"1")
    await store.set("two", b"2")
    await store.rename("one", "x" * 255)
    must(await store.get("x" * 255) == b"1" and not await store.exists("one"), "rename() moves a value")
    await store.rename("x" * 255, "two")
    must(await store.get("two") == b"1", "rename() replaces the value that is there")
    await store.rename("two", "two")
    must(await store.list() == ["two"], "rename() to itself changes nothing")
    await must_raise(NotFound, store.rename("none", "two"), "rename() of a key without a value raises NotFound")
    await must_raise(NotFound, store.rename("none", "none"), "rename() of a key without a value raises NotFound")
    must(await store.get("two") == b"1", "a rename() that failed changes nothing")


async def _at_once(store: KeyValue) -> None:
    await asyncio.gather(*(store.set(f"key/{number}", str(number).encode()) for number in range(50)))
    got = await asyncio.gather(*(store.get(f"key/{number}") for number in range(50)))
    must(got == [str(number).encode() for number in range(50)], "what is done at once does not disturb each other")
    values = [bytes([number]) * 10_000 for number in range(20)]
    await asyncio.gather(*(store.set("same", value) for value in values))
    must(await store.get("same") in values, "of sets at once one wins, whole")
    await store.set("long " * 51, b"x")
    await asyncio.gather(store.delete("long " * 51), *(store.set("long " * 50 + str(n), b"y") for n in range(5)))
    must(len(await store.list("long")) == 5, "a delete() takes nothing with it")
    task = asyncio.ensure_future(store.set("same", b"new" * 10_000))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    must(
        await store.get("same") in (*values, b"new" * 10_000), "a set() that is cancelled leaves one value or the other"
    )


async def _bounds(store: KeyValue) -> None:
    await store.set("kept", b"kept")
    count = 0
    try:
        while count * MANY < ROOM_MAX:
            await store.set(f"filler {count}", bytes(MANY))
            must(await store.size(f"filler {count}") == MANY, "a value that was stored is there")
            count += 1
        return  # it is as large as what it is on
    except NoSpace:
        pass
    except DeviceError as error:
        must(False, f"a store that is full raises NoSpace, and it raised {error!r}")
    must(await store.get("kept") == b"kept", "what was stored stays when the store is full")
    must(not await store.exists(f"filler {count}"), "a value that found no room is not there")
    await must_raise(NoSpace, store.set("kept", bytes(ROOM_MAX)), "a value that has no room raises NoSpace")
    must(await store.get("kept") == b"kept", "a value that found no room leaves the one before")
    for number in range(count):
        await store.delete(f"filler {number}")
    await store.set("again", bytes(MANY * count // 2))
    must(await store.size("again") == MANY * count // 2, "room that was given back can be used again")
