"""What a card's options mean together."""

from __future__ import annotations

from pathlib import Path

import pytest

from sarab.errors import UsageError
from sarab.machine.network import (
    Forward,
    NetworkOptions,
    parse_forward,
    process_environment,
    qemu_words,
)
from sarab.machine.virtio import guest_words


def forwards(*texts: str) -> NetworkOptions:
    return NetworkOptions(forwards=tuple(map(parse_forward, texts)))


def test_a_forward_is_on_the_loopback_address_unless_said_otherwise() -> None:
    assert parse_forward("8080:80") == Forward("tcp", "127.0.0.1", 8080, 80)
    assert parse_forward("0.0.0.0:53:5353/udp") == Forward("udp", "0.0.0.0", 53, 5353)
    assert parse_forward("[::1]:8080:80") == Forward("tcp", "::1", 8080, 80)
    assert str(parse_forward("8080:80")) == "127.0.0.1:8080 of this host leads to port 80/tcp of the program"
    assert str(parse_forward("[::1]:8080:80")).startswith("[::1]:8080 of this host")


def test_one_port_leads_to_one_place() -> None:
    for same in (["9080:80", "9080:81"], ["0.0.0.0:9080:80", "9080:80"], ["9080:80/tcp", "127.0.0.1:9080:80"]):
        with pytest.raises(UsageError, match="port 9080/tcp of this host is forwarded twice"):
            forwards(*same)
    forwards("9080:80", "127.0.0.2:9080:80", "9080:80/udp", "9081:80")


def test_the_guest_of_a_tap_is_told_what_was_said_and_no_more() -> None:
    options = NetworkOptions(
        taps=("tap0",),
        addresses=("10.0.0.2/24", "fd00::2/64"),
        gateways=("10.0.0.1",),
        hostname="web",
        dns=("9.9.9.9",),
    )
    assert options.environment == (
        ("SARAB_IP", "10.0.0.2/24,fd00::2/64"),
        ("SARAB_GATEWAY", "10.0.0.1"),
        ("SARAB_DNS", "9.9.9.9"),
        ("SARAB_HOSTNAME", "web"),
    )


def test_the_user_mode_network_can_be_told_another_resolver() -> None:
    assert dict(NetworkOptions(dns=("9.9.9.9",)).environment) == {
        "SARAB_IP": "10.0.2.15/24",
        "SARAB_GATEWAY": "10.0.2.2",
        "SARAB_DNS": "9.9.9.9",
    }


def test_qemu_runs_no_script_for_a_tap() -> None:
    words = qemu_words(NetworkOptions(taps=("tap0",), addresses=("10.0.0.2/24",)))
    assert "tap,id=net0,ifname=tap0,script=no,downscript=no" in words


def test_each_tap_is_a_card_with_its_own_addresses() -> None:
    options = NetworkOptions(
        taps=("tap0", "tap1"),
        addresses=("10.0.0.2/24", "eth1=10.0.1.2/24"),
        gateways=("10.0.0.1",),
        macs=("eth1=02:00:00:00:00:07",),
        pcap=Path("/tmp/out.pcap"),
    )
    words = " ".join(qemu_words(options))
    for index in (0, 1):
        assert f"tap,id=net{index},ifname=tap{index}," in words
        assert f"virtio-net-device,bus=virtio-mmio-bus.{index},netdev=net{index}," in words
    assert "bus=virtio-mmio-bus.1,netdev=net1,mq=off,mac=02:00:00:00:00:07 " in words
    assert "file=/tmp/out.pcap" in words
    assert "file=/tmp/out-eth1.pcap" in words
    assert guest_words("microvm", options.cards) == (
        "virtio_mmio.device=512@0xfeb00000:16",
        "virtio_mmio.device=512@0xfeb00200:17",
        "virtio_console=512@0xfeb00e00:23",
    )
    assert guest_words("q35", options.cards) == ("pci",)
    assert dict(options.environment)["SARAB_IP"] == "10.0.0.2/24,eth1=10.0.1.2/24"


def test_a_process_is_told_of_its_taps() -> None:
    options = NetworkOptions(taps=("tap0", "tap1"), macs=("02:00:00:00:00:07",), pcap=Path("/tmp/out.pcap"))
    assert process_environment(options) == (
        ("SARAB_TAP", "tap0,tap1"),
        ("SARAB_MAC", "02:00:00:00:00:07"),
        ("SARAB_PCAP", "/tmp/out.pcap"),
    )
