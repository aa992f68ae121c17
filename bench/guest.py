"""Boot a guest under QEMU and note, on the host's clock, when each line comes out of it.

Both guests, sarab's and Linux's, start through this one function with the same machine, processor, memory and
accelerator; only `-kernel`, `-initrd` and `-append` differ. The ports are those of docs/decisions/0002: console at 0xe9
(Linux has no driver for it and uses the 16550), control channel at 0xea, end of the machine at 0xf4.
"""

import mmap
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.result import Failed, Unavailable

MACHINE = "microvm,acpi=off,rtc=on"
"""Both kernels boot on it; QEMU's quickest machine. No ACPI: building and reading its tables is work for nobody."""

INTERRUPT_CONTROLLERS = {"tcg": "", "kvm": ",kernel-irqchip=on"}
"""KVM's own, for both kernels: with QEMU's IO-APIC every change of a line takes milliseconds."""

PROCESSORS = {"tcg": "max", "kvm": "host,arch-capabilities=off"}
"""The richest `-cpu` of each accelerator; `arch-capabilities` must be off on hosts that are guests themselves."""


WARM_MIB = 192
"""Of the host's memory: a guest's worth and a half."""


def warm_memory() -> None:
    """Touch memory and give it back, so that a guest gets what this host has at hand. Before each boot: others take it.

    Where the host is a guest itself, its own host fetches each page that nobody has touched yet: some 16 us a page, and
    so 10 ms and more of a boot that meets them, which says nothing of what boots. Large pages, as QEMU's are.
    """
    with mmap.mmap(-1, WARM_MIB << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, len(memory), mmap.PAGESIZE):
            memory[at] = 1


@dataclass(frozen=True, slots=True)
class Guest:
    """Something QEMU can boot, and how much memory it gets."""

    name: str
    kernel: Path
    command_line: str
    initrd: Path | None = None
    memory_mib: int = 128


@dataclass(slots=True)
class Boot:
    """What one boot said, each line with its time in nanoseconds since QEMU was started: on the console the time when
    it was whole, on the control channel that of its first byte."""

    console: list[tuple[int, str]] = field(default_factory=list)
    control: list[tuple[int, str]] = field(default_factory=list)
    finished: bool = False
    """Whether the machine ended by itself within its time."""
    complaint: str = ""
    """What QEMU wrote to its own standard error."""

    @property
    def status(self) -> int | None:
        """The program's exit status, or None if the machine died before it said one."""
        for _, line in self.control:
            if line.startswith("exit "):
                return int(line.removeprefix("exit "))
        return None

    def first(self, channel: Sequence[tuple[int, str]], prefix: str) -> int:
        """Return when the first line that begins with `prefix` came; Failed if none did."""
        for moment, line in channel:
            if line.startswith(prefix):
                return moment
        raise Failed(f"the guest never printed a line that begins with {prefix!r}; it printed:\n{self.text[-2000:]}")

    @property
    def entry(self) -> int:
        """When the sarab kernel was entered: it says how long ago that was before it tells its marks."""
        moment, line = next((item for item in self.control if item[1].startswith("marks ")), (0, ""))
        if not line:
            raise Failed(f"the guest told no marks; it printed:\n{self.text[-2000:]}")
        return moment - int(line.removeprefix("marks "))

    @property
    def text(self) -> str:
        """Everything printed on the console, and QEMU's complaints."""
        return "\n".join(line for _, line in self.console) + self.complaint


def qemu() -> str:
    """Return the path of QEMU; Unavailable, with the command that installs it, if there is none."""
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        raise Unavailable("qemu-system-x86_64 is not installed (apt-get install qemu-system-x86)")
    return path


def boot(guest: Guest, accelerator: str, timeout_s: float = 120, last: str | None = None) -> Boot:
    """Boot `guest` and return what it said.

    With `last`, the machine is ended as soon as a console line begins with it. A machine that outlives `timeout_s` is
    killed, and its Boot is not `finished`.
    """
    console_read, console_write = os.pipe()
    control_read, control_write = os.pipe()
    machine = f"{MACHINE}{INTERRUPT_CONTROLLERS[accelerator]},accel={accelerator}"
    arguments = [qemu(), "-machine", machine, "-cpu", PROCESSORS[accelerator]]
    arguments += ["-m", str(guest.memory_mib), "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none"]
    arguments += ["-no-reboot", "-kernel", str(guest.kernel), "-append", guest.command_line]
    if guest.initrd is not None:
        arguments += ["-initrd", str(guest.initrd)]
    arguments += ["-chardev", f"file,id=console,path=/dev/fd/{console_write}", "-serial", "chardev:console"]
    arguments += ["-chardev", f"file,id=debug,path=/dev/fd/{console_write}"]
    arguments += ["-device", "isa-debugcon,iobase=0xe9,readback=0xe9,chardev=debug"]
    arguments += ["-chardev", f"file,id=control,path=/dev/fd/{control_write}"]
    arguments += ["-device", "isa-debugcon,iobase=0xea,readback=0x5a,chardev=control"]
    arguments += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    started = time.monotonic_ns()
    process = subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=(console_write, control_write),
    )
    os.close(console_write)
    os.close(control_write)
    result = Boot()
    try:
        result.finished = _listen(result, console_read, control_read, started, timeout_s, last)
        crashed = result.finished and last is None and process.wait(timeout_s) < 0
    finally:
        process.kill()
        _, complaint = process.communicate()
        result.complaint = complaint.decode(errors="replace")
        os.close(console_read)
        os.close(control_read)
    if crashed or (not result.console and not result.control and result.complaint):
        reason = result.complaint.strip() or f"it was ended by signal {-process.returncode}"
        raise Failed(f"QEMU could not run the {guest.name} guest: {reason}")
    return result


def _listen(result: Boot, console: int, control: int, started: int, timeout_s: float, last: str | None) -> bool:
    """Sort what arrives into `result` until both pipes close, time is over or `last` comes; say if it ended well."""
    channels = {console: result.console, control: result.control}
    pending = {console: b"", control: b""}
    began = {console: 0, control: 0}  # when a line's first byte came; each byte is some 25 us of QEMU's time
    with selectors.DefaultSelector() as selector:
        for descriptor in channels:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            rest_s = timeout_s - (time.monotonic_ns() - started) / 1e9
            ready = selector.select(max(rest_s, 0))
            moment = time.monotonic_ns() - started
            if not ready:
                return False
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fd)
                    continue
                if not pending[key.fd]:
                    began[key.fd] = moment
                *lines, pending[key.fd] = (pending[key.fd] + data).split(b"\n")
                for line in lines:
                    text = line.decode(errors="replace").rstrip("\r")
                    channels[key.fd].append((began[key.fd] if key.fd == control else moment, text))
                    began[key.fd] = moment
                    if last is not None and key.fd == console and text.startswith(last):
                        return True
    return True
