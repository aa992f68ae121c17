"""What this host offers for building and booting images: the facts behind `sarab doctor`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from sarab.folders import cache_folder
from sarab.machine import kvm
from sarab.machine.errors import QemuMissing
from sarab.machine.qemu import INSTALL, find_qemu

TUN = Path("/dev/net/tun")
NETWORK_DEVICES = Path("/sys/class/net")
IFF_TAP = 2
PYTHON_MIN = (3, 11)
QEMU_MIN = (7, 2)
"""What the tests boot with; older ones were not tried."""
CAP_NET_ADMIN = 12


class Finding(NamedTuple):
    """One thing that was looked for."""

    what: str
    good: bool
    needed: bool
    """Whether nothing can be booted without it."""
    found: str
    advice: str = ""


def examine(fresh: bool = False) -> list[Finding]:
    """Look at everything; with `fresh` KVM is measured even if that was done since the host was booted."""
    return [_sarab(), _python(), _libc(), _processor(), _kernel(), _qemu(), _kvm(fresh), _tap(), _folder()]


def qemu_version(path: str) -> str:
    """Return the version of the QEMU at `path`, or nothing if it does not say one."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    _, _, rest = said.stdout.partition("version ")
    return rest.split()[0] if rest else ""


def _sarab() -> Finding:
    try:
        return Finding("sarab", True, False, version("sarab"))
    except PackageNotFoundError:
        return Finding("sarab", True, False, "not installed, run from its sources")


def _python() -> Finding:
    found = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    good = platform.python_implementation() == "CPython" and sys.version_info >= PYTHON_MIN
    return Finding("python", good, True, found, "" if good else "use CPython 3.11 or newer")


def _libc() -> Finding:
    name, number = platform.libc_ver()
    found = f"{name} {number}".strip() or "no glibc (musl, or linked statically)"
    return Finding("libc", True, False, found)


def _processor() -> Finding:
    here = platform.machine()
    good = here == "x86_64" and sys.platform == "linux"
    advice = "" if good else "images hold this host's interpreter, so they are built on Linux on x86-64"
    return Finding("host", good, True, f"{platform.system()} {platform.release()}, {here}", advice)


def _kernel() -> Finding:
    found = find_spec("sarab.build")
    folder = Path(next(iter(found.submodule_search_locations or [""]))) if found is not None else Path()
    kernel = folder / "kernel.elf"
    if kernel.is_file():
        return Finding("kernel", True, True, str(kernel))
    return Finding("kernel", False, True, "not built", "run 'make kernel' in the checkout (a wheel brings one)")


def _qemu() -> Finding:
    try:
        path = find_qemu()
    except QemuMissing:
        return Finding("qemu", False, True, "not installed", f"sudo {INSTALL}")
    number = qemu_version(path)
    parts = tuple(int(part) for part in number.split(".")[:2] if part.isdecimal())
    if parts and parts < QEMU_MIN:
        return Finding("qemu", True, True, f"{number}, {path}", "sarab is tested with 7.2 and newer")
    return Finding("qemu", True, True, f"{number or 'of an unknown version'}, {path}")


def _kvm(fresh: bool) -> Finding:
    found = kvm.examine(cache_folder(), fresh)
    good = found.usability is kvm.Usability.NATIVE
    ratio = f" (a loop takes {found.ratio:.2f} of its time on the host)" if good and found.ratio is not None else ""
    consequence = "" if good else "; machines are emulated (TCG)"
    return Finding("kvm", good, False, found.sentence + ratio + consequence, found.advice)


def _tap() -> Finding:
    instead = "'sarab run -p 8080:80' needs no tap"
    if not TUN.exists():
        return Finding("tap", False, False, f"there is no {TUN}", f"sudo modprobe tun, for --tap; {instead}")
    if not os.access(TUN, os.R_OK | os.W_OK):
        return Finding("tap", False, False, f"this user may not open {TUN}", f"sudo chmod 666 {TUN}; {instead}")
    if _may_administer_network():
        return Finding("tap", True, False, f"{TUN}, with the right to make devices")
    own = own_taps()
    if own:
        return Finding("tap", True, False, f"{TUN}, and this user's devices {', '.join(own)}")
    advice = f"sudo ip tuntap add tap0 mode tap user {os.getuid()} && sudo ip link set tap0 up, for --tap; {instead}"
    return Finding("tap", False, False, f"{TUN} is there, but no tap device of this user", advice)


def own_taps(folder: Path = NETWORK_DEVICES) -> list[str]:
    """Return the names of the tap devices that this user may attach to."""
    names = []
    for device in sorted(folder.glob("*")):
        try:
            is_tap = int((device / "tun_flags").read_text(), 16) & IFF_TAP
            owned = int((device / "owner").read_text()) in (-1, os.getuid())
            if is_tap and owned and int((device / "group").read_text()) in (-1, os.getgid(), *os.getgroups()):
                names.append(device.name)
        except (OSError, ValueError):
            continue  # another kind of device
    return names


def _may_administer_network() -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> CAP_NET_ADMIN & 1)


def _folder() -> Finding:
    folder = cache_folder()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    good = os.access(there, os.W_OK)
    return Finding("cache", good, True, str(folder), "" if good else "set SARAB_CACHE to a folder that can be written")
