"""QEMU's argument vector for a machine of ours."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sarab.machine import block, network
from sarab.machine.options import MachineOptions, command_line
from sarab.machine.virtio import common_words, console_words, guest_words

# The kernel measures the TSC against the PIT where there is no kvmclock, reads the date from the RTC, and hears of
# `system_powerdown` through ACPI. Everything that it does not use is off: it would cost start-up time.
MACHINES = {
    "microvm": "microvm,acpi=on,pit=on,pic=on,rtc=on,isa-serial=on,auto-kernel-cmdline=off,ioapic2=off",
    "q35": "q35,usb=off,vmport=off,smbus=off,sata=off",
    "pc": "pc,usb=off,vmport=off",
}

# KVM's own interrupt controllers. With QEMU's IO-APIC in front of them, which is the default, opening a line takes
# milliseconds: each change of a route waits for all of the host's processors.
INTERRUPT_CONTROLLERS = {"tcg": "", "kvm": ",kernel-irqchip=on"}

# A PVM host is a guest itself, and QEMU aborts there when it sets the arch-capabilities register.
PROCESSORS = {"tcg": "max", "kvm": "host", "kvm-pvm": "host,arch-capabilities=off"}

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
"""QEMU may not start programs, change its user or its limits: a guest that breaks out of the machine is stuck there."""


class Channels(NamedTuple):
    """The descriptors that QEMU inherits."""

    console: int
    """A pipe's writing end: the debug console, and the fast console after it."""
    control: int
    """A pipe's writing end: the control channel."""
    serial: int
    """A socket: the console's input."""
    qmp: int
    """A socket: QEMU's monitor."""


def qemu_vector(qemu: str, image: Path, options: MachineOptions, processor: str, channels: Channels) -> list[str]:
    """Return the arguments that start `image`; `processor` is a key of PROCESSORS. Raises UsageError."""
    accelerator = processor.partition("-")[0]
    vector = [qemu, "-name", "sarab", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    machine = MACHINES[options.machine] + INTERRUPT_CONTROLLERS[accelerator]
    vector += ["-machine", machine, "-accel", accelerator, "-cpu", PROCESSORS[processor]]
    vector += ["-smp", "1", "-m", f"{options.memory_mib}M", "-sandbox", SANDBOX]
    cards = 0 if options.network is None else options.network.cards
    devices = cards + len(options.blocks)
    host_words = ["input=escaped", *guest_words(options.machine, devices)]
    vector += ["-kernel", str(image), "-append", command_line(options, host_words)]
    vector += ["-chardev", f"file,id=console,path=/dev/fd/{channels.console}"]
    vector += ["-device", "isa-debugcon,iobase=0xe9,readback=0xe9,chardev=console"]
    vector += ["-chardev", f"file,id=control,path=/dev/fd/{channels.control}"]
    vector += ["-device", "isa-debugcon,iobase=0xea,readback=0x5a,chardev=control"]
    vector += ["-chardev", f"socket,id=serial,fd={channels.serial}", "-serial", "chardev:serial"]
    vector += ["-chardev", f"socket,id=qmp,fd={channels.qmp}", "-mon", "chardev=qmp,mode=control"]
    vector += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    vector += common_words(options.machine, devices)
    vector += console_words(options.machine, devices, channels.console)
    if options.network is not None:
        vector += network.qemu_words(options.network, options.machine)
    vector += block.qemu_words(options.blocks, options.machine, cards)
    if options.gdb_port is not None:
        vector += ["-gdb", f"tcp:127.0.0.1:{options.gdb_port}", "-S"]
    return vector
