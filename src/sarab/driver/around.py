"""What a card around a card passes on."""

from __future__ import annotations

from sarab.device.network import Network, Offload


class Around:
    """The part of device.network.Network that does not look at frames; who watches or changes those derives from it."""

    def __init__(self, device: Network) -> None:
        self._device = device

    @property
    def mac(self) -> bytes:
        """See Network."""
        return self._device.mac

    @property
    def mtu(self) -> int:
        """See Network."""
        return self._device.mtu

    @property
    def offloads(self) -> Offload:
        """See Network."""
        return self._device.offloads

    def fileno(self) -> int:
        """See Network."""
        return self._device.fileno()

    def close(self) -> None:
        """See Network."""
        self._device.close()
