"""What every device.file_system.FileSystem promises, checked: `check_file_system(make)`.

One that is read-only holds a file of at least 4 bytes in its root.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sarab.device.file_system import FileSystem, Status
from sarab.testing.checks.promise import Broken, Run, each_must_raise, must, must_raise, opened, within

LONG = 300_000
MANY = 1 << 20
ROOM_MAX = 64 << 20
"""Above so many bytes a file system's bound is not looked for."""
NO_PATHS = ("", "a", "a/b", "/.", "/..", "/a/../b", "/a/./b", "//", "/a/", "/a//b", "/a\0b", "/\ud800")


def check_file_system(make: Callable[[], object], run: Run = asyncio.run) -> None:
    """Check it; `make` returns a fresh, empty one, to be awaited or entered if it must be. Raises Broken."""
    run(_check(make))


async def _check(make: Callable[[], object]) -> None:
    for check in (_files, _parts, _folders, _paths, _renames, _sizes, _at_once, _bounds):
        async with opened(make()) as files:
            if files.read_only:
                await within(_only_reads(files), "a file system answers")
                return
            await within(check(files), f"a file system answers ({check.__name__.strip('_')})")


async def _fails(number: int, work: Awaitable[object], words: str) -> None:
    try:
        await work
    except OSError as error:
        must(error.errno == number, f"{words} is OSError({errno.errorcode[number]}), and not {error!r}")
        return
    except Exception as error:
        raise Broken(f"{words} is OSError({errno.errorcode[number]}), and not {error!r}") from error
    raise Broken(f"{words} is OSError({errno.errorcode[number]})")


async def _each_fails(number: int, words: str, *works: Coroutine[Any, Any, object]) -> None:
    left = list(works)
    try:
        while left:
            await _fails(number, left.pop(0), words)
    finally:
        for work in left:
            work.close()


async def _only_reads(files: FileSystem) -> None:
    names = await files.list()
    must(
        names == sorted(names) and len(names) > 0, "list() is sorted, and a read-only one that is checked holds a file"
    )
    kinds = [(f"/{name}", await files.stat(f"/{name}")) for name in names]
    plain = [(path, status) for path, status in kinds if not status.is_folder and status.size >= 4]
    must(len(plain) > 0, "a read-only file system that is checked holds a file of 4 bytes: see make()")
    path, status = plain[0]
    data = await files.read(path)
    must(len(data) == status.size, "a file has the size that stat() tells")
    must(await files.read(path, 1, 2) == data[1:3], "read() returns the part that was asked for")
    await must_raise(NotADirectoryError, files.list(path), "list() of a file raises NotADirectoryError")
    await must_raise(NotADirectoryError, files.read(f"{path}/x"), "a path through a file raises NotADirectoryError")
    await must_raise(FileNotFoundError, files.read("/no such file"), "read() of nothing raises FileNotFoundError")
    await must_raise(IsADirectoryError, files.read("/"), "read() of a folder raises IsADirectoryError")
    await each_must_raise(
        PermissionError,
        "what would change a read-only file system raises PermissionError",
        files.write(path, b"x"),
        files.write("/new", b"x"),
        files.make_folder("/new"),
        files.remove(path),
        files.rename(path, "/new"),
        files.truncate(path, 0),
    )
    must(await files.read(path) == data, "a read-only file system stays as it is")
    for bad in NO_PATHS:
        await _fails(errno.EINVAL, files.read(bad), f"a path that is none, {bad!r},")
    await files.flush()


