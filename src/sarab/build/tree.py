"""The files of an image before they are laid out: image path -> content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sarab.build.errors import BuildError


@dataclass(frozen=True)
class File:
    data: bytes
    executable: bool = False

    @property
    def is_elf(self) -> bool:
        return self.data[:4] == b"\x7fELF"


@dataclass(frozen=True)
class Link:
    target: str


Entry = File | Link


@dataclass
class Tree:
    """Absolute, normalised image paths to entries; directories are implied, empty ones named."""

    entries: dict[str, Entry] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def add(self, path: str, entry: Entry) -> None:
        """Add `entry` at `path`; the same content twice is one entry, two contents are a BuildError."""
        check_path(path)
        old = self.entries.get(path)
        if old is not None and old != entry:
            raise BuildError(f"Two different files want to be {path} in the image.")
        self.entries[path] = entry

    def add_directory(self, path: str) -> None:
        check_path(path)
        self.directories.add(path)

    def size(self) -> int:
        return sum(len(entry.data) for entry in self.entries.values() if isinstance(entry, File))

    def __contains__(self, path: str) -> bool:
        return path in self.entries

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return iter(sorted(self.entries.items()))


def check_path(path: str) -> None:
    parts = path.split("/")
    if parts[0] or any(part in ("", ".", "..") or "\0" in part or len(part.encode()) > 255 for part in parts[1:]):
        raise BuildError(f"{path!r} cannot be a path in an image.")
