"""Time one loop twice: on the host's processor, and as ring-0 code of a KVM guest. Run as a program of its own.

The guest is 32-bit protected mode without paging: what every kernel runs in before anything else, and what a KVM that
emulates ring 0 must emulate. The program prints the nanoseconds of both as JSON, or why KVM refused. It bounds no time:
whoever starts it kills it. The interface is documented in the Linux kernel's Documentation/virt/kvm/api.rst.
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
KVM_EXIT_HLT = 5

ITERATIONS = 200_000
"""0.1 ms on hardware; half a second and more where each instruction is emulated."""
ROUNDS = 3
CODE = b"\xb9" + struct.pack("<I", ITERATIONS) + b"\xff\xc9\x75\xfc"  # mov ecx, N; 1: dec ecx; jnz 1b
HLT, RET = b"\xf4", b"\xc3"
CODE_SEGMENT = struct.pack("<QIHBBBBBBBBBx", 0, 0xFFFFFFFF, 8, 11, 1, 0, 1, 1, 0, 1, 0, 0)
DATA_SEGMENT = struct.pack("<QIHBBBBBBBBBx", 0, 0xFFFFFFFF, 16, 3, 1, 0, 1, 1, 0, 1, 0, 0)
CR0_OFFSET = 8 * 24 + 2 * 16


def host_ns() -> int:
    """Return the best time of the loop on the host; if the host allows no such code, that of one GHz."""
    try:
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return ITERATIONS
    page.write(CODE + RET)
    function = ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return min(_timed(function) for _ in range(ROUNDS))


def guest_ns() -> int:
    """Return the best time of the loop in a guest. Raises OSError if KVM refuses."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    # Intel's processors without unrestricted guests need three pages for a TSS; elsewhere the call does nothing.
    with contextlib.suppress(OSError):
        fcntl.ioctl(machine, KVM_SET_TSS_ADDR, 0x7FFBD000)
    memory = mmap.mmap(-1, 4096)
    memory.write(CODE + HLT)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(machine, KVM_SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0x1000, 4096, address))
    processor = fcntl.ioctl(machine, KVM_CREATE_VCPU, 0)
    shared = mmap.mmap(processor, fcntl.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0))
    system = bytearray(0x138)
    fcntl.ioctl(processor, KVM_GET_SREGS, system)
    system[:144] = CODE_SEGMENT + 5 * DATA_SEGMENT
    struct.pack_into("<Q", system, CR0_OFFSET, struct.unpack_from("<Q", system, CR0_OFFSET)[0] | 1)
    fcntl.ioctl(processor, KVM_SET_SREGS, bytes(system))
    registers = struct.pack("<18Q", *[0] * 16, 0x1000, 2)

    def run() -> None:
        fcntl.ioctl(processor, KVM_SET_REGS, registers)
        fcntl.ioctl(processor, KVM_RUN, 0)
        (reason,) = struct.unpack_from("<I", shared, 8)
        if reason != KVM_EXIT_HLT:
            raise OSError(0, f"a guest stopped for reason {reason} where it should have halted")

    return min(_timed(run) for _ in range(ROUNDS))


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
