"""/etc/ld.so.cache: ours is read by glibc's own tool, and glibc's by us."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sarab.build import ldcache
from sarab.build.errors import Malformed

LIBRARIES = {"libc.so.6": "/lib/libc.so.6", "libm.so.6": "/lib/libm.so.6", "libz.so.1": "/usr/lib/libz.so.1"}


def ldconfig() -> str:
    path = shutil.which("ldconfig", path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip("there is no ldconfig here")
    return path


def listed(text: str) -> list[tuple[str, str]]:
    lines = [line.strip() for line in text.splitlines() if "=>" in line]
    return [(line.split(" ")[0], line.split("=> ")[1]) for line in lines]


def test_read_of_written_cache_gives_it_back() -> None:
    assert ldcache.read(ldcache.write(LIBRARIES)) == LIBRARIES


def test_ldconfig_prints_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "ld.so.cache"
    path.write_bytes(ldcache.write(LIBRARIES))
    out = subprocess.run([ldconfig(), "-p", "-C", path], capture_output=True, text=True, check=True).stdout
    assert dict(listed(out)) == LIBRARIES
    assert "libc6,x86-64" in out


def test_order_is_the_one_that_ldconfig_writes() -> None:
    """ld.so bisects: a cache in another order has libraries that are never found."""
    if not Path("/etc/ld.so.cache").exists():
        pytest.skip("this machine has no cache")
    out = subprocess.run([ldconfig(), "-p"], capture_output=True, text=True, check=True).stdout
    theirs = list(dict.fromkeys(name for name, _ in listed(out)))
    ours = list(ldcache.read(ldcache.write(dict.fromkeys(reversed(theirs), "/lib/x"))))
    assert ours == theirs


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 200))
def test_read_of_damaged_cache_raises_nothing_but_malformed(place: int, value: int, cut: int) -> None:
    data = bytearray(ldcache.write(LIBRARIES))
    data[place % len(data)] = value
    try:
        ldcache.read(bytes(data[: len(data) - cut]))
    except Malformed:
        pass
