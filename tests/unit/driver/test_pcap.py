"""The capture: its bytes, its bound, and that a bad disk harms nobody."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from sarab.device.network import Outgoing
from sarab.driver.memory import pair
from sarab.driver.pcap import Pcap
from sarab.testing.cards import check_network

FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + bytes(46)


def records(data: bytes) -> list[tuple[int, bytes]]:
    """Return time in ns and bytes of each record, read independently of the writer."""
    assert data[:24] == struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
    found, at = [], 24
    while at < len(data):
        seconds, nanoseconds, kept, size = struct.unpack_from("<IIII", data, at)
        assert kept == size
        found.append((seconds * 10**9 + nanoseconds, data[at + 16 : at + 16 + kept]))
        at += 16 + kept
    return found


def test_it_keeps_what_a_card_promises() -> None:
    def make() -> tuple[Pcap, object]:
        left, right = pair()
        return Pcap(left, io.BytesIO()), right

    check_network(make)  # type: ignore[arg-type]


def test_both_directions_are_written_with_their_nanoseconds() -> None:
    left, right = pair(descriptors=False)
    file = io.BytesIO()
    times = iter([1_700_000_000_123_456_789, 1_700_000_001_000_000_001])
    card = Pcap(left, file, clock=lambda: next(times))
    card.send([Outgoing(FRAME, b"one")])
    right.send([Outgoing(FRAME, b"two")])
    card.receive(9)
    assert records(file.getvalue()) == [
        (1_700_000_000_123_456_789, FRAME + b"one"),
        (1_700_000_001_000_000_001, FRAME + b"two"),
    ]


def test_what_the_card_did_not_take_is_not_in_the_file() -> None:
    left, _right = pair(capacity=1, descriptors=False)
    file = io.BytesIO()
    assert Pcap(left, file).send([Outgoing(FRAME), Outgoing(FRAME, b"no")]) == 1
    assert [data for _, data in records(file.getvalue())] == [FRAME]


def test_a_full_file_ends_and_what_follows_is_counted() -> None:
    left, _right = pair(descriptors=False)
    file = io.BytesIO()
    card = Pcap(left, file, size_max=24 + 2 * (16 + len(FRAME)))
    card.send([Outgoing(FRAME)] * 3)
    card.send([Outgoing(FRAME[:20])])
    assert len(records(file.getvalue())) == 2
    assert card.missed == 2


def test_a_disk_that_is_full_harms_no_frame() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            if self.tell() >= 24:
                raise OSError(28, "No space left on device")
            return super().write(data)  # type: ignore[arg-type]

    left, right = pair(descriptors=False)
    card = Pcap(left, Full())
    assert card.send([Outgoing(FRAME)]) == 1
    assert card.send([Outgoing(FRAME)]) == 1
    assert len(right.receive(9)) == 2
    assert card.missed == 2
    card.close()


def test_wireshark_reads_it(tmp_path: Path) -> None:
    if shutil.which("capinfos") is None:
        pytest.skip("capinfos is not installed (Wireshark's)")
    left, _right = pair(descriptors=False)
    path = tmp_path / "out.pcap"
    card = Pcap(left, path.open("wb"))
    card.send([Outgoing(FRAME)] * 5)
    card.close()
    done = subprocess.run(["capinfos", "-M", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nsecpcap" in done.stdout or "nanosecond libpcap" in done.stdout
    assert "Number of packets = 5" in done.stdout
