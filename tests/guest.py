"""Guests of a few instructions, assembled by hand: the machine room is tested with them, and needs no kernel for it.

A guest is 32-bit code at 2 MiB, entered by its PVH note with ebx = hvm_start_info (Xen's docs/misc/pvh.pandoc), in an
ELF file that QEMU loads. Pieces of code are bytes; put them behind each other.
"""

from __future__ import annotations

import struct
from pathlib import Path

BASE = 0x200000
CODE_OFFSET = 0x1000
CONSOLE, CONTROL, SERIAL, DEBUG_EXIT = 0xE9, 0xEA, 0x3F8, 0xF4
GENERIC_EVENTS = 0xFEA00000
"""Where QEMU's microvm tells of the power button."""

HANG = b"\xfa\xf4\xeb\xfd"  # cli; 1: hlt; jmp 1b
SPIN = b"\xeb\xfe"  # 1: jmp 1b
TRIPLE_FAULT = b"\x6a\x00\x6a\x00\x0f\x01\x1c\x24\xcc"  # push 0 twice; lidt [esp]; int3
STACK = b"\xbc" + struct.pack("<I", BASE + 0x80000)  # mov esp


def say(text: bytes, port: int = CONSOLE) -> bytes:
    """Write `text` to `port`; its bytes stand in the code, jumped over."""
    # call over the text, which pushes its address: pop esi; mov ecx, length; mov edx, port; rep outsb
    call = b"\xe8" + struct.pack("<i", len(text)) + text
    return call + b"\x5e\xb9" + struct.pack("<I", len(text)) + b"\xba" + struct.pack("<I", port) + b"\xf3\x6e"


def control(line: str) -> bytes:
    """Say a line on the control channel."""
    return say(line.encode() + b"\n", CONTROL)


def leave(status: int) -> bytes:
    """End as a kernel does: the status, then the debug exit."""
    write = b"\xb8" + struct.pack("<I", status) + b"\xba" + struct.pack("<I", DEBUG_EXIT) + b"\xef"
    return control(f"exit {status}") + write + HANG


def forever(code: bytes) -> bytes:
    """Do `code` again and again."""
    return code + b"\xe9" + struct.pack("<i", -len(code) - 5)


def say_command_line() -> bytes:
    # mov esi, [ebx+24]; 1: lodsb; test al, al; jz 2f; out 0xe9, al; jmp 1b; 2:
    return b"\x8b\x73\x18\xac\x84\xc0\x74\x04\xe6\xe9\xeb\xf7"


def echo_until(last: int) -> bytes:
    """Copy the serial line to the console as it comes, up to and with the byte `last`."""
    wait = b"\xba\xfd\x03\x00\x00\xec\xa8\x01\x74\xf6"  # 1: mov edx, 0x3fd; in al, dx; test al, 1; jz 1b
    copy = b"\xba\xf8\x03\x00\x00\xec\xe6\xe9\x3c" + bytes([last])  # mov edx, 0x3f8; in al, dx; out 0xe9, al; cmp al
    loop = wait + copy
    fifo_on = b"\xba\xfa\x03\x00\x00\xb0\x01\xee"
    return fifo_on + control("input") + loop + b"\x75" + struct.pack("<b", -len(loop) - 2)


def wait_for_power_button() -> bytes:
    # 1: mov eax, [GENERIC_EVENTS]; test al, 2; jz 1b
    return b"\xa1" + struct.pack("<I", GENERIC_EVENTS) + b"\xa8\x02\x74\xf7"


def write(path: Path, *code: bytes, memory_size: int = 0x100000) -> Path:
    """Write a guest's ELF file to `path` and return it."""
    body = STACK + b"".join(code)
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", BASE)
    headers = 2
    note_offset = 64 + headers * 56
    elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, BASE, 64, 0, 0, 64, 56, headers, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 7, CODE_OFFSET, BASE, BASE, len(body), max(memory_size, len(body)), 0x1000)
    elf += struct.pack("<IIQQQQQQ", 4, 4, note_offset, 0, 0, len(note), len(note), 4)
    path.write_bytes((elf + note).ljust(CODE_OFFSET, b"\0") + body)
    return path
