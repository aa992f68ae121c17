"""Frames out of and into a booted image through QEMU's virtio cards, over MMIO and over PCI; and its entropy device."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from sarab.machine.options import MachineType
from sarab.machine.outcome import Ending
from sarab.machine.qemu import PROGRAM
from tests.boot.programs import build_program, start

pytestmark = [pytest.mark.boot, pytest.mark.slow]

MMIO = ("virtio_mmio.device=512@0xfeb00000:16", "virtio_mmio.device=512@0xfeb00200:17")
MACHINES: list[tuple[MachineType, str, tuple[str, ...]]] = [
    ("microvm", "device,bus=virtio-mmio-bus.{}", MMIO),
    ("q35", "pci", ("pci",)),
    ("pc", "pci", ("pci",)),
]

# Says what the card is, then sends every frame back with the addresses' places changed, until it is told to end.
ECHO = """
    import select
    import sys
    from sarab.device.network import Outgoing
    from sarab.driver.virtio.discovery import networks

    cards = list(networks(print).values())
    print(len(cards), "card")
    card = cards[0]
    print(card.mac.hex(), card.mtu, int(card.offloads))
    card.send([Outgoing(b"\\xff" * 6 + card.mac + b"\\x88\\xb5", b"here I am".ljust(50))])
    wakes = 0
    while True:
        select.select([card.fileno()], [], [])
        wakes += 1
        for frame in card.receive(256):
            data = frame.data
            if data[14:17] == b"end":
                print("wakes", wakes, flush=True)
                card.close()
                sys.exit()
            while not card.send([Outgoing(data[6:12] + data[:6] + data[12:14], data[14:])]):
                card.receive(0)
    """


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_program(tmp_path_factory.mktemp("echo"), ECHO)


def qemu_with(folder: Path, *words: str) -> str:
    """A program that is QEMU with more words on its command line."""
    script = folder / "qemu"
    quoted = " ".join(f"'{word}'" for word in words)
    script.write_text(f'#!/bin/sh\nexec {shutil.which(PROGRAM)} "$@" {quoted}\n')
    script.chmod(0o755)
    return str(script)


class Cable:
    """The host's end of `-netdev stream`: each frame behind its length in 4 bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.file = connection.makefile("rb")

    def send(self, *frames: bytes) -> None:
        self.connection.sendall(b"".join(struct.pack("!I", len(frame)) + frame for frame in frames))

    def receive(self) -> bytes:
        (length,) = struct.unpack("!I", self.file.read(4))
        return self.file.read(length)


@contextlib.contextmanager
def cable(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "wire"))
        listener.listen(1)
        listener.settimeout(60)
        yield listener


@pytest.mark.parametrize(("machine", "device", "words"), MACHINES, ids=[item[0] for item in MACHINES])
def test_frames_go_out_and_come_in(
    machine: MachineType, device: str, words: tuple[str, ...], image: Path, tmp_path: Path
) -> None:
    with cable(tmp_path) as listener:
        more = ["-global", "virtio-mmio.force-legacy=false"] if machine == "microvm" else []
        more += ["-netdev", f"stream,id=n0,server=off,addr.type=unix,addr.path={tmp_path}/wire"]
        more += ["-device", f"virtio-net-{device.format(0)},netdev=n0,mac=02:00:00:00:00:07,host_mtu=9000"]
        qemu = qemu_with(tmp_path, *more)
        with start(image, 128, machine=machine, kernel_options=words, qemu=qemu) as running:
            connection, _ = listener.accept()
            connection.settimeout(60)
            wire = Cable(connection)
            assert wire.receive() == b"\xff" * 6 + b"\2\0\0\0\0\7\x88\xb5" + b"here I am".ljust(50)
            for size in (46, 47, 1500, 4096, 8986, 8987):
                payload = bytes(range(251)) * (size // 251 + 1)
                wire.send(b"\2\0\0\0\0\7\2\0\0\0\0\1\x88\xb5" + payload[:size])
                assert wire.receive() == b"\2\0\0\0\0\1\2\0\0\0\0\7\x88\xb5" + payload[:size]
            for first in range(0, 3000, 100):
                head = b"\2\0\0\0\0\7\2\0\0\0\0\1\x88\xb5"
                frames = [head + bytes(60) + struct.pack("!I", number) for number in range(first, first + 100)]
                wire.send(*frames)
                assert [wire.receive()[14:] for _ in frames] == [frame[14:] for frame in frames]
            wire.send(b"\2\0\0\0\0\7\2\0\0\0\0\1\x88\xb5" + b"end".ljust(50))
            outcome = running.wait()
            connection.close()
    console = outcome.console.decode()
    assert outcome.ending is Ending.EXITED, console
    assert outcome.status == 0, console
    assert console.startswith("1 card\n020000000007 9000 0\n"), console  # a stream's far end takes no offloads
    wakes = int(console.split()[-1])
    assert 7 <= wakes < 3006, "frames that come together are received together"


ENTROPY = """
    from sarab.driver.virtio.discovery import devices
    from sarab.driver.virtio.entropy import feed_entropy
    from sarab.driver.virtio.platform import Kernel
    from sarab.driver.virtio.rng import VirtioRng
    from sarab.driver.virtio.transport import ENTROPY

    print(feed_entropy(print))
    kernel = Kernel()
    for where, transport, line in devices(kernel, print):
        if transport.device_id == ENTROPY:
            source = VirtioRng(transport, kernel, line)
            print(source.read(5000).hex())
            source.close()
    """


@pytest.mark.parametrize(("machine", "device", "words"), MACHINES[:2], ids=["microvm", "q35"])
def test_the_hosts_bytes_arrive(machine: MachineType, device: str, words: tuple[str, ...], tmp_path: Path) -> None:
    image = build_program(tmp_path, ENTROPY)
    data = random.Random(7).randbytes(5064)
    (tmp_path / "bytes").write_bytes(data)
    more = ["-global", "virtio-mmio.force-legacy=false"] if machine == "microvm" else []
    more += ["-object", f"rng-random,id=r0,filename={tmp_path}/bytes"]
    more += ["-device", f"virtio-rng-{device.format(1)},rng=r0"]
    with start(image, 128, machine=machine, kernel_options=words, qemu=qemu_with(tmp_path, *more)) as running:
        outcome = running.wait()
    console = outcome.console.decode()
    assert console.split() == ["64", data[64:].hex()], console
