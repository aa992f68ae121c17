"""A card that writes down what passes it, as a file that Wireshark opens (draft-ietf-opsawg-pcap, nanoseconds).

    card = Pcap(card, open("out.pcap", "wb"))

Frames are written as the stack and the card see them: bursts uncut, and a checksum that the card is to complete is
incomplete, which Wireshark names "partial".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from struct import Struct
from typing import BinaryIO

from sarab.device.network import Incoming, Network, Outgoing
from sarab.driver.around import Around

MAGIC_NANOSECONDS = 0xA1B23C4D
VERSION = (2, 4)
LINKTYPE_ETHERNET = 1
SNAPLEN = 262144
"""Bytes that are kept of a frame: more than any has; what libpcap takes at most."""
SIZE_MAX_DEFAULT = 1 << 30
"""Bytes of a file: a capture that was forgotten does not fill the disk. What follows is counted in `missed`."""
SECOND = 1_000_000_000

_FILE = Struct("<IHHiIII")
_RECORD = Struct("<IIII")


def file_of(path: str, index: int) -> str:
    """Return where card `index` of several writes: eth0 into `path`, eth1 into out-eth1.pcap beside it."""
    if index == 0:
        return path
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    return f"{folder}{slash}{stem or suffix}-eth{index}{dot + suffix if stem else ''}"


class Pcap(Around):
    """A card around a card; device.network.Network. A file that cannot be written never harms the network."""

    def __init__(
        self,
        device: Network,
        file: BinaryIO,
        clock: Callable[[], int] = time.time_ns,
        size_max: int = SIZE_MAX_DEFAULT,
    ) -> None:
        """Write the head of `file`, which is ours to close. `clock` gives ns since 1970. Raises OSError."""
        super().__init__(device)
        self._file, self._clock, self._room = file, clock, size_max - _FILE.size
        self.missed = 0
        """Frames that are not in the file: it is full, or could not be written."""
        file.write(_FILE.pack(MAGIC_NANOSECONDS, *VERSION, 0, 0, SNAPLEN, LINKTYPE_ETHERNET))
        file.flush()

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        frames = self._device.receive(limit)
        if frames:
            self._write([frame.data for frame in frames])
        return frames

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network. Only what the card took is in the file."""
        count = self._device.send(frames)
        if count:
            self._write([frame.header + bytes(frame.payload) for frame in frames[:count]])
        return count

    def close(self) -> None:
        """See Network."""
        super().close()
        try:
            self._file.close()
        except OSError:
            pass  # what was in its buffer is missing; the frames before are there

    def _write(self, frames: list[bytes]) -> None:
        now = self._clock()
        records = []
        for data in frames:
            kept = data[:SNAPLEN]
            size = _RECORD.size + len(kept)
            if size > self._room:
                self._room = 0  # a file with a gap would mislead
                self.missed += 1
                continue
            self._room -= size
            records.append(_RECORD.pack(now // SECOND & 0xFFFFFFFF, now % SECOND, len(kept), len(data)) + kept)
        try:
            self._file.write(b"".join(records))
            self._file.flush()  # whoever looks, or kills us, finds whole records
        except (OSError, ValueError):
            self._room = 0
            self.missed += len(records)
