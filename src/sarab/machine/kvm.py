"""Is KVM here, may we use it, and does it run a guest's ring-0 code on the processor?

The last question is answered by trying (`kvm_loop.py`, in a child process that is killed when it takes too long): some
hosts are guests themselves, and their KVM (PVM) emulates a kernel's instructions one by one, unless the kernel speaks
the revision of PVM that it speaks. The answer is kept for as long as the host is up.
"""

from __future__ import annotations

import enum
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sarab.machine import kvm_loop

DEVICE = Path("/dev/kvm")
MODULES = Path("/sys/module")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE_SECONDS_MAX = 5.0
TRIAL = 2
"""The number of the trial: an answer to another one is no answer to this."""
NATIVE_RATIO_MAX = 10.0
"""Hardware is between 0.9 and 2, and more on a busy host; emulation is in the hundreds."""

KINDS = {
    "kvm_intel": "VMX, on an Intel processor",
    "kvm_amd": "SVM, on an AMD processor",
    "kvm_pvm": "PVM, without hardware behind it",
}


class Usability(enum.Enum):
    """What KVM is worth here."""

    NATIVE = "runs guest code at native speed"
    EMULATED = "emulates a guest's ring-0 code, which is too slow"
    ABSENT = "is not there"
    DENIED = "may not be opened by this user"
    REFUSED = "refuses to run a guest"


@dataclass(frozen=True)
class Kvm:
    """What was found out."""

    usability: Usability
    module: str
    """`kvm_intel`, `kvm_amd`, `kvm_pvm`, or nothing if none is loaded."""
    ratio: float | None = None
    """How many times slower than the host a guest's loop is; None if it was not measured to its end."""
    detail: str = ""

    @property
    def kind(self) -> str:
        """KVM's kind in words."""
        return KINDS.get(self.module, "of an unknown kind")

    @property
    def sentence(self) -> str:
        """One sentence without its full stop."""
        match self.usability:
            case Usability.ABSENT:
                return f"there is no {DEVICE}"
            case Usability.DENIED:
                return f"this user may not open {DEVICE}"
            case Usability.REFUSED:
                return f"KVM ({self.kind}) refuses to run a guest: {self.detail}"
            case Usability.EMULATED:
                much = f"{float(f'{self.ratio:.2g}'):.0f} times" if self.ratio is not None else "very much"
                return f"KVM here is {self.kind}, where a kernel runs {much} slower than on the processor"
            case Usability.NATIVE:
                return f"KVM ({self.kind}) runs guest code at native speed"

    @property
    def advice(self) -> str:
        """What a person can do about it, or nothing."""
        match self.usability:
            case Usability.ABSENT:
                return "switch on virtualisation (in the firmware; in a cloud, nested) and load kvm_intel or kvm_amd"
            case Usability.DENIED:
                return "add yourself to the group kvm (sudo usermod -aG kvm $USER) and log in again"
            case Usability.REFUSED | Usability.EMULATED:
                return "use a host with VMX or SVM for speed; emulation (TCG) works everywhere"
            case Usability.NATIVE:
                return ""


def module() -> str:
    """Return the KVM module that this host uses, or nothing."""
    return next((name for name in KINDS if (MODULES / name).is_dir()), "")


def may_open() -> bool:
    """Whether this user may open the device."""
    return os.access(DEVICE, os.R_OK | os.W_OK)


def examine(cache: Path | None, fresh: bool = False) -> Kvm:
    """Find out what KVM is worth here.

    `cache` is the folder where the answer is kept until the host's next boot; with `fresh` it is measured again.
    """
    name = module()
    if not DEVICE.exists():
        return Kvm(Usability.ABSENT, name)
    if not may_open():
        return Kvm(Usability.DENIED, name)
    file = None if cache is None else cache / "kvm.json"
    known = None if fresh else _recall(file, name)
    if known is None:
        known = measure(name)
        _remember(file, known)
    return known


def measure(name: str, program: Path = Path(kvm_loop.__file__), seconds: float = PROBE_SECONDS_MAX) -> Kvm:
    """Run the loop and judge it. Never raises: whatever goes wrong makes KVM unusable."""
    try:
        # -I -S: nothing of the user's environment takes part, and the start is quick.
        child = subprocess.run(
            [sys.executable, "-I", "-S", program],
            capture_output=True,
            timeout=seconds,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        answer = json.loads(child.stdout)
    except subprocess.TimeoutExpired:
        return Kvm(Usability.EMULATED, name)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return Kvm(Usability.REFUSED, name, detail=f"the trial failed ({error})")
    if "refused" in answer:
        return Kvm(Usability.REFUSED, name, detail=answer["refused"])
    ratio = answer["guest_ns"] / max(answer["host_ns"], 1)
    return Kvm(Usability.NATIVE if ratio <= NATIVE_RATIO_MAX else Usability.EMULATED, name, ratio)


def _recall(file: Path | None, name: str) -> Kvm | None:
    if file is None:
        return None
    try:
        kept = json.loads(file.read_text())
        if (kept["trial"], kept["boot"], kept["module"]) != (TRIAL, _boot(), name):
            return None
        return Kvm(Usability[kept["usability"]], name, kept["ratio"], kept["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(file: Path | None, kvm: Kvm) -> None:
    if file is None or kvm.usability is Usability.REFUSED:
        return  # a refusal may be over in a second: another hypervisor held the processor
    kept = {
        "trial": TRIAL,
        "boot": _boot(),
        "module": kvm.module,
        "usability": kvm.usability.name,
        "ratio": kvm.ratio,
        "detail": kvm.detail,
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(kept))
        temporary.replace(file)
    except OSError:
        pass  # no place to keep it: the next run measures again


def _boot() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
