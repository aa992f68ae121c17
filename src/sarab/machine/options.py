"""How to start a machine, and the words of its command line (docs/decisions/0002)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sarab.errors import UsageError
from sarab.machine.block import BlockOption
from sarab.machine.network import NetworkOptions

MachineType = Literal["microvm", "q35", "pc"]
Accelerator = Literal["auto", "kvm", "tcg"]

MEMORY_DEFAULT_MIB = 128
MEMORY_MIB_MAX = 1 << 20
"""1 TiB: more is a slip of the finger."""
COMMAND_LINE_MAX = 8191
"""Bytes; the kernel keeps 8192 with the NUL (kernel.h, boot_information)."""
GDB_PORT_DEFAULT = 1234

_SIZE = re.compile(r"([0-9]+)([KMGT]?)i?B?", re.IGNORECASE)
_TMP = re.compile(r"([0-9]+)([KMG]?)")
_ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class MachineOptions:
    """How to start a machine; every field has the default that `sarab run` has."""

    machine: MachineType = "microvm"
    memory_mib: int = MEMORY_DEFAULT_MIB
    accel: Accelerator = "auto"
    arguments: tuple[str, ...] = ()
    """The application's arguments, after those that the image has baked in."""
    environment: tuple[tuple[str, str], ...] = ()
    tmp: str | None = None
    """Bound of /tmp: `16M`, `64K`, ...; None is the image's own."""
    trace: bool = False
    """Print system calls on the console."""
    marks: bool = False
    """Report boot marks."""
    kernel_options: tuple[str, ...] = ()
    """More words for the kernel, as they are."""
    network: NetworkOptions | None = None
    """The card, or none."""
    blocks: tuple[BlockOption, ...] = ()
    """The disks."""
    timeout_s: float | None = None
    """The machine is killed when it is older than this."""
    gdb_port: int | None = None
    """Wait for a debugger on this port of the loopback address before the first instruction."""
    qemu: str | None = None
    """QEMU's program; None searches PATH."""


def parse_memory(text: str) -> int:
    """Return MiB of `64M`, `1G`, `2GiB` or a plain number of MiB. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    mib = 0.0
    if match is not None:
        mib = int(match[1]) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1 << 20}[match[2].upper()]
    if not 1 <= mib <= MEMORY_MIB_MAX or mib != int(mib):
        raise UsageError(f"'{text}' is no size of memory: give MiB (128), or 64M, 1G")
    return int(mib)


def parse_tmp(text: str) -> str:
    """Return `text` if the kernel will take it as the bound of /tmp. Raises UsageError."""
    match = _TMP.fullmatch(text)
    size = int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]] if match is not None else 0
    if not 1 <= size <= MEMORY_MIB_MAX << 20:
        raise UsageError(f"'{text}' is no bound of /tmp (--tmp): give bytes, or 64K, 16M, 1G")
    return text


def parse_environment(text: str) -> tuple[str, str]:
    """Return NAME and VALUE of `NAME=VALUE`. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not _ENVIRONMENT_NAME.fullmatch(name):
        raise UsageError(
            f"'{text}' sets no variable: give NAME=VALUE, the name beginning with an upper-case letter or _"
        )
    return name, value


def quote(word: str) -> str:
    """Return `word` so that the kernel reads it as one word and as it is. Raises UsageError for a NUL."""
    if "\0" in word:
        raise UsageError(f"{word!r} has a NUL in it, which no command line can carry")
    if word and not re.search(r'[ "\\]', word):
        return word
    return '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'


def command_line(options: MachineOptions, host_words: Iterable[str] = ()) -> str:
    """Return the kernel's command line; `host_words` are the kernel options of the machine itself.

    Raises UsageError if it would be longer than the kernel takes.
    """
    words = [*host_words, *options.kernel_options]
    words += ["trace"] * options.trace + ["marks"] * options.marks
    if options.tmp is not None:
        words.append(f"tmp={options.tmp}")
    told = () if options.network is None else options.network.environment
    words += [f"{name}={value}" for name, value in (*told, *options.environment)]
    if options.arguments:
        words += ["--", *options.arguments]
    line = " ".join(map(quote, words))
    length = len(line.encode("utf-8", "surrogateescape"))
    if length > COMMAND_LINE_MAX:
        raise UsageError(
            f"arguments and environment make a command line of {length} bytes, and {COMMAND_LINE_MAX} is the most"
        )
    return line
