"""Choose between the processor (KVM) and emulation (TCG)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sarab.machine import kvm
from sarab.machine.errors import KvmUnusable
from sarab.machine.options import Accelerator, MachineType


class Choice(NamedTuple):
    """An accelerator, and why it was chosen."""

    processor: str
    """A key of vector.PROCESSORS."""
    reason: str
    """One sentence without its full stop."""

    @property
    def name(self) -> str:
        """`kvm` or `tcg`."""
        return self.processor.partition("-")[0]


def choose(
    wanted: Accelerator, cache: Path | None, machine: MachineType = "microvm", *, debugged: bool = False
) -> Choice:
    """Return what to use. `kvm` is believed, `auto` is proved. Raises KvmUnusable if `kvm` was asked for in vain."""
    if wanted == "tcg":
        return Choice("tcg", "emulated, as asked for")
    module = kvm.module()
    is_pvm = module == "kvm_pvm"
    hardware = "kvm-pvm" if is_pvm or not module else "kvm"  # a container without /sys does not say which it is
    if wanted == "kvm":
        if not kvm.DEVICE.exists():
            raise KvmUnusable(f"there is no {kvm.DEVICE} on this host; use --accel tcg, or see 'sarab doctor'")
        if not kvm.may_open():
            raise KvmUnusable(f"this user may not open {kvm.DEVICE}; use --accel tcg, or see 'sarab doctor'")
        return Choice(hardware, "KVM, as asked for")
    found = kvm.examine(cache)
    if found.usability is kvm.Usability.NATIVE:
        if is_pvm and debugged:  # QEMU cannot write them, and the processor's own never stop the guest
            return Choice("tcg", "emulated: a debugger's breakpoints do not work under PVM")
        if is_pvm and machine != "microvm":  # five seconds and more of SeaBIOS
            return Choice("tcg", f"emulated: under PVM the BIOS of {machine} runs instruction by instruction")
        return Choice(hardware, found.sentence)
    return Choice("tcg", f"emulated: {found.sentence}")