async def _files(files: FileSystem) -> None:
    must(await files.list() == [], "a fresh file system is empty")
    data = bytearray(b"first")
    await files.write("/file", data)
    data[:] = b"xxxxx"
    must(await files.read("/file") == b"first", "read() returns what write() was given, as it was then")
    for value in (b"", b"short", bytes(range(256)) * (LONG // 256), b"x"):
        await files.write("/file", memoryview(value))
        must(await files.read("/file") == value, "write() replaces the file")
        status = await files.stat("/file")
        must(
            type(status) is Status and status.size == len(value) and not status.is_folder, "stat() tells a file's size"
        )
    await files.flush()
    must(await files.list() == ["file"], "a file is listed")
    await files.remove("/file")
    await each_must_raise(
        FileNotFoundError,
        "what is not there raises FileNotFoundError",
        files.read("/file"),
        files.stat("/file"),
        files.remove("/file"),
        files.truncate("/file", 0),
    )
    must(await files.list() == [], "what was removed is not listed")


async def _parts(files: FileSystem) -> None:
    await files.write("/file", bytes(range(100)))
    for offset, length in ((0, None), (10, 20), (99, 5), (100, 1), (5000, None), (0, 0), (50, 1 << 40)):
        expected = bytes(range(100))[offset : None if length is None else offset + length]
        must(
            await files.read("/file", offset, length) == expected, f"read({offset}, {length}) is that part of the file"
        )
    await files.write("/file", b"xx", 10)
    must(
        await files.read("/file", 8, 6) == bytes((8, 9)) + b"xx" + bytes((12, 13)),
        "a write into a file changes its part",
    )
    must((await files.stat("/file")).size == 100, "a write into a file does not cut it")
    await files.write("/file", b"end", 98)
    must(await files.read("/file", 97) == b"aend", "a write may begin in a file and end behind it")
    await files.write("/file", b"far", 200)
    must(
        await files.read("/file", 101) == bytes(99) + b"far",
        "there are zeros between a file's end and a write behind it",
    )
    await files.write("/new", b"far", 5)
    must(await files.read("/new") == bytes(5) + b"far", "a write with an offset makes a file that is not there")
    await _fails(errno.EINVAL, files.write("/file", b"", -1), "a write before the start")
    await _fails(errno.EINVAL, files.read("/file", -1), "a read before the start")
    await _fails(errno.EINVAL, files.read("/file", 0, -1), "a read of less than nothing")


async def _folders(files: FileSystem) -> None:
    must((await files.stat("/")).is_folder, "the root is a folder")
    await files.make_folder("/folder")
    status = await files.stat("/folder")
    must(status.is_folder and status.size == 0, "stat() tells a folder, of size 0")
    await files.make_folder("/folder/inner")
    for name in ("b", "a", "\u00fc", "a b", "x" * 255):
        await files.write(f"/folder/{name}", name.encode())
    expected = sorted(["b", "a", "\u00fc", "a b", "x" * 255, "inner"])
    must(await files.list("/folder") == expected, "list() returns a folder's names, sorted, and no others")
    must(await files.list() == ["folder"], "list() looks into no other folder")
    must(await files.read("/folder/" + "x" * 255) == b"x" * 255, "a name has up to 255 bytes")
    await each_must_raise(
        FileExistsError,
        "make_folder() of what is there raises FileExistsError",
        files.make_folder("/folder"),
        files.make_folder("/folder/a"),
        files.make_folder("/"),
    )
    for path in ("/none/x", "/none/x/y"):
        await each_must_raise(
            FileNotFoundError,
            "a folder that is not there raises FileNotFoundError",
            files.write(path, b""),
            files.make_folder(path),
            files.read(path),
            files.list(path),
        )
    through = "/folder/a/x"
    await each_must_raise(
        NotADirectoryError,
        "a path through a file raises NotADirectoryError",
        files.write(through, b""),
        files.make_folder(through),
        files.read(through),
        files.stat(through),
    )
    await must_raise(NotADirectoryError, files.list("/folder/a"), "list() of a file raises NotADirectoryError")
    await each_must_raise(
        IsADirectoryError,
        "what is for files raises IsADirectoryError for a folder",
        files.read("/folder"),
        files.write("/folder", b""),
        files.truncate("/folder", 0),
        files.write("/", b""),
    )
    await _fails(errno.ENOTEMPTY, files.remove("/folder"), "remove() of a folder that is not empty")
    await must_raise(OSError, files.remove("/"), "the root cannot be removed")
    await files.remove("/folder/inner")
    must("inner" not in await files.list("/folder"), "an empty folder can be removed")


async def _paths(files: FileSystem) -> None:
    await files.make_folder("/a")
    await files.write("/a/b", b"x")
    for path in NO_PATHS:
        await _each_fails(
            errno.EINVAL,
            f"a path that is none, {path!r},",
            files.read(path),
            files.write(path, b""),
            files.stat(path),
            files.list(path),
            files.remove(path),
        )
        await _fails(errno.EINVAL, files.rename("/a/b", path), f"a path that is none, {path!r},")
    await must_raise(OSError, files.write("/" + "x" * 256, b""), "a name of 256 bytes is too long")
    must(await files.list("/a") == ["b"], "paths that are none change nothing")


async def _renames(files: FileSystem) -> None:
    await files.make_folder("/a")
    await files.make_folder("/b")
    await files.write("/a/one", b"1")
    await files.write("/two", b"2")
    await files.rename("/a/one", "/b/uno")
    must(await files.read("/b/uno") == b"1" and await files.list("/a") == [], "rename() moves a file")
    await files.rename("/b/uno", "/two")
    must(await files.read("/two") == b"1" and await files.list("/b") == [], "rename() replaces a file that is there")
    await files.rename("/two", "/two")
    must(await files.read("/two") == b"1", "rename() to itself changes nothing")
    await files.write("/a/in", b"in")
    await files.rename("/a", "/b/moved")
    must(await files.read("/b/moved/in") == b"in" and await files.list() == ["b", "two"], "rename() moves a folder")
    await must_raise(FileNotFoundError, files.rename("/none", "/x"), "rename() of nothing raises FileNotFoundError")
    await must_raise(
        FileNotFoundError, files.rename("/two", "/none/x"), "rename() into nothing raises FileNotFoundError"
    )
    await files.make_folder("/empty")
    for path, new in (
        ("/two", "/empty"),
        ("/b", "/empty"),
        ("/b", "/two"),
        ("/b", "/b/moved/b"),
        ("/", "/x"),
        ("/b", "/"),
    ):
        await must_raise(OSError, files.rename(path, new), f"rename({path}, {new}) fails")
    must(
        await files.list() == ["b", "empty", "two"] and await files.read("/two") == b"1",
        "a rename() that failed changes nothing",
    )


async def _sizes(files: FileSystem) -> None:
    await files.write("/file", b"0123456789")
    await files.truncate("/file", 4)
    must(await files.read("/file") == b"0123", "truncate() cuts a file")
    await files.truncate("/file", 8)
    must(await files.read("/file") == b"0123\0\0\0\0", "truncate() fills a file up with zeros")
    await _fails(errno.EINVAL, files.truncate("/file", -1), "truncate() to less than nothing")
    before = (await files.stat("/file")).modified
    must(type(before) is int and before >= 0, "modified is whole nanoseconds, or 0")


async def _at_once(files: FileSystem) -> None:
    await asyncio.gather(*(files.write(f"/{number}", str(number).encode() * 1000) for number in range(50)))
    got = await asyncio.gather(*(files.read(f"/{number}") for number in range(50)))
    must(
        got == [str(number).encode() * 1000 for number in range(50)], "what is done at once does not disturb each other"
    )
    await files.write("/file", bytes(50 * 100))
    await asyncio.gather(*(files.write("/file", bytes([number]) * 100, number * 100) for number in range(50)))
    expected = b"".join(bytes([number]) * 100 for number in range(50))
    must(await files.read("/file") == expected, "writes into different parts of a file are all done")


async def _bounds(files: FileSystem) -> None:
    await files.write("/kept", b"kept")
    count = 0
    try:
        while count * MANY < ROOM_MAX:
            await files.write(f"/filler {count}", bytes(MANY))
            count += 1
        return  # it is as large as what it is on
    except OSError as error:
        must(error.errno == errno.ENOSPC, "a file system that is full is OSError(ENOSPC)")
    must(await files.read("/kept") == b"kept", "what was written stays when the file system is full")
    await _fails(errno.ENOSPC, files.write("/kept", bytes(ROOM_MAX), 4), "a file that has no room")
    must((await files.read("/kept"))[:4] == b"kept", "a write into a file that found no room leaves what was there")
    for number in range(count):
        await files.remove(f"/filler {number}")
    if f"filler {count}" in await files.list():
        await files.remove(f"/filler {count}")
    await files.write("/again", bytes(MANY * count // 2))
    must((await files.stat("/again")).size == MANY * count // 2, "room that was given back can be used again")
