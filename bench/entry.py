"""Turn a PVH kernel into one that only says "entry": how long QEMU and its firmware take until the kernel's first
instruction.

Guest clocks start at different points (Linux's starts well after its entry), so the time from kernel entry is measured
on the host: the time of the first line, less the median time at which this twin of the very same file says "entry". The
twin has the same size, segments and initial RAM disk; only the bytes at the entry point are replaced.
"""

import struct
from pathlib import Path

from bench.result import Failed

_PT_LOAD, _PT_NOTE = 1, 4
_XEN_PHYS32_ENTRY = 18


def write_twin(kernel: Path, twin: Path) -> None:
    """Write to `twin` the ELF file `kernel` with its PVH entry replaced; Failed if it is no 64-bit PVH kernel."""
    data = bytearray(kernel.read_bytes())
    if data[:5] != b"\x7fELF\x02":
        raise Failed(f"{kernel} is no 64-bit ELF file")
    (headers_offset,) = struct.unpack_from("<Q", data, 32)
    header_size, header_count = struct.unpack_from("<HH", data, 54)
    segments = [struct.unpack_from("<IIQQQQ", data, headers_offset + i * header_size) for i in range(header_count)]
    entry = None
    for kind, _, offset, _, _, size in segments:
        if kind == _PT_NOTE:
            entry = _pvh_entry(bytes(data[offset : offset + size])) or entry
    if entry is None:
        raise Failed(f"{kernel} has no PVH note")
    for kind, _, offset, _, physical, size in segments:
        if kind == _PT_LOAD and physical <= entry < physical + size:
            code = _code("entry\n")
            at = offset + entry - physical
            data[at : at + len(code)] = code
            twin.write_bytes(data)
            return
    raise Failed(f"the PVH entry of {kernel} lies in no segment")


def _pvh_entry(notes: bytes) -> int | None:
    """Return the physical address in the XEN_ELFNOTE_PHYS32_ENTRY note, if it is among `notes`."""
    offset = 0
    while offset + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, offset)
        name_at = offset + 12
        at = name_at + (name_size + 3) // 4 * 4
        if kind == _XEN_PHYS32_ENTRY and notes[name_at : name_at + name_size].rstrip(b"\0") == b"Xen":
            return int.from_bytes(notes[at : at + min(size, 8)], "little")
        offset = at + (size + 3) // 4 * 4
    return None


def _code(text: str) -> bytes:
    """Return 32-bit code that writes `text` to port 0xea, ends QEMU by port 0xf4, and halts."""
    code = b"\x66\xba\xea\x00"  # mov dx, 0xea
    for byte in text.encode():
        code += bytes((0xB0, byte, 0xEE))  # mov al, byte; out dx, al
    code += b"\x66\xba\xf4\x00\x31\xc0\xef"  # mov dx, 0xf4; xor eax, eax; out dx, eax
    return code + b"\xfa\xf4\xeb\xfc"  # cli; hlt; jmp to cli
