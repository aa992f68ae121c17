"""A whole card's frames, with no stack on it (device.ethernet.Ethernet over device.network.Network)."""

from __future__ import annotations

import asyncio
from collections import deque

from sarab.device.errors import DeviceLost, OutOfRange
from sarab.device.network import Buffer, Network, Outgoing

RECEIVE_AT_ONCE = 64
"""Frames taken from the card before others have their turn."""
WAITING_MAX = 512
"""Frames that wait for a reader; what comes on top is dropped."""
HEADER_SIZE = 14


class CardEthernet:
    """device.ethernet.Ethernet; the card is its own."""

    def __init__(self, card: Network) -> None:
        """In a running loop. Raises ValueError for a card with no descriptor to wait for."""
        if card.fileno() < 0:
            raise ValueError("a card without a descriptor cannot be waited for")
        self._card = card
        self._loop = asyncio.get_running_loop()
        self._descriptor = card.fileno()
        self._arrived: deque[bytes] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        self._lost: DeviceLost | None = None
        self.dropped = 0
        """Frames lost because nobody read the others."""
        self._loop.add_reader(self._descriptor, self._ready)

    @property
    def mac(self) -> bytes:
        """See Ethernet."""
        return self._card.mac

    @property
    def mtu(self) -> int:
        """See Ethernet."""
        return self._card.mtu

    def _ready(self) -> None:
        """Frames have come, or there is room for more."""
        try:
            frames = self._card.receive(RECEIVE_AT_ONCE)
        except DeviceLost as why:
            self._lose(why)
            return
        mac = self._card.mac
        for frame in frames:
            data = frame.data
            if len(data) < HEADER_SIZE or not (data[0] & 1 or data[:6] == mac):
                continue  # a card may show what is for others
            if len(self._arrived) >= WAITING_MAX:
                self.dropped += 1
            else:
                self._arrived.append(data)
        self._wake()

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def _wait(self) -> None:
        future = self._loop.create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            self._waiting.remove(future)

    async def receive(self) -> tuple[bytes, int, bytes]:
        """See Ethernet."""
        while not self._arrived:
            if self._lost is not None:
                raise self._lost
            await self._wait()
        data = self._arrived.popleft()
        return data[6:12], int.from_bytes(data[12:14], "big"), data[HEADER_SIZE:]

    async def send(self, destination: bytes, ethertype: int, payload: Buffer) -> None:
        """See Ethernet."""
        check_frame(self._card.mtu, destination, ethertype, payload)
        frame = Outgoing(destination + self._card.mac + ethertype.to_bytes(2, "big"), bytes(payload))
        while True:
            if self._lost is not None:
                raise self._lost
            try:
                if self._card.send((frame,)):
                    return
            except DeviceLost as why:
                self._lose(why)
                raise
            await self._wait()

    def _lose(self, why: DeviceLost) -> None:
        if self._lost is None:
            self._lost = why
            if not self._loop.is_closed():
                self._loop.remove_reader(self._descriptor)
            self._wake()

    def close(self) -> None:
        """Stop the card. Twice is harmless."""
        self._lose(DeviceLost("the card was closed"))
        self._card.close()


def check_frame(mtu: int, destination: bytes, ethertype: int, payload: Buffer) -> None:
    """Raises OutOfRange for what no frame can be."""
    length = payload.nbytes if isinstance(payload, memoryview) else len(payload)
    if length > mtu:
        raise OutOfRange(f"{length} bytes do not fit into a frame: {mtu} do")
    if len(destination) != 6:
        raise OutOfRange(f"an Ethernet address has 6 bytes, not {len(destination)}")
    if not 0 <= ethertype <= 0xFFFF:
        raise OutOfRange(f"{ethertype} is no type of frames")
