"""What a program sees of its network: counters and a capture (sarab.network)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sarab import network
from sarab.aio.faces import sockaddr, zone_of
from sarab.aio.loop import Loop
from sarab.aio.network import NetworkDriver
from sarab.device.network import Outgoing
from sarab.driver.memory import Memory, pair
from sarab.net.interface import Configuration
from sarab.net.stack import Stack
from sarab.net.tcp import FLOW_SIZE, FLOWS_MAX
from sarab.wire import ipv4, udp
from sarab.wire.address import parse
from sarab.wiring.network import make

ENVIRON = {"SARAB_IP": "10.0.0.2/24"}
ARP = bytes.fromhex("ffffffffffff020000000009080600010800060400010200000000090a0000090000000000000a000002")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[NetworkDriver, Memory]]:
    left, right = pair(descriptors=False)
    made = make(ENVIRON, {"eth0": left})
    monkeypatch.setattr(network, "_network", lambda: made)
    yield made, right
    right.close()
    left.close()


def ask(driver: NetworkDriver, peer: Memory) -> None:
    """Have a peer ask for our address, and the stack answer."""
    peer.send([Outgoing(ARP)])
    with driver.lock:
        driver.receive()
        driver.poll()
    assert len(peer.receive(9)) >= 1


def test_frames_are_counted(driver: tuple[NetworkDriver, Memory]) -> None:
    before = network.counters()
    ask(*driver)
    after = network.counters()
    assert after["frames_in"] == before["frames_in"] + 1
    assert after["arp_in"] == before["arp_in"] + 1
    assert {"tcp_retransmissions", "tcp_timeouts", "tcp_flows", "eth0_dropped", "eth0_ring_full"} <= set(after)


def test_a_capture_holds_what_passes_while_it_lasts(driver: tuple[NetworkDriver, Memory], tmp_path: Path) -> None:
    path = tmp_path / "out.pcap"
    with network.capture(str(path)) as writer:
        ask(*driver)
    size = path.stat().st_size
    assert ARP in path.read_bytes()
    assert writer.missed == 0
    ask(*driver)
    assert path.stat().st_size == size


def test_a_card_is_captured_again_after_the_first_capture_and_not_during_it(
    driver: tuple[NetworkDriver, Memory], tmp_path: Path
) -> None:
    with network.capture(str(tmp_path / "1.pcap")):
        with pytest.raises(ValueError, match="eth0 is being captured already"), network.capture(str(tmp_path / "2")):
            pass
        ask(*driver)
    assert not (tmp_path / "2").exists()
    with network.capture(str(tmp_path / "3.pcap")):
        ask(*driver)
    assert ARP in (tmp_path / "3.pcap").read_bytes()


def test_a_capture_that_cannot_be_made_harms_nothing(driver: tuple[NetworkDriver, Memory]) -> None:
    with pytest.raises(FileNotFoundError), network.capture("/nosuch/x.pcap"):
        pass
    with pytest.raises(ValueError, match="no network card eth7 here to capture; the cards are: eth0"):
        with network.capture("/tmp/x.pcap", card="eth7"):
            pass
    ask(*driver)


def test_every_card_of_an_environment_that_asks_for_it_is_captured(tmp_path: Path) -> None:
    left, right = pair(descriptors=False)
    other, far = pair(descriptors=False)
    made = make({**ENVIRON, "SARAB_PCAP": str(tmp_path / "all.pcap")}, {"eth0": left, "eth1": other})
    ask(made, right)
    assert ARP in (tmp_path / "all.pcap").read_bytes()
    assert (tmp_path / "all-eth1.pcap").read_bytes()[:4] == bytes.fromhex("4d3cb2a1")
    for card in (right, far, *(card.device for card in made.cards)):
        card.close()
    with pytest.raises(ValueError, match=r"SARAB_PCAP: /nosuch/x\.pcap cannot be written: No such file or directory"):
        make({**ENVIRON, "SARAB_PCAP": "/nosuch/x.pcap"}, {"eth0": left})


def test_tcp_has_a_part_of_the_machines_memory(driver: tuple[NetworkDriver, Memory]) -> None:
    tcp = driver[0].stack.tcp
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert tcp.account.limit == memory // 4
    assert tcp.flows_max == min(memory // 2 // FLOW_SIZE, FLOWS_MAX)


@pytest.mark.parametrize(
    ("environ", "waits"),
    [
        ({"SARAB_IP": "10.0.0.2/24"}, {"192.0.2.1": False, "2001:db8::1": True}),
        ({"SARAB_IP": "fd00::2/64"}, {"192.0.2.1": True, "2001:db8::1": True}),
        ({}, {"192.0.2.1": True, "2001:db8::1": True, "127.0.0.1": False}),
    ],
    ids=["ipv4", "ipv6", "automatic"],
)
def test_who_connects_waits_only_for_an_address_that_may_come(environ: dict[str, str], waits: dict[str, bool]) -> None:
    left, right = pair(descriptors=False)
    made = make(environ, {"eth0": left})
    with made.lock:
        made.stack.poll(0)
    assert {target: not made.is_configured(parse(target)) for target in waits} == waits
    right.close()
    left.close()


def test_card_without_ipv6_has_nobody_wait_for_an_address_of_it() -> None:
    left, right = pair(descriptors=False)
    driver = NetworkDriver(Stack(os.urandom))
    card = driver.stack.add_interface("eth0", left.mac, left.mtu, left.offloads, Configuration(dhcp=True))
    driver.add_card(left, card)
    assert driver.is_configured(parse("2001:db8::1"))
    assert not driver.is_configured(parse("192.0.2.1"))
    right.close()
    left.close()


def test_link_local_address_has_the_number_of_its_card() -> None:
    cards = [pair(descriptors=False) for _ in range(2)]
    own = parse("fe80::1:2")
    driver = NetworkDriver(Stack(os.urandom))
    for number, (left, _) in enumerate(cards):
        configuration = Configuration(((own, 64),) if number else ((parse("10.0.0.1"), 24),))
        card = driver.stack.add_interface(f"eth{number}", left.mac, left.mtu, left.offloads, configuration)
        driver.add_card(left, card)
    card.addresses6 = [(own, 64)]
    card.combine()
    assert zone_of(driver, own, parse("fe80::9")) == 3, "a peer is where our end is"
    assert zone_of(driver, bytes(16), own) == 3
    assert zone_of(driver, bytes(16), parse("fe80::9")) == 3, "the first that speaks IPv6"
    assert zone_of(driver, own, parse("2001:db8::1")) == 0
    assert zone_of(driver, parse("10.0.0.1"), parse("10.0.0.2")) == 0
    assert sockaddr(own, 80, zone_of(driver, own, own)) == ("fe80::1:2", 80, 0, 3)
    for left, right in cards:
        left.close()
        right.close()


def test_datagrams_are_handed_out_as_fast_as_frames_are_taken() -> None:
    """A burst that waited in the card is not lost between the stack and the program."""
    left, right = pair(capacity=5000)
    driver = make(ENVIRON, {"eth0": left})
    count = 3000
    arrived = 0

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            nonlocal arrived
            arrived += 1

    async def main() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Sink, ("10.0.0.2", 7000))
        bare = udp.emit(udp.Header(9, 7000, udp.HEADER_SIZE + 1))
        header = ipv4.emit(ipv4.Header(parse("10.0.0.9"), parse("10.0.0.2"), ipv4.UDP, 20 + len(bare) + 1))
        frame = Outgoing(left.mac + bytes((2, 0, 0, 0, 0, 9)) + b"\x08\0" + header + bare + b"x")
        assert right.send([frame] * count) == count
        for _ in range(100):
            await asyncio.sleep(0.01)
            if arrived == count:
                break
        transport.close()

    loop = Loop(driver)
    loop.run_until_complete(main())
    loop.close()
    right.close()
    left.close()
    assert arrived == count
    assert driver.stack.counters["datagrams_dropped"] == 0
