"""Where sarab keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $SARAB_CACHE, else sarab's part of $XDG_CACHE_HOME, else ~/.cache/sarab. It may not exist yet."""
    named = os.environ.get("SARAB_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "sarab"
