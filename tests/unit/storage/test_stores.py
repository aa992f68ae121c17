"""Key-value stores and file systems: in memory, in a folder, in a package, over each other; and liars are found."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sarab.device.errors import DeviceFailed, NoSpace, NotFound, ReadOnly
from sarab.storage import folder as folders
from sarab.storage.folder import FolderFileSystem
from sarab.storage.keyed import FileKeyValue, TreeKeyValue, key_of, names_of
from sarab.storage.memory import ENTRY_COST, MemoryKeyValue
from sarab.storage.memory_files import MemoryFileSystem
from sarab.storage.packed import PackedFileSystem
from sarab.testing.checks.file_system import check_file_system
from sarab.testing.checks.key_value import check_key_value
from sarab.testing.checks.promise import Broken

ROOM = 4 << 20


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


class Fresh:
    """A new empty folder each time."""

    def __init__(self, above: Path) -> None:
        self.above, self.count = above, 0

    def path(self) -> Path:
        self.count += 1
        path = self.above / str(self.count)
        path.mkdir()
        return path


def test_values_in_memory_keep_the_promises() -> None:
    check_key_value(lambda: MemoryKeyValue(ROOM))
    check_key_value(lambda: MemoryKeyValue(values={"a": b"value", "b": b""}, read_only=True))


def test_files_in_memory_keep_the_promises() -> None:
    check_file_system(lambda: MemoryFileSystem(ROOM))
    check_file_system(lambda: MemoryFileSystem(files={"/a/b/c": b"x", "/file": b"value"}, read_only=True))


def test_a_folder_keeps_the_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sarab.testing.checks.file_system.ROOM_MAX", 2 << 20)
    fresh = Fresh(tmp_path)
    check_file_system(lambda: FolderFileSystem(fresh.path()))
    (tmp_path / "file").write_bytes(b"value")
    check_file_system(lambda: FolderFileSystem(tmp_path, read_only=True))


def test_values_over_a_file_system_keep_the_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_key_value(lambda: FileKeyValue(MemoryFileSystem(ROOM)))
    monkeypatch.setattr("sarab.testing.checks.key_value.ROOM_MAX", 2 << 20)
    fresh = Fresh(tmp_path)

    @asynccontextmanager
    async def over_a_folder() -> Any:
        files = FolderFileSystem(fresh.path())
        await files.make_folder("/values")
        yield FileKeyValue(files, "/values")
        files.close()

    check_key_value(over_a_folder)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder as a package has one."""
    (tmp_path / "css").mkdir()
    (tmp_path / "index.html").write_bytes(b"<p>hello")
    (tmp_path / "css" / "site.css").write_bytes(b"p {}")
    return tmp_path


def test_a_packages_folder_keeps_the_promises(package: Path) -> None:
    check_file_system(lambda: PackedFileSystem(package))
    check_key_value(lambda: TreeKeyValue(PackedFileSystem(package)))
    store = TreeKeyValue(PackedFileSystem(package), "/css")
    assert run(store.list()) == ["site.css"]
    whole = TreeKeyValue(PackedFileSystem(package))
    assert run(whole.list("css/")) == ["css/site.css"]
    assert run(whole.get("css/site.css")) == b"p {}"
    for key in ("css", "../x", "/index.html", "css//site.css", "index.html/x"):
        with pytest.raises(NotFound):
            run(whole.get(key))
        assert not run(whole.exists(key))
    with pytest.raises(NotADirectoryError):
        PackedFileSystem(package / "none")


class LyingStore(MemoryKeyValue):
    lie = ""

    async def set(self, key: str, value: Any) -> None:
        if self.lie == "folds case":
            key = key.lower()
        if self.lie == "keeps a hold" and isinstance(value, bytearray):
            await super().set(key, value)
            self._values[key] = value  # type: ignore[assignment]
            return
        try:
            await super().set(key, value)
        except NoSpace:
            if self.lie == "half a value":
                self._values[key] = b""
            elif self.lie == "silent when full":
                return
            raise

    async def list(self, prefix: str = "") -> list[str]:
        found = await super().list(prefix)
        return found[::-1] if self.lie == "unsorted" else found

    async def rename(self, key: str, new: str) -> None:
        if self.lie == "rename forgets" and key in self._values:
            self._drop(key)
            return
        await super().rename(key, new)

    async def get_partial(self, key: str, offset: int, length: int) -> bytes:
        found = await super().get_partial(key, offset, length)
        if self.lie == "parts are padded":
            return found.ljust(min(length, 300), b"\0")
        return found

    async def set_partial(self, key: str, offset: int, value: Any) -> None:
        if self.lie == "a part cuts":
            await self.set(key, (await self.get(key))[:offset].ljust(offset, b"\0") + bytes(value))
            return
        await super().set_partial(key, offset, value)

    async def modified(self, key: str) -> int:
        found = await super().modified(key)
        if self.lie == "time runs back":
            return 2 * 10**18 - found
        return found // 10**9 if self.lie == "seconds" else found


