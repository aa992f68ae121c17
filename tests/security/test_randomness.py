"""Two boots differ: addresses, the seed of canaries (AT_RANDOM), random bytes. The bits are counted over a dozen."""

from __future__ import annotations

import pytest

from tests import probes

pytestmark = pytest.mark.boot
BOOTS = 12
ADDRESSES = ("stack", "heap", "mmap", "vdso")
SECRETS = ("seed", "random")
BITS_MIN = 24
"""What DESIGN and TESTING section 10 ask of each base, above the 12 of a page."""


@pytest.fixture(scope="module")
def boots(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, int]]:
    # A position-independent program, so that its own place is drawn too.
    path = probes.image_of(probes.compile_probe("addresses"), tmp_path_factory.mktemp("boots") / "addresses.elf")
    found = []
    for _ in range(BOOTS):
        outcome = probes.boot(path)
        probes.check("addresses", outcome)
        lines = [line.split() for line in outcome.console.decode().splitlines()]
        found.append({line[0]: int(line[1], 16) for line in lines if len(line) == 2})
    return found


@pytest.mark.parametrize("name", ADDRESSES)
def test_each_boot_has_other_addresses(boots: list[dict[str, int]], name: str) -> None:
    pages = [boot[name] >> 12 for boot in boots]
    assert len(set(pages)) == BOOTS
    # The spread of a dozen uniform draws is more than a sixteenth of their range but once in 10^12.
    assert max(pages) - min(pages) > 1 << (BITS_MIN - 4)
    varying = 0
    for page in pages:
        varying |= page ^ pages[0]
    assert varying.bit_count() >= BITS_MIN - 3


@pytest.mark.parametrize("name", SECRETS)
def test_each_boot_has_other_secrets(boots: list[dict[str, int]], name: str) -> None:
    values = [boot[name] for boot in boots]
    assert len(set(values)) == BOOTS
    assert all(values)
