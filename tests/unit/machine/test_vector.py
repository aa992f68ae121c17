from __future__ import annotations

from pathlib import Path

import pytest

from sarab.machine.network import NetworkOptions, parse_forward
from sarab.machine.options import MachineOptions
from sarab.machine.vector import Channels, qemu_vector

CHANNELS = Channels(10, 11, 12, 13)


def vector(processor: str = "tcg", **options: object) -> list[str]:
    return qemu_vector("qemu", Path("a,b.elf"), MachineOptions(**options), processor, CHANNELS)  # type: ignore[arg-type]


def after(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_qemu_gets_no_more_rights_than_it_needs() -> None:
    assert after(vector(), "-sandbox") == ["on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    assert "-nodefaults" in vector()
    assert "-no-user-config" in vector()


def test_image_is_a_word_of_its_own() -> None:
    assert after(vector(), "-kernel") == ["a,b.elf"]


@pytest.mark.parametrize(
    ("processor", "accelerator", "model"),
    [("tcg", "tcg", "max"), ("kvm", "kvm", "host"), ("kvm-pvm", "kvm", "host,arch-capabilities=off")],
)
def test_processor_fits_the_accelerator(processor: str, accelerator: str, model: str) -> None:
    assert after(vector(processor), "-accel") == [accelerator]
    assert after(vector(processor), "-cpu") == [model]


def test_channels_are_where_decision_0002_has_them() -> None:
    devices = after(vector(), "-device")
    assert "isa-debugcon,iobase=0xe9,readback=0xe9,chardev=console" in devices
    assert "isa-debugcon,iobase=0xea,readback=0x5a,chardev=control" in devices
    assert "isa-debug-exit,iobase=0xf4,iosize=0x04" in devices
    assert after(vector(), "-chardev") == [
        "file,id=console,path=/dev/fd/10",
        "file,id=control,path=/dev/fd/11",
        "socket,id=serial,fd=12",
        "socket,id=qmp,fd=13",
        "null,id=fast,logfile=/dev/fd/10,logappend=on",
    ]


def test_a_card_has_its_words_and_its_description() -> None:
    forwards = parse_forward("8080:80"), parse_forward("[::1]:53:5353/udp")
    network = NetworkOptions(forwards=forwards, macs=("02:00:00:00:00:01",))
    words = vector(network=network)
    assert after(words, "-netdev") == ["user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:[::1]:53-:5353"]
    assert "virtio-net-device,bus=virtio-mmio-bus.0,netdev=net0,mq=off,mac=02:00:00:00:00:01" in after(words, "-device")
    told = after(words, "-append")[0].split()
    assert told[1] == "virtio_mmio.device=512@0xfeb00000:16"
    assert told[3:] == ["SARAB_IP=10.0.2.15/24", "SARAB_GATEWAY=10.0.2.2", "SARAB_DNS=10.0.2.3"]
    assert not [word for word in vector() if "virtio-net" in word or "virtio_mmio.device" in word]


def test_the_fast_console_is_the_last_slot_with_one_port() -> None:
    words = vector()
    assert "virtio-serial-device,bus=virtio-mmio-bus.7,max_ports=1" in after(words, "-device")
    assert "virtconsole,chardev=fast" in after(words, "-device")
    assert "virtio_console=512@0xfeb00e00:23" in after(words, "-append")[0].split()
    assert after(words, "-global") == ["virtio-mmio.force-legacy=false", "virtio-mmio.ioeventfd=off"]


def test_with_cards_kicks_are_taken_by_eventfd() -> None:
    network = NetworkOptions(macs=("02:00:00:00:00:01",))
    assert after(vector(network=network), "-global") == ["virtio-mmio.force-legacy=false"]


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_there_is_no_fast_console_where_there_are_no_slots(machine: str) -> None:
    words = " ".join(vector(machine=machine))
    assert "virtio" not in words
    assert "virtconsole" not in words


def test_eight_cards_leave_no_slot_for_the_fast_console() -> None:
    network = NetworkOptions(taps=tuple(f"tap{n}" for n in range(8)))
    words = vector(network=network)
    assert "virtio_console" not in " ".join(words)
    assert "virtio-net-device,bus=virtio-mmio-bus.7" in " ".join(words)
    assert "virtio-serial" not in " ".join(words)


def test_debugger_listens_on_the_loopback_address_only() -> None:
    words = vector(gdb_port=1234)
    assert after(words, "-gdb") == ["tcp:127.0.0.1:1234"]
    assert "-S" in words
    assert "-S" not in vector()


def test_memory_and_machine_are_passed_on() -> None:
    words = vector(memory_mib=24, machine="q35")
    assert after(words, "-m") == ["24M"]
    assert after(words, "-machine")[0].startswith("q35,")