@pytest.mark.parametrize(
    "lie",
    [
        "a part cuts",
        "time runs back",
        "seconds",
        "folds case",
        "keeps a hold",
        "half a value",
        "silent when full",
        "unsorted",
        "rename forgets",
        "parts are padded",
    ],
)
def test_the_checker_finds_a_store_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LyingStore, "lie", lie)
    with pytest.raises(Broken):
        check_key_value(lambda: LyingStore(ROOM))


class LyingFiles(MemoryFileSystem):
    lie = ""

    async def write(self, path: str, data: Any, offset: int | None = None) -> None:
        if self.lie == "understands dots":
            path = os.path.normpath(path) if path.startswith("/") else path
        if self.lie == "appends" and offset is None and self._look(path) is not None:
            offset = len(self._file(path).data)
        if self.lie == "cuts" and offset is not None and self._look(path) is not None:
            await self.truncate(path, min(offset, len(self._file(path).data)))
        await super().write(path, data, offset)

    async def remove(self, path: str) -> None:
        node = self._look(path)
        if self.lie == "removes trees" and node is not None and hasattr(node, "entries"):
            node.entries.clear()
        await super().remove(path)

    async def rename(self, path: str, new: str) -> None:
        if self.lie == "refuses to replace" and path != new and self._look(new) is not None:
            raise FileExistsError(17, new)
        await super().rename(path, new)

    async def list(self, path: str = "/") -> list[str]:
        if self.lie == "lists files" and self._look(path) is not None and not hasattr(self._look(path), "entries"):
            return []
        return await super().list(path)

    async def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        if self.lie == "KeyError" and self._look(path) is None:
            raise KeyError(path)
        return await super().read(path, offset, length)


@pytest.mark.parametrize(
    "lie", ["understands dots", "appends", "cuts", "removes trees", "refuses to replace", "lists files", "KeyError"]
)
def test_the_checker_finds_a_file_system_that_lies(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LyingFiles, "lie", lie)
    with pytest.raises(Broken):
        check_file_system(lambda: LyingFiles(ROOM))


def test_a_store_counts_what_it_holds_to_the_byte() -> None:
    async def main() -> None:
        store = MemoryKeyValue(2 * (ENTRY_COST + 1) + 100)
        await store.set("a", bytes(60))
        await store.set("b", bytes(40))
        with pytest.raises(NoSpace, match="a value of 41 bytes needs 1 more, and this store has 0 left"):
            await store.set("b", bytes(41))
        await store.set("a", bytes(20))
        await store.set("b", bytes(80))
        await store.rename("a", "b")
        assert store._left == ENTRY_COST + 1 + 80
        await store.delete("b")
        assert store._left == 2 * (ENTRY_COST + 1) + 100

    run(main())


def test_files_in_memory_are_counted_too() -> None:
    async def main() -> None:
        files = MemoryFileSystem(10_000)
        await files.make_folder("/a")
        await files.write("/a/b", bytes(1000))
        await files.write("/a/b", bytes(10), 2000)
        await files.truncate("/a/b", 500)
        await files.write("/c", bytes(7))
        await files.rename("/a/b", "/c")
        await files.remove("/c")
        await files.remove("/a")
        assert files._left == 10_000

    run(main())


