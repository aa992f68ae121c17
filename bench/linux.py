"""The Linux guest: Debian's cloud kernel, and an initramfs with the very files of a sarab image.

It is made to be as quick as an engineer who knows Linux could make it without another kernel:

* the kernel is unpacked beforehand and booted by its PVH note: no decompressor runs in the guest;
* the initramfs is not compressed, holds only what the sarab image holds, and its first process is a 7 kB static
  program (starter.c) that runs Python at once: no udev, no shell, no service manager;
* the command line switches off what costs time and serves nothing here (command_line).
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bench import lz4
from bench.result import Failed, Unavailable
from sarab.build.errors import BuildError
from sarab.build.image import read

PACKAGE = "linux-image-cloud-amd64"

_OPTIONS = (
    "console=ttyS0 8250.nr_uarts=1",
    "quiet loglevel=0",
    "panic=-1 reboot=t",
    "mitigations=off",  # 4 % of the boot; it favours Linux.
    "cryptomgr.notests",  # 0.15 s of self-tests under emulation.
    "no_timer_check tsc=reliable clocksource=tsc",
    "noreplace-smp rcupdate.rcu_expedited=1",
    "lsm=capability audit=0 ipv6.disable=1 cgroup_disable=memory",
    "random.trust_cpu=on",
)
"""Chosen by measuring group by group: 1.86 s with `quiet` alone, 1.31 s with all (emulated, medians of 5 boots)."""


class File(NamedTuple):
    """A file, directory or symbolic link of an initramfs."""

    path: str
    """Relative to the root, without a leading slash."""
    mode: int
    data: bytes


def command_line(accelerator: str) -> str:
    """Return the kernel command line of the Linux guest.

    Emulated on microvm, Linux finds nothing to calibrate the TSC against, and would fall back to a clock of 4 ms and a
    system call for every look at it; so it is told the frequency, which is the host's. Under KVM it has kvmclock.
    """
    options = list(_OPTIONS)
    if accelerator == "tcg" and (frequency := _tsc_khz()) is not None:
        options.append(f"tsc_early_khz={frequency}")
    return " ".join(options)


def _tsc_khz() -> int | None:
    """Return the frequency of the host's processor, which QEMU's emulated TSC has too; None if it is not told."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "cpu MHz":
            return round(float(value) * 1000)
    return None


def cache() -> Path:
    """Return the folder in which the bench keeps what it fetched and unpacked; it is made if it is missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sarab" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch_kernel() -> Path:
    """Return Debian's newest cloud kernel as an ELF file, fetched by apt once; Unavailable without apt or network."""
    package = _kernel_package()
    kernel = cache() / f"{package}.elf"
    if kernel.exists():
        return kernel
    folder = cache() / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _apt("apt-get", "download", "-qq", package, folder=folder)
    for archive in folder.glob("*.deb"):
        subprocess.run(("dpkg-deb", "-x", archive, folder), check=True)
    images = sorted(folder.glob("boot/vmlinuz-*"))
    if not images:
        raise Failed(f"the Debian package {package} holds no boot/vmlinuz")
    kernel.write_bytes(unpack_kernel(images[0].read_bytes()))
    shutil.rmtree(folder)
    return kernel


def unpack_kernel(image: bytes) -> bytes:
    """Return the ELF file inside the bzImage `image`; Failed if it is not packed with LZ4, as Debian's is."""
    offset = image.find(lz4.MAGIC)
    content = lz4.unpack(image, offset) if offset >= 0 else b""
    if not content.startswith(b"\x7fELF"):
        raise Failed("Debian's kernel is packed in a way that the bench cannot unpack")
    return content


def _kernel_package() -> str:
    """Return the package of the kernel that Debian's cloud kernel depends on now."""
    for attempt in range(2):
        try:
            lines = _apt("apt-cache", "depends", PACKAGE).splitlines()
        except Unavailable:
            lines = []
        for line in lines:
            kind, _, name = line.strip().partition(": ")
            if kind == "Depends" and name.startswith("linux-image-"):
                return name
        if attempt == 0:
            _apt("apt-get", "update", "-qq")
    raise Unavailable(f"apt knows no package {PACKAGE}: is this a Debian with its archive reachable?")


def _apt(*command: str, folder: Path | None = None) -> str:
    """Run a program of apt and return what it printed; Unavailable if it is missing or fails."""
    try:
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        raise Unavailable(f"{command[0]} is not installed, so Debian's kernel cannot be fetched") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(command)}` did not end within ten minutes") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"`{' '.join(command)}` failed: {reason}")
    return done.stdout


def build_starter() -> bytes:
    """Return the static program that is the first process of the Linux guest, compiled from starter.c."""
    output = cache() / "starter"
    source = Path(__file__).with_name("starter.c")
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-static", "-Os", "-s"]
    command += ["-std=gnu11", "-o", str(output), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"bench/starter.c does not compile:\n{done.stderr}")
    return output.read_bytes()


def files_of_image(image: Path) -> Iterator[File]:
    """Yield every file, folder and link inside a sarab image, as an initramfs needs them."""
    try:
        system = read(image.read_bytes()).files
    except BuildError as error:
        raise Failed(f"{image} holds no file system: {error}") from error
    for node in system:
        yield File(node.path.lstrip("/"), node.mode, b"" if node.is_directory else system.data(node))


def write_initramfs(target: Path, files: Iterable[File], starter: bytes) -> None:
    """Write a cpio archive (format "newc") of `files`, the starter as /init, and the folders it mounts on."""
    entries = {file.path: file for file in files if file.path}
    entries["init"] = File("init", stat.S_IFREG | 0o755, starter)
    for path in ("dev", "proc", "tmp", *list(entries)):
        folder = path if path in ("dev", "proc", "tmp") else path.rpartition("/")[0]
        while folder:
            entries.setdefault(folder, File(folder, stat.S_IFDIR | 0o755, b""))
            folder = folder.rpartition("/")[0]
    with target.open("wb") as stream:
        for number, path in enumerate(sorted(entries), start=1):  # A folder sorts before what is in it.
            _write_entry(stream, entries[path], number)
        _write_entry(stream, File("TRAILER!!!", 0, b""), 0)


def _write_entry(stream: BinaryIO, file: File, number: int) -> None:
    """Append one entry: a header of hexadecimal numbers, the name and the data, each padded to a multiple of 4."""
    name = file.path.encode() + b"\0"
    fields = (number, file.mode, 0, 0, 1, 0, len(file.data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    stream.write(head + b"\0" * (-len(head) % 4))
    stream.write(file.data + b"\0" * (-len(file.data) % 4))
