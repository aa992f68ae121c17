"""Frames by their type: for programs that speak a protocol beside IP."""

from __future__ import annotations

from typing import Protocol

from sarab.device.network import Buffer


class Ethernet(Protocol):
    """A card's frames of one program. Errors: DeviceLost."""

    @property
    def mac(self) -> bytes:
        """The card's address, 6 bytes."""

    @property
    def mtu(self) -> int:
        """The largest payload in bytes."""

    async def receive(self) -> tuple[bytes, int, bytes]:
        """Return the next frame: its sender (6 bytes), its type (IEEE 802 number), its payload.

        Frames that nobody fetches are dropped beyond a bound.
        """

    async def send(self, destination: bytes, ethertype: int, payload: Buffer) -> None:
        """Send a frame; it waits while the card has no room. Raises OutOfRange for a payload above the MTU."""
