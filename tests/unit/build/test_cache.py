"""The cache forgets what nobody has used for long, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sarab.build import cache
from sarab.build.cache import Cache


def test_only_what_is_old_is_removed(tmp_path: Path) -> None:
    kept = Cache(tmp_path)
    kept.put(kept.key("old"), b"old")
    kept.put(kept.key("new"), b"new")
    for name in ("old", "new"):
        (tmp_path / cache.MAINS / name).mkdir(parents=True)
        (tmp_path / cache.MAINS / name / "_sarab_main.py").touch()
    long_ago = time.time() - (cache.AGE_MAX_DAYS + 1) * 86400
    for path in (kept._path(kept.key("old")), tmp_path / cache.MAINS / "old"):
        os.utime(path, (long_ago, long_ago))
    kept.prune()
    assert (kept.get(kept.key("old")), kept.get(kept.key("new"))) == (None, b"new")
    assert [folder.name for folder in (tmp_path / cache.MAINS).iterdir()] == ["new"]
