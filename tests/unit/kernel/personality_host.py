"""The kernel's personality as a library of this process, whose memory is the application's."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ziglang  # type: ignore[import-untyped]

from sarab.build import sarabfs
from sarab.build.tree import File, Link, Tree

ROOT = Path(__file__).parent.parent.parent.parent
ZIG = Path(ziglang.__file__).parent
HEADERS = (ZIG / "lib/libc/include/x86-linux-any", ZIG / "lib/libc/include/any-linux-any")
AT_FDCWD = -100
Argument = int | bytes | ctypes.Array[ctypes.c_char]


def system_call_numbers() -> dict[str, int]:
    """Return Linux's numbers by name, from the headers that the kernel is built with."""
    text = (HEADERS[0] / "asm/unistd_64.h").read_text()
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", text)}


NUMBERS = system_call_numbers()


def build(folder: Path) -> Path:
    """Compile the room with its fakes into a shared library, with undefined behaviour as a trap."""
    library = folder / "personality.so"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu", "-shared", "-fPIC", "-std=gnu11"]
    command += ["-O1", "-g", "-U_FORTIFY_SOURCE", "-fsanitize=undefined", "-fsanitize-trap=undefined", "-ffreestanding"]
    command += ["-fvisibility=hidden", "-fwrapv", "-include", "tests/fuzz/host_layout.h", "-I", "kernel"]
    for folder_of_headers in HEADERS:
        command += ["-isystem", str(folder_of_headers)]
    sources = [
        *sorted((ROOT / "kernel/personality").glob("*.c")),
        *(ROOT / "kernel/image" / f"{name}.c" for name in ("elf", "image", "lz4", "pieces")),
    ]
    sources += [ROOT / "tests/unit/kernel/personality_host.c"]
    subprocess.run([*command, *map(str, sources), "-o", str(library)], check=True, cwd=ROOT, capture_output=True)
    return library


def small_image() -> bytes:
    """Return a file system with a few files, as an image holds it."""
    tree = Tree()
    tree.add("/bin/program", File(bytes(range(256)) * 400, executable=True))
    tree.add("/etc/small", File(b"small\n"))
    tree.add("/etc/link", Link("small"))
    tree.add("/etc/up", Link("../bin"))
    return sarabfs.write(tree)


class Kernel:
    """One booted personality. Results below zero are negative errno values, as the kernel returns them."""

    def __init__(self, library: Path, folder: Path, tmp_size: int = 1 << 20) -> None:
        copy = folder / f"personality-{os.urandom(8).hex()}.so"  # a library of another name is loaded anew
        shutil.copyfile(library, copy)
        self.library = ctypes.CDLL(str(copy))
        copy.unlink()
        image = small_image()
        self._image = mmap.mmap(-1, len(image))
        self._image[:] = image
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._image))
        self.library.host_call.restype = ctypes.c_int64
        self.library.host_tmp_pages.restype = self.library.host_tmp_inodes.restype = ctypes.c_uint64
        self.library.host_start(ctypes.c_uint64(address), ctypes.c_uint64(len(image)), ctypes.c_uint64(tmp_size))
        self._hook: object = None

    def call(self, name: str, *arguments: Argument) -> int:
        """Make a system call; bytes are passed as the address of a string with a NUL, arrays as their address."""
        keep = [ctypes.create_string_buffer(a) if isinstance(a, bytes) else a for a in arguments]
        words = [a & (1 << 64) - 1 if isinstance(a, int) else ctypes.addressof(a) for a in keep]
        words += [0] * (6 - len(words))
        return int(self.library.host_call(ctypes.c_uint64(NUMBERS[name]), (ctypes.c_uint64 * 6)(*words)))

    def number(self, name: str) -> int:
        """Return a signed counter of the fakes."""
        return ctypes.c_int64.in_dll(self.library, name).value

    def set(self, name: str, value: int) -> None:
        """Set one of them."""
        ctypes.c_int64.in_dll(self.library, name).value = value

    def when_blocked(self, action: Callable[[], bool] | None) -> None:
        """Have `action` called when the thread blocks; it says whether to look again (or go on to the deadlines)."""
        hook_type = ctypes.CFUNCTYPE(ctypes.c_int)
        self._hook = hook_type(lambda: bool(action())) if action else hook_type()
        ctypes.c_void_p.in_dll(self.library, "host_blocked").value = ctypes.cast(self._hook, ctypes.c_void_p).value

    # What the tests do most, in short.

    def open(self, path: bytes, flags: int = os.O_RDONLY, mode: int = 0o666) -> int:
        return self.call("openat", AT_FDCWD, path, flags, mode)

    def read(self, descriptor: int, size: int) -> bytes | int:
        buffer = ctypes.create_string_buffer(max(size, 1))
        count = self.call("read", descriptor, buffer, size)
        return count if count < 0 else buffer.raw[:count]

    def write(self, descriptor: int, data: bytes) -> int:
        return self.call("write", descriptor, data, len(data))

    def stat(self, path: bytes, follow: bool = True) -> os.stat_result | int:
        """Return mode, number, device, links, user, group, size and times in seconds, or the error."""
        buffer = ctypes.create_string_buffer(144)
        error = self.call("stat" if follow else "lstat", path, buffer)
        if error:
            return error
        fields = struct.unpack_from("<QQQIIIiQqqqqQqQqQ", buffer.raw)
        dev, ino, links, mode, uid, gid, _, _, size, _, _ = fields[:11]
        return os.stat_result((mode, ino, dev, links, uid, gid, size, fields[11], fields[13], fields[15]))

    def list(self, path: bytes) -> list[bytes] | int:
        """Return the names in a directory, or the error."""
        descriptor = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        if descriptor < 0:
            return descriptor
        names = []
        buffer = ctypes.create_string_buffer(256)  # small: many calls
        while (length := self.call("getdents64", descriptor, buffer, len(buffer))) > 0:
            at = 0
            while at < length:
                (size,) = struct.unpack_from("<H", buffer.raw, at + 16)
                names.append(buffer.raw[at + 19 : at + size].split(b"\0")[0])
                at += size
        self.call("close", descriptor)
        return names if length == 0 else length


def error_of(result: object) -> str | None:
    """Return the name of the error that a result is, or None."""
    return errno.errorcode[-result] if isinstance(result, int) and result < 0 else None
