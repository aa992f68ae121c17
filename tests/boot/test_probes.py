"""Every probe of kernel/probes ends as its first line says, in a machine of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.machine import kvm
from tests import probes
from tests.boot import programs

pytestmark = pytest.mark.boot
MEMORY_MIB = {"thread_clone": 256}
EMULATED_TOO = (
    "files_tmp",
    "guard",
    "kernel_pointer",
    "memory_calls",
    "privileged_gates",
    "signal_frames",
    "signal_handlers",
    "thread_fpu",
    "thread_futex",
    "thread_gs_base",
    "thread_preempt",
    "time_timers",
    "umip",
    "vdso_code",
    "wnox",
    "xnow",
)
"""Where KVM is used, these are run under TCG also: the paths of entry, faults, time and signals that differ."""


@pytest.mark.parametrize("name", probes.names())
def test_probe(name: str, tmp_path: Path) -> None:
    path = probes.image_of(probes.compile_probe(name), tmp_path / "probe.elf")
    probes.check(name, probes.boot(path, MEMORY_MIB.get(name, 64)))


@pytest.mark.skipif(programs.accelerator() == "tcg", reason="all probes are emulated here already: KVM is not used")
@pytest.mark.parametrize("name", EMULATED_TOO)
def test_probe_emulated(name: str, tmp_path: Path) -> None:
    path = probes.image_of(probes.compile_probe(name), tmp_path / "probe.elf")
    probes.check(name, probes.boot(path, MEMORY_MIB.get(name, 64), accel="tcg"))


@pytest.mark.skipif(kvm.module() != "kvm_pvm" or programs.accelerator() == "tcg", reason="no PVM of our revision here")
def test_the_kernel_is_a_pvm_guest(tmp_path: Path) -> None:
    outcome = programs.run(tmp_path, "print(open('/proc/sarab').read())")
    assert "platform PVM" in programs.text(outcome).splitlines()
    emulated = programs.boot(tmp_path / "program.elf", accel="tcg")
    assert "platform other" in programs.text(emulated).splitlines()
