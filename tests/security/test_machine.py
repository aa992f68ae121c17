"""What the kernel demands of the machine, and what it turns on in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sarab.machine.qemu import find_qemu
from sarab.machine.virtio import guest_words
from tests import probes

pytestmark = pytest.mark.boot


NO_GENERATOR = "max,-rdrand,-rdseed"


def _bare_boot(image: Path, processor: str, *devices: str) -> str:
    """Boot with another processor model than sarab's own, and return the console."""
    command = [find_qemu(), "-machine", "microvm", "-accel", "tcg", "-cpu", processor, "-m", "64", "-nodefaults"]
    command += ["-no-user-config", "-display", "none", "-no-reboot", "-kernel", str(image)]
    command += ["-chardev", "stdio,id=console,signal=off", "-device", "isa-debugcon,iobase=0xe9,chardev=console"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-global", "virtio-mmio.force-legacy=false"]
    for slot, device in enumerate(devices):
        command += ["-device", f"{device},bus=virtio-mmio-bus.{slot}"]
    command += ["-append", " ".join(guest_words("microvm", len(devices)))]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.stdout


def test_without_entropy_there_is_no_boot(tmp_path: Path) -> None:
    image = probes.image_of(probes.compile_probe("addresses"), tmp_path / "addresses.elf")
    assert "SUCCESS" in _bare_boot(image, "max")
    for devices in ((), ("virtio-net-device",)):
        console = _bare_boot(image, NO_GENERATOR, *devices)
        assert "this machine has no source of entropy (RDSEED, RDRAND or a virtio entropy device over MMIO)" in console
        assert "SUCCESS" not in console


def test_the_hosts_entropy_is_enough(tmp_path: Path) -> None:
    """Two starts draw different numbers, though nothing but the device and the time differ."""
    image = probes.image_of(probes.compile_probe("addresses"), tmp_path / "addresses.elf")
    rng = "virtio-rng-device"
    consoles = [_bare_boot(image, NO_GENERATOR, "virtio-net-device", rng) for _ in range(2)]
    assert all("SUCCESS" in console for console in consoles)
    assert consoles[0] != consoles[1]
    drawn = probes.image_of(probes.compile_probe("entropy"), tmp_path / "entropy.elf")
    assert "SUCCESS" in _bare_boot(drawn, NO_GENERATOR, rng)


def test_the_processors_protections_are_on(tmp_path: Path) -> None:
    image = probes.image_of(probes.compile_probe("protections"), tmp_path / "protections.elf")
    assert "processor_protections: nx wp smep smap umip" in _bare_boot(image, "max").splitlines()
    assert "processor_protections: nx wp" in _bare_boot(image, "max,-smep,-smap,-umip").splitlines()


def test_no_segment_of_an_image_is_writable_and_executable(tmp_path: Path) -> None:
    from sarab.build import elf

    image = probes.image_of(probes.compile_probe("addresses"), tmp_path / "image.elf")
    header = elf.read(image.read_bytes(), "the image")
    assert len(header.loads) == 4
    writable, executable = 2, 1
    assert all(segment.flags & (writable | executable) != writable | executable for segment in header.segments)
    assert sum(bool(segment.flags & executable) for segment in header.loads) == 1
