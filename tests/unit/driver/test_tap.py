"""The tap device against Linux's own network stack, in a namespace that ends with the test."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess

import pytest

from sarab.driver import tap
from sarab.driver.tap import ALONE_MIN, HEADER_SIZE, Tap
from tests.namespace import inside_command, missing, run_inside

FAR_END = """
import socket, struct, sys
from sarab.device.network import Incoming
from sarab.driver.tap import Tap

class Linux:
    "The tap's own side of Linux: a packet socket with a virtio_net_hdr (packet(7), linux/if_packet.h)."
    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
        self.socket.bind((name, 3))
        self.socket.setblocking(False)
    def receive(self, limit):
        found = []
        while len(found) < limit:
            try:
                data, address = self.socket.recvfrom(70000)
            except BlockingIOError:
                break
            if address[2] == 4:  # what we sent ourselves
                continue
            flags, kind, _, size, _, _ = struct.unpack_from("<BBHHHH", data)
            found.append(Incoming(data[10:], bool(flags & 3), size if kind & 0x7f else 0))
        return found
    def send(self, frames):
        for frame in frames:
            self.socket.send(bytes(10) + frame.header + bytes(frame.payload))
        return len(frames)
"""


def test_frames_behind_one_that_mostly_comes_alone_are_told_of_and_soon_come_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with wire, end:
        end.setblocking(False)
        with monkeypatch.context() as patched:  # a device that has frames as a socket of packets has
            patched.setattr(os, "open", lambda path, flags: end.fileno())
            patched.setattr(tap, "ioctl", lambda *arguments: 0)
            card = Tap("lo")
        sent = 0
        for _ in range(3 * ALONE_MIN):
            wire.send(bytes(HEADER_SIZE) + b"%d" % sent)
            sent += 1
            assert [frame.data for frame in card.receive(256)] == [b"%d" % (sent - 1)]
        for _ in range(50):
            wire.send(bytes(HEADER_SIZE) + b"%d" % sent)
            sent += 1
        together = []
        while select.select([end], [], [], 0)[0]:
            together.append([int(frame.data) for frame in card.receive(256)])
        assert [number for numbers in together for number in numbers] == list(range(sent - 50, sent))
        assert len(together) <= ALONE_MIN, "they came one by one"


def test_it_keeps_what_a_card_promises_and_so_do_wrappers() -> None:
    script = """
import io
from sarab.driver.faults import Faults, Weather
from sarab.driver.pcap import Pcap
from sarab.testing.cards import check_network
ends = []
def make(wrap=lambda card: card):
    while ends:
        ends.pop().socket.close()
    card = Tap("tap0")
    ends.append(Linux("tap0"))
    return wrap(card), ends[0]
check_network(make)
check_network(lambda: make(lambda card: Pcap(card, io.BytesIO())))
check_network(lambda: make(lambda card: Faults(card, Weather())))
ends.pop().socket.close()
print("kept")
"""
    assert run_inside(FAR_END + script) == "kept\n"


def test_its_mac_is_its_own_and_its_mtu_the_devices() -> None:
    script = """
import subprocess
subprocess.run(["ip", "link", "set", "tap0", "mtu", "9000"], check=True)
card = Tap("tap0")
host = open("/sys/class/net/tap0/address").read().strip()
assert card.mac.hex(":") != host
assert card.mac[0] & 3 == 2, "it is unicast and locally administered"
card.close()
given = Tap("tap0", bytes.fromhex("020102030405"))
print(card.mtu, given.mac.hex())
given.close()
"""
    assert run_inside(FAR_END + script) == "9000 020102030405\n"


def test_each_reason_for_failing_is_said() -> None:
    script = """
import subprocess
def why(name):
    try:
        Tap(name).close()
    except OSError as error:
        print(error.strerror)
card = Tap("tap0")
why("tap0")
card.close()
why("lo")
why("nosuch0")
subprocess.run(["ip", "tuntap", "add", "dev", "tun0", "mode", "tun"], check=True)
why("tun0")
"""
    assert run_inside(FAR_END + script).splitlines() == [
        "the tap device 'tap0' cannot be attached to: another program uses it",
        "the tap device 'lo' cannot be attached to: it is no tap device, or one of several queues",
        "there is no tap device 'nosuch0': make it with ip tuntap",
        "the tap device 'tun0' cannot be attached to: it is no tap device, or one of several queues",
    ]


def test_a_device_that_is_down_loses_frames_and_one_that_is_removed_is_lost() -> None:
    script = """
import subprocess
from sarab.device.network import DeviceLost, Outgoing
card = Tap("tap0")
frame = Outgoing(b"\\xff" * 12 + b"\\x88\\xb5" + bytes(46))
subprocess.run(["ip", "link", "set", "tap0", "down"], check=True)
print(card.send([frame, frame]), card.dropped, card.receive(9))
subprocess.run(["ip", "link", "set", "tap0", "up"], check=True)
print(card.send([frame]), card.dropped)
subprocess.run(["ip", "link", "del", "tap0"], check=True)
for use in (lambda: card.receive(9), lambda: card.send([frame])):
    try:
        use()
    except DeviceLost as lost:
        print(lost)
card.close()
"""
    down, up, *lost = run_inside(FAR_END + script).splitlines()
    assert (down, up) == ("2 2 []", "1 2")
    assert len(lost) == 2
    assert all(line.startswith("the tap device is gone:") for line in lost)


def test_without_a_device_nothing_is_made() -> None:
    with pytest.raises(OSError, match="there is no tap device 'nosuch0'") as raised:
        Tap("nosuch0")
    assert raised.value.errno == errno.ENOENT


def test_the_namespace_ends_with_its_program() -> None:
    if why := missing():
        pytest.skip(why)
    done = subprocess.run(inside_command("cat", "/proc/net/dev"), capture_output=True, text=True, check=True)
    assert "tap0:" in done.stdout
    assert "eth0:" not in done.stdout
