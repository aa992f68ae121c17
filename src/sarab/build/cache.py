"""What earlier builds found out, by the content it was found from: ~/.cache/sarab or $SARAB_CACHE.

An entry that is damaged or cannot be read is an entry that is not there; one that cannot be written is not kept. So a
cache never makes a build fail, and never makes a different image.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
import zlib
from pathlib import Path

from sarab.folders import cache_folder

AGE_MAX_DAYS = 30
"""Entries that no build has made or used for so long are removed, at most once a day."""
_DAY_SECONDS = 86400
MAINS = "mains"
"""The folder of main modules (sarab.build.wired)."""


class Cache:
    """A store of bytes under keys; a key is any number of texts and byte strings."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder or cache_folder()

    def key(self, *parts: str | bytes) -> str:
        digest = hashlib.sha256()
        for part in parts:
            data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)
        return digest.hexdigest()

    def get(self, key: str) -> bytes | None:
        try:
            data = self._path(key).read_bytes()
        except OSError:
            return None
        if len(data) < 4 or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
            return None
        return data[4:]

    def put(self, key: str, value: bytes) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(zlib.crc32(value).to_bytes(4, "little") + value)
                os.replace(temporary, path)
            except OSError:
                os.unlink(temporary)
        except OSError:
            return

    def prune(self) -> None:
        """Remove what is older than AGE_MAX_DAYS, unless that was done today."""
        stamp = self.folder / "pruned"
        now = time.time()
        try:
            if now - stamp.stat().st_mtime < _DAY_SECONDS:
                return
        except OSError:
            pass
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            stamp.touch()
            for path in (self.folder / "entries").glob("*/*"):
                status = path.stat()
                if now - max(status.st_mtime, status.st_atime) > AGE_MAX_DAYS * _DAY_SECONDS:
                    path.unlink()
            for folder in (self.folder / MAINS).glob("*"):
                if now - folder.stat().st_mtime > AGE_MAX_DAYS * _DAY_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self.folder / "entries" / key[:2] / key[2:]
