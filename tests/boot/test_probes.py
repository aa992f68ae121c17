"""Every probe of kernel/probes ends as its first line says, in a machine of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import probes

pytestmark = pytest.mark.boot
MEMORY_MIB = {"thread_clone": 256}


@pytest.mark.parametrize("name", probes.names())
def test_probe(name: str, tmp_path: Path) -> None:
    path = probes.image_of(probes.compile_probe(name), tmp_path / "probe.elf")
    probes.check(name, probes.boot(path, MEMORY_MIB.get(name, 64)))
