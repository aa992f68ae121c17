"""Where a machine's virtio devices are: QEMU's words for a place, and what tells the guest (decision 0042)."""

from __future__ import annotations

SLOT_ADDRESS, SLOT_SIZE, SLOT_LINE = 0xFEB00000, 512, 16
"""Where QEMU's microvm has its first virtio-mmio device (hw/i386/microvm.c), with one I/O APIC."""
DEVICES_MAX = 8
"""Slots that QEMU's microvm has with one I/O APIC; the same for all machines, so that any of them will do."""


def guest_words(machine: str, devices: int) -> tuple[str, ...]:
    """Return the kernel options that tell the guest of so many devices."""
    if not devices:
        return ()
    if machine != "microvm":
        return ("pci",)
    return tuple(
        f"virtio_mmio.device={SLOT_SIZE}@{SLOT_ADDRESS + n * SLOT_SIZE:#x}:{SLOT_LINE + n}" for n in range(devices)
    )


def common_words(machine: str, devices: int) -> list[str]:
    """Return QEMU's arguments for all of them: microvm's devices are of before virtio 1.0 unless told otherwise."""
    return ["-global", "virtio-mmio.force-legacy=false"] if devices and machine == "microvm" else []


def device_word(kind: str, machine: str, slot: int, options: str) -> str:
    """Return the value of QEMU's -device for a `kind` (`virtio-net`) in a slot, with `,name=value` options."""
    if machine == "microvm":
        return f"{kind}-device,bus=virtio-mmio-bus.{slot}{options}"
    return f"{kind}-pci,disable-legacy=on{options}"