def outside(tmp_path: Path) -> tuple[Path, FolderFileSystem]:
    """A folder with ways out of it."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "out").mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to("..")
    (root / "out").symlink_to(tmp_path / "out")
    os.mkfifo(root / "pipe")
    (root / "file").write_bytes(b"here")
    return root, FolderFileSystem(root)


def test_no_path_leads_out_of_a_folder(tmp_path: Path) -> None:
    root, files = outside(tmp_path)

    async def main() -> None:
        assert await files.list() == ["file"]
        for path in ("/link", "/up", "/up/secret", "/out", "/out/x", "/pipe"):
            for work in (
                files.read(path), files.write(path, b"x"), files.stat(path), files.list(path), files.truncate(path, 0),
                files.remove(path), files.rename(path, "/moved"), files.make_folder(f"{path}/new"),
                files.rename("/file", f"{path}/file"),
            ):  # fmt: skip
                with pytest.raises(OSError):
                    await work
        for path in ("/../secret", "/up/../../secret", "../secret"):
            with pytest.raises(OSError, match="Invalid argument"):
                await files.read(path)
        with pytest.raises(FileNotFoundError):
            await files.read("/up/secret")

    run(main())
    files.close()
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert os.listdir(tmp_path / "out") == []
    assert sorted(os.listdir(root)) == ["file", "link", "out", "pipe", "up"]
    assert (root / "file").read_bytes() == b"here"


def test_a_file_may_take_the_place_of_a_link_but_never_goes_through_it(tmp_path: Path) -> None:
    root, files = outside(tmp_path)
    run(files.rename("/file", "/link"))
    files.close()
    assert not (root / "link").is_symlink()
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_flush_reaches_every_file_and_beyond_a_bound_the_whole_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    monkeypatch.setattr(os, "sync", lambda: synced.append("all"))
    files = FolderFileSystem(tmp_path)

    async def main() -> None:
        await files.make_folder("/a")
        await files.write("/a/b", b"x")
        await files.flush()
        assert sorted(synced) == sorted(map(str, (tmp_path, tmp_path / "a", tmp_path / "a" / "b")))
        synced.clear()
        await files.flush()
        assert synced == []
        await files.rename("/a/b", "/c")
        assert synced == [str(tmp_path / "a" / "b")], "a file's bytes are there before its name is"
        monkeypatch.setattr(folders, "DIRTY_MAX", 3)
        for number in range(5):
            await files.write(f"/{number}", b"")
        synced.clear()
        await files.flush()
        assert synced == ["all"]

    run(main())
    files.close()


def test_a_closed_folder_is_gone(tmp_path: Path) -> None:
    files = FolderFileSystem(tmp_path)
    files.close()
    files.close()
    with pytest.raises(OSError, match="Input/output error"):
        run(files.list())


@pytest.mark.parametrize("key", ["a", "A/b", "x" * 255, "\u00fc" * 127, "/" * 255, "%25", "\0"])
def test_a_key_and_its_names_belong_to_each_other(key: str) -> None:
    names = names_of(key)
    assert key_of("".join(name[1:] for name in names)) == key
    assert all(len(name) <= 201 and name == name.lower() for name in names)


@pytest.mark.parametrize("text", ["", "A", "%", "%4", "%zz", "%61", "%ff", "a.b", "%2F", "\u00fc"])
def test_names_that_no_key_has_are_not_listed(text: str) -> None:
    assert key_of(text) is None
    files = MemoryFileSystem(files={f"/v{text}": b"", "/other": b"", "/tx": b"", "/vgood": b""})
    assert run(FileKeyValue(files).list()) == ["good"]


def test_a_file_systems_errors_become_a_stores() -> None:
    async def main() -> None:
        files = MemoryFileSystem(ROOM)
        store = FileKeyValue(files)
        await store.set("a", b"x")
        with pytest.raises(NoSpace):
            await store.set("a", bytes(ROOM))
        assert await files.list() == ["va"], "what was begun is gone"

        async def fails(*_: object) -> Any:
            raise OSError(5, "Input/output error")

        files.read = fails  # type: ignore[assignment, method-assign]
        with pytest.raises(DeviceFailed, match="Input/output error"):
            await store.get("a")
        locked = FileKeyValue(MemoryFileSystem(read_only=True))
        with pytest.raises(ReadOnly):
            await locked.set("a", b"")

    run(main())


def test_the_folders_of_long_keys_go_with_them() -> None:
    async def main() -> None:
        files = MemoryFileSystem(ROOM)
        store = FileKeyValue(files)
        await store.set("x" * 255, b"")
        await store.rename("x" * 255, "/" * 255)
        await store.delete("/" * 255)
        assert await files.list() == []

    run(main())
