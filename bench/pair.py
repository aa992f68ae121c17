"""One application as two guests: the sarab image, and Linux with the same files in an initramfs."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import linux
from bench.guest import Guest
from bench.result import Failed, Setting, Unavailable
from sarab.machine import kvm

ROOT = Path(__file__).parent.parent
HELLO = ROOT / "examples" / "hello.py"


@dataclass(frozen=True, slots=True)
class Pair:
    """The two guests of one application."""

    sarab: Guest
    linux: Guest | None
    """None if Debian's kernel cannot be had here, or would not be measured."""
    missing: str = ""
    """Why there is no Linux guest, in one sentence."""
    emulated: Guest | None = None
    """The Linux guest where the host's KVM is PVM: no guest of its, it is emulated instruction by instruction."""

    @property
    def guests(self) -> tuple[Guest, ...]:
        """The guests there are, sarab's first."""
        return (self.sarab,) if self.linux is None else (self.sarab, self.linux)


def sarab_command() -> str:
    """Return the path of `sarab` in the environment that runs the bench; Unavailable if it is not installed there."""
    path = Path(sys.executable).with_name("sarab")
    if not path.exists():
        raise Unavailable(f"sarab is not installed beside {sys.executable} (pip install -e .)")
    return str(path)


def build_image(application: Path, image: Path, *options: str) -> None:
    """Build `application` into `image` by `sarab build`; Failed with its message if it cannot."""
    command = (sarab_command(), "build", str(application), "-o", str(image), *options)
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failed(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")


def make_pair(application: Path, setting: Setting) -> Pair:
    """Build both guests of `application` in the folder of `setting`."""
    folder = setting.folder
    image = folder / f"{application.stem}.elf"
    build_image(application, image)
    sarab_guest = Guest("sarab", image, "marks")
    try:
        kernel = linux.fetch_kernel()
    except Unavailable as reason:
        return Pair(sarab_guest, None, str(reason))
    initramfs = folder / f"{application.stem}.cpio"
    linux.write_initramfs(initramfs, linux.files_of_image(image), linux.build_starter())
    linux_guest = Guest("linux", kernel, linux.command_line(setting.accelerator), initramfs)
    if setting.accelerator == "kvm" and kvm.module() == "kvm_pvm":
        return Pair(sarab_guest, None, "Debian's kernel is no guest of this host's PVM, which emulates it", linux_guest)
    return Pair(sarab_guest, linux_guest)
