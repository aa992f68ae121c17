"""Time one loop twice: on the host's processor, and as ring-0 code of a KVM guest. Run as a program of its own.

The guest is 32-bit protected mode without paging: what every kernel runs in before anything else, and what a KVM that
emulates ring 0 must emulate. A PVM that speaks the revision of decision 0050 is asked, as our kernel asks, to run a
64-bit guest on the processor. The program prints the nanoseconds of both as JSON, or why KVM refused. It bounds no
time: whoever starts it kills it. The interface is documented in the Linux kernel's Documentation/virt/kvm/api.rst.
"""

import contextlib
import ctypes
import fcntl
import json
import mmap
import os
import struct
import sys
import time

KVM_GET_API_VERSION = 0xAE00
KVM_CREATE_VM = 0xAE01
KVM_GET_VCPU_MMAP_SIZE = 0xAE04
KVM_CREATE_VCPU = 0xAE41
KVM_SET_TSS_ADDR = 0xAE47
KVM_RUN = 0xAE80
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_SET_REGS = 0x4090AE82
KVM_GET_SREGS = 0x8138AE83
KVM_SET_SREGS = 0x4138AE84
KVM_GET_MSRS = 0xC008AE88
KVM_SET_MSRS = 0x4008AE89
KVM_EXIT_IO = 2

ITERATIONS = 200_000
"""0.1 ms on hardware; half a second and more where each instruction is emulated."""
ROUNDS = 3
CODE = b"\xb9" + struct.pack("<I", ITERATIONS) + b"\xff\xc9\x75\xfc"  # mov ecx, N; 1: dec ecx; jnz 1b
WRITE_PORT, RET = b"\xe6\xf4", b"\xc3"
CODE_SEGMENT = struct.pack("<QIHBBBBBBBBBx", 0, 0xFFFFFFFF, 8, 11, 1, 0, 1, 1, 0, 1, 0, 0)
DATA_SEGMENT = struct.pack("<QIHBBBBBBBBBx", 0, 0xFFFFFFFF, 16, 3, 1, 0, 1, 1, 0, 1, 0, 0)
CONTROL_REGISTERS = 8 * 24 + 2 * 16  # in struct kvm_sregs: cr0 cr2 cr3 cr4 cr8 efer
LONG_CODE_SEGMENT = struct.pack("<QIHBBBBBBBBBx", 0, 0xFFFFFFFF, 8, 11, 1, 0, 0, 1, 1, 1, 0, 0)
MEMORY_SIZE = 0x10000
CODE_AT = 0x1000

# docs/decisions/0050-pvm.md
PVM_CONTROL = 0x4B564D10
PVM_SIGNATURE = 0x4B564D11
PVM_SIGNATURE_VALUE = 0x4D5650
PVM_ENABLE = 1
TABLES_AT, SHARED_AT = 0x2000, 0x8000  # PML4, and three tables below it; the page that the hypervisor shares
PRESENT_WRITE_USER = 7


def host_ns() -> int:
    """Return the best time of the loop on the host; if the host allows no such code, that of one GHz."""
    try:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return ITERATIONS
    page.write(CODE + RET)
    function = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return min(_timed(function) for _ in range(ROUNDS))


class Guest:
    """A machine of one processor and 64 KiB, with the loop in its memory. Raises OSError if KVM refuses."""

    def __init__(self) -> None:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
        # Intel's processors without unrestricted guests need three pages for a TSS; elsewhere the call does nothing.
        with contextlib.suppress(OSError):
            fcntl.ioctl(machine, KVM_SET_TSS_ADDR, 0x7FFBD000)
        self.memory = mmap.mmap(-1, MEMORY_SIZE)
        self.memory[CODE_AT : CODE_AT + len(CODE + WRITE_PORT)] = CODE + WRITE_PORT
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        fcntl.ioctl(machine, KVM_SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, MEMORY_SIZE, address))
        self.processor = fcntl.ioctl(machine, KVM_CREATE_VCPU, 0)
        self.shared = mmap.mmap(self.processor, fcntl.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0))

    def system_registers(self, code: bytes, **registers: int) -> None:
        """Set the segments, and the control registers that are given."""
        system = bytearray(0x138)
        fcntl.ioctl(self.processor, KVM_GET_SREGS, system)
        system[:144] = code + 5 * DATA_SEGMENT
        for place, name in enumerate(("cr0", "cr2", "cr3", "cr4", "cr8", "efer")):
            if name in registers:
                struct.pack_into("<Q", system, CONTROL_REGISTERS + 8 * place, registers[name])
        fcntl.ioctl(self.processor, KVM_SET_SREGS, bytes(system))

    def read_msr(self, index: int) -> int:
        """Return a model-specific register; 0 if there is none."""
        one = bytearray(struct.pack("<IIIIQ", 1, 0, index, 0, 0))
        found = fcntl.ioctl(self.processor, KVM_GET_MSRS, one)
        return int(struct.unpack_from("<Q", one, 16)[0]) if found else 0

    def write_msr(self, index: int, value: int) -> None:
        fcntl.ioctl(self.processor, KVM_SET_MSRS, bytearray(struct.pack("<IIIIQ", 1, 0, index, 0, value)))

    def best_ns(self) -> int:
        """Return the best time of the loop."""
        return min(_timed(self._run) for _ in range(ROUNDS))

    def _run(self) -> None:
        fcntl.ioctl(self.processor, KVM_SET_REGS, struct.pack("<18Q", *[0] * 16, CODE_AT, 2))
        fcntl.ioctl(self.processor, KVM_RUN, 0)
        (reason,) = struct.unpack_from("<I", self.shared, 8)
        if reason != KVM_EXIT_IO:
            raise OSError(0, f"a guest stopped for reason {reason} where it should have written to a port")


def guest_ns() -> int:
    """Return the best time of the loop in a guest. Raises OSError if KVM refuses."""
    guest = Guest()
    if guest.read_msr(PVM_SIGNATURE) == PVM_SIGNATURE_VALUE:
        for level in range(4):
            entry = TABLES_AT + 0x1000 * (level + 1) if level < 3 else CODE_AT
            place = TABLES_AT + 0x1000 * level + (8 * (CODE_AT >> 12) if level == 3 else 0)
            struct.pack_into("<Q", guest.memory, place, entry | PRESENT_WRITE_USER)
        guest.system_registers(LONG_CODE_SEGMENT, cr0=0x80010033, cr3=TABLES_AT, cr4=0x20, efer=0x500)
        guest.write_msr(PVM_CONTROL, SHARED_AT | PVM_ENABLE)
    else:
        guest.system_registers(CODE_SEGMENT, cr0=0x11)
    return guest.best_ns()


def _timed(function) -> int:  # type: ignore[no-untyped-def]
    started = time.perf_counter_ns()
    function()
    return time.perf_counter_ns() - started


def main() -> None:
    """Print `{"host_ns": ..., "guest_ns": ...}` or `{"refused": "..."}`."""
    try:
        answer = {"host_ns": host_ns(), "guest_ns": guest_ns()}
    except OSError as error:
        answer = {"refused": error.strerror or str(error)}  # type: ignore[dict-item]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
