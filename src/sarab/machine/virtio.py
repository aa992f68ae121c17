"""Where a machine's virtio devices are: QEMU's words for a place, and what tells the guest (decision 0042)."""

from __future__ import annotations

SLOT_ADDRESS, SLOT_SIZE, SLOT_LINE = 0xFEB00000, 512, 16
"""Where QEMU's microvm has its first virtio-mmio device (hw/i386/microvm.c), with one I/O APIC."""
DEVICES_MAX = 8
"""Slots that QEMU's microvm has with one I/O APIC; the same for all machines, so that any of them will do."""


CONSOLE_SLOT = DEVICES_MAX - 1
"""Cards and disks come first; where they need all slots, the console is the port alone."""


def has_console(machine: str, devices: int) -> bool:
    """Say whether a machine with so many cards and disks has the fast console, too."""
    return machine == "microvm" and devices <= CONSOLE_SLOT


def _place(slot: int) -> str:
    return f"{SLOT_SIZE}@{SLOT_ADDRESS + slot * SLOT_SIZE:#x}:{SLOT_LINE + slot}"


def guest_words(machine: str, devices: int) -> tuple[str, ...]:
    """Return the kernel options that tell the guest of so many cards and disks, and of the console."""
    if machine != "microvm":
        return ("pci",) if devices else ()
    console = (f"virtio_console={_place(CONSOLE_SLOT)}",) if has_console(machine, devices) else ()
    return tuple(f"virtio_mmio.device={_place(slot)}" for slot in range(devices)) + console


def common_words(machine: str, devices: int) -> list[str]:
    """Return QEMU's arguments for all of them: microvm's devices are of before virtio 1.0 unless told otherwise.

    A queue whose kicks QEMU takes by an eventfd is cheap to kick (12 us a line against 55) and dear to make: 1 to 2 ms
    each, for the host waits until no processor looks at the table of them. So only where there is more than a console.
    """
    if machine != "microvm":
        return []
    words = ["-global", "virtio-mmio.force-legacy=false"]
    return words if devices else [*words, "-global", "virtio-mmio.ioeventfd=off"]


def console_words(machine: str, devices: int, descriptor: int) -> list[str]:
    """Return QEMU's arguments for the fast console, which writes to a pipe that QEMU inherits.

    QEMU's console throws away what a pipe does not take at once. The file that logs a console is written to whatever
    it takes, and then the console itself need go nowhere. One port: each has two queues, and each queue costs time.
    """
    if not has_console(machine, devices):
        return []
    words = ["-chardev", f"null,id=fast,logfile=/dev/fd/{descriptor},logappend=on"]
    words += ["-device", device_word("virtio-serial", machine, CONSOLE_SLOT, ",max_ports=1")]
    return [*words, "-device", "virtconsole,chardev=fast"]


def device_word(kind: str, machine: str, slot: int, options: str) -> str:
    """Return the value of QEMU's -device for a `kind` (`virtio-net`) in a slot, with `,name=value` options."""
    if machine == "microvm":
        return f"{kind}-device,bus=virtio-mmio-bus.{slot}{options}"
    return f"{kind}-pci,disable-legacy=on{options}"
