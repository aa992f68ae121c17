"""The ways into the kernel and out to a console: boot_params as well as PVH, the 16550 as well as the debug console."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sarab.build import elf
from sarab.machine.qemu import find_qemu
from tests import probes
from tests.boot.programs import build_program

pytestmark = pytest.mark.boot

MEMORY_MIB = 256
LOADER_AT = 0x8000000
"""Beyond the image, within what the loader maps."""
DEBUG_CONSOLE = ["-chardev", "stdio,id=console,signal=off", "-device", "isa-debugcon,iobase=0xe9,chardev=console"]
SERIAL_ONLY = ["-serial", "stdio"]


def _command(*arguments: str) -> list[str]:
    command = [find_qemu(), "-machine", "microvm", "-accel", "tcg", "-cpu", "max", "-m", str(MEMORY_MIB)]
    command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", *arguments]
    return command


def _qemu(*arguments: str) -> tuple[int, str]:
    """Run QEMU and return its own exit status and what came out of the console."""
    done = subprocess.run(_command(*arguments), stdin=subprocess.DEVNULL, capture_output=True, timeout=90)
    return done.returncode, done.stdout.decode(errors="replace")


def _loader(folder: Path, entry: int, command_line: str, *definitions: str) -> Path:
    path = folder / "loader.elf"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-freestanding-none", "-c"]
    command += [f"-DENTRY={entry:#x}", f"-DMEMORY={MEMORY_MIB << 20:#x}", f'-DCOMMAND_LINE="{command_line}"']
    command += definitions
    subprocess.run(
        [*command, str(Path(__file__).with_name("boot_params.S")), "-o", str(folder / "loader.o")], check=True
    )
    link = [sys.executable, "-m", "ziglang", "ld.lld", "-static", "--no-dynamic-linker", "-e", "start"]
    link += [f"--image-base={LOADER_AT:#x}", "-o", str(path), str(folder / "loader.o")]
    subprocess.run(link, check=True)
    return path


def test_the_kernel_starts_by_boot_params(tmp_path: Path) -> None:
    image = build_program(tmp_path, "import sys\nprint(open('/proc/sarab').read())\nprint(sys.argv[1:])\nsys.exit(9)")
    entry = elf.read(image.read_bytes(), "the image").entry
    loader = _loader(tmp_path, entry, "tmp=1M -- one two")
    status, console = _qemu(*DEBUG_CONSOLE, "-kernel", str(loader), "-device", f"loader,file={image}")
    assert "entry boot_params" in console.splitlines(), console
    assert "['one', 'two']" in console
    assert status == 9 << 1 | 1


def test_the_kernel_starts_by_pvh(tmp_path: Path) -> None:
    image = build_program(tmp_path, "print(open('/proc/sarab').read())")
    status, console = _qemu(*DEBUG_CONSOLE, "-kernel", str(image))
    assert "entry PVH" in console.splitlines(), console
    assert status == 1


def test_the_console_is_the_16550_where_there_is_no_other(tmp_path: Path) -> None:
    program = """
        import sys

        print("ready")
        for line in sys.stdin:
            print(line.strip()[::-1] * 50)
            if "end" in line:
                sys.exit(3)
        """
    image = build_program(tmp_path, program)
    command = _command(*SERIAL_ONLY, "-kernel", str(image))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as machine:
        assert machine.stdin is not None and machine.stdout is not None
        assert machine.stdout.readline().strip() == "ready"
        machine.stdin.write("abc\nend\n")
        machine.stdin.flush()
        assert machine.stdout.read().splitlines() == ["cba" * 50, "dne" * 50]
        assert machine.wait(60) == 3 << 1 | 1


def test_a_probe_dies_the_same_on_the_16550(tmp_path: Path) -> None:
    image = probes.image_of(probes.compile_probe("zeropage"), tmp_path / "probe.elf")
    status, console = _qemu(*SERIAL_ONLY, "-kernel", str(image))
    assert "sarab: ended by signal 11 (SIGSEGV): a null pointer" in console
    assert status == (139 << 1 | 1) & 0xFF


def test_a_foreign_pvm_is_refused_in_one_sentence(tmp_path: Path) -> None:
    image = build_program(tmp_path, "print('it ran')")
    entry = elf.read(image.read_bytes(), "the image").entry
    loader = _loader(tmp_path, entry, "", "-DRING=3")
    status, console = _qemu(*DEBUG_CONSOLE, "-kernel", str(loader), "-device", f"loader,file={image}")
    assert console == (
        "sarab: this machine's PVM is of another revision than this kernel speaks; start the machine emulated"
        " (--accel tcg)\n"
    )
    assert status == 255 << 1 & 0xFF | 1
