"""Files in folders, by absolute paths with `/`; what fails is an OSError, as with open() (PEP 3151)."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sarab.device.network import Buffer


class Status(NamedTuple):
    """What stat() tells."""

    size: int
    """Bytes; 0 for a folder."""
    is_folder: bool
    modified: int
    """Nanoseconds since 1970-01-01T00:00Z; 0 where it is not kept."""


class FileSystem(Protocol):
    """A file system. Paths are absolute, `/etc/motd`; `.` and `..` are not understood, and refused.

    Errors: FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError (it is read-only,
    EROFS), OSError(ENOSPC), OSError(ENOTEMPTY), OSError(EINVAL) for a path that is none, OSError(EIO) for the device.
    """

    @property
    def read_only(self) -> bool:
        """Whether everything that would change it raises PermissionError."""

    async def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return bytes of a file from `offset` on, at most `length`, or all; b"" behind its end."""

    async def write(self, path: str, data: Buffer, offset: int | None = None) -> None:
        """Replace a file by `data`, or make it; with `offset`, write there into it, zeros between its end and that."""

    async def stat(self, path: str) -> Status:
        """Return what is known of a file or folder."""

    async def list(self, path: str = "/") -> list[str]:
        """Return the names in a folder, sorted."""

    async def make_folder(self, path: str) -> None:
        """Make a folder in one that is there."""

    async def remove(self, path: str) -> None:
        """Remove a file, or an empty folder."""

    async def rename(self, path: str, new: str) -> None:
        """Move a file or folder; a file at `new` is replaced in one step."""

    async def truncate(self, path: str, size: int) -> None:
        """Cut a file, or fill it up with zeros, to `size` bytes."""

    async def flush(self) -> None:
        """Return when all that was written before survives a crash."""
