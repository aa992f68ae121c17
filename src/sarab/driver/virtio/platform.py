"""What the kernel gives to a driver: registers, memory for devices, interrupts (decision 0042)."""

import os
from fcntl import ioctl
from mmap import MAP_SHARED, PROT_READ, PROT_WRITE, mmap
from struct import pack, unpack
from typing import NamedTuple, Protocol

DMA_ALLOCATE = 0xC0105301
IRQ_ATTACH = 0x40045302
IRQ_MESSAGE = 0x80105303
PAGE_SIZE = 4096
WORD = "virtio_mmio.device="
PCI_WORD = "pci"


class Region(NamedTuple):
    """Memory that a device can reach."""

    view: memoryview
    physical: int


class Interrupt(Protocol):
    """A line, as Linux's UIO gives it."""

    def fileno(self) -> int:
        """Return a descriptor that polls readable when the line has fired."""

    def arm(self) -> None:
        """Let the line fire again."""

    def take(self) -> bool:
        """Say whether it has fired since the last call."""

    def fire(self) -> None:
        """Have the descriptor poll readable as if the line had fired."""

    def close(self) -> None:
        """Mask the line, and give the descriptor back."""


class Message(NamedTuple):
    """A message-signalled interrupt: what a PCI device is to write, and where, so that `interrupt` fires."""

    interrupt: Interrupt
    address: int
    data: int


class Platform(Protocol):
    """Where a driver runs: an image, or a test."""

    def registers(self, address: int, size: int) -> memoryview:
        """Return the registers at a physical address, as bytes."""

    def allocate(self, size: int) -> Region:
        """Return zeroed contiguous memory of at least `size` bytes, 4 MiB at most. Raises MemoryError."""

    def interrupt(self, line: int) -> Interrupt:
        """Return an interrupt line, masked."""

    def message(self) -> Message:
        """Return a message-signalled interrupt. Raises OSError where there is no PCI, or none is left."""


class Slot(NamedTuple):
    """A virtio-mmio device that the command line describes."""

    address: int
    size: int
    line: int


def described(command_line: str) -> list[Slot]:
    """Return the devices of a kernel command line; what cannot be read is left out, as the kernel does."""
    found = []
    for word in command_line.split():
        if not word.startswith(WORD):
            continue
        size_text, _, rest = word[len(WORD) :].partition("@")
        address_text, _, line_text = rest.partition(":")
        try:
            unit = 1024 if size_text[-1:] in ("K", "k") else 1
            size = int(size_text.rstrip("Kk"), 0) * unit
            found.append(Slot(int(address_text, 0), size, int(line_text.partition(":")[0], 0)))
        except ValueError:
            continue
    return found


def is_pci_described(command_line: str) -> bool:
    """Say whether a kernel command line opens PCI to drivers; the application's own words, after `--`, do not."""
    words = command_line.split()
    return PCI_WORD in (words[: words.index("--")] if "--" in words else words)


def _open_irq() -> int:
    return os.open("/dev/irq", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class _Line:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def arm(self) -> None:
        os.write(self._descriptor, b"\1\0\0\0")

    def take(self) -> bool:
        try:
            os.read(self._descriptor, 4)
        except BlockingIOError:
            return False
        return True

    def fire(self) -> None:
        os.write(self._descriptor, b"\2\0\0\0")

    def close(self) -> None:
        os.write(self._descriptor, b"\0\0\0\0")
        os.close(self._descriptor)


class _Message(_Line):
    """It has no mask: its device is silent until it is asked (virtio's event index)."""

    def arm(self) -> None:
        pass


class Kernel:
    """The platform of an image."""

    def __init__(self) -> None:
        self._kept: list[mmap] = []

    def registers(self, address: int, size: int) -> memoryview:
        """See Platform."""
        start = address // PAGE_SIZE * PAGE_SIZE
        end = -(-(address + size) // PAGE_SIZE) * PAGE_SIZE
        descriptor = os.open("/dev/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            pages = mmap(descriptor, end - start, MAP_SHARED, PROT_READ | PROT_WRITE, offset=start)
        finally:
            os.close(descriptor)
        self._kept.append(pages)
        return memoryview(pages)[address - start : address - start + size]

    def allocate(self, size: int) -> Region:
        """See Platform."""
        descriptor = os.open("/dev/dma", os.O_RDWR | os.O_CLOEXEC)
        try:
            length, physical = unpack("=QQ", ioctl(descriptor, DMA_ALLOCATE, pack("=QQ", size, 0)))
            pages = mmap(descriptor, length, MAP_SHARED, PROT_READ | PROT_WRITE)
        finally:
            os.close(descriptor)
        self._kept.append(pages)
        return Region(memoryview(pages), physical)

    def interrupt(self, line: int) -> Interrupt:
        """See Platform."""
        descriptor = _open_irq()
        try:
            ioctl(descriptor, IRQ_ATTACH, pack("=I", line))
        except OSError:
            os.close(descriptor)
            raise
        return _Line(descriptor)

    def message(self) -> Message:
        """See Platform."""
        descriptor = _open_irq()
        try:
            address, data, _ = unpack("=QII", ioctl(descriptor, IRQ_MESSAGE, bytes(16)))
        except OSError:
            os.close(descriptor)
            raise
        return Message(_Message(descriptor), address, data)


def command_line() -> str:
    """Return what this machine's kernel was told."""
    try:
        with open("/proc/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def slots() -> list[Slot]:
    """Return the virtio-mmio devices that this machine's command line describes."""
    return described(command_line())
