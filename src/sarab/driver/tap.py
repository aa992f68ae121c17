"""A tap device of Linux as a card: for the stack in a process (`sarab run --on process --tap tap0`).

The kernel hands over frames with a virtio_net_hdr (linux/virtio_net.h, linux/if_tun.h), so that checksums and
segmentation work as with a virtio card: bursts of 64 KiB in one system call.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from fcntl import ioctl
from struct import Struct, pack

from sarab.device.network import DeviceLost, Incoming, Offload, Outgoing, incoming

TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D0, 0x400454D8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
NEEDS_CSUM, DATA_VALID = 1, 2
FRAME_MAX = 65536 + 64
HEADS_MAX = 16
"""TCP and UDP over IPv4 and IPv6, and nothing: a user of raw frames may have more."""
ALONE_MIN = 8
"""When so many frames in a row came alone, only every so many-th time is it asked whether there is another: it costs a
system call, and poll tells of one too."""
COPIED = 2048
"""Bytes: below that, joining the pieces costs less than the kernel's looking at each."""
_HEADER = Struct("<BBHHHH")
HEADER_SIZE = _HEADER.size


class Tap:
    """A card; device.network.Network."""

    def __init__(self, name: str, mac: bytes | None = None) -> None:
        """Attach to the tap device `name`. `mac` is ours, not the host side's; None draws one.

        Raises OSError, with a sentence.
        """
        try:
            # First: TUNSETIFF makes a device that is not there, and nobody would be at its other end.
            with open(f"/sys/class/net/{name}/mtu", encoding="ascii") as file:
                self.mtu = int(file.read())
        except OSError as error:
            raise OSError(error.errno, f"there is no tap device {name!r}: make it with ip tuntap") from None
        try:
            self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise OSError(error.errno, f"/dev/net/tun cannot be opened: {error.strerror}") from None
        try:
            flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
            ioctl(self._descriptor, TUNSETIFF, pack("16sH22x", name.encode(), flags))
            ioctl(self._descriptor, TUNSETVNETHDRSZ, pack("i", HEADER_SIZE))
            ioctl(self._descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
        except OSError as error:
            os.close(self._descriptor)
            why = {
                errno.EBUSY: "another program uses it",
                errno.EPERM: "it belongs to another user",
                errno.EINVAL: "it is no tap device, or one of several queues",
            }
            said = why.get(error.errno or 0, error.strerror)
            raise OSError(error.errno, f"the tap device {name!r} cannot be attached to: {said}") from None
        self.mac = mac or b"\x02" + os.urandom(5)
        self.offloads = Offload.CHECKSUM | Offload.TSO4 | Offload.TSO6
        self._heads: dict[int, bytes] = {}
        """Headers of frames that are not to be cut, by where their checksum is to be put: always the same few."""
        self._alone = 0
        """How often in a row receive() found a frame, and no other behind it."""
        self.dropped = 0
        """Frames that the kernel refused: the device is down, or has no room."""

    def fileno(self) -> int:
        """See Network."""
        return self._descriptor

    def receive(self, limit: int) -> list[Incoming]:
        """See Network."""
        frames: list[Incoming] = []
        read, descriptor, unpack = os.read, self._descriptor, _HEADER.unpack_from
        alone = self._alone
        if alone > ALONE_MIN and alone % ALONE_MIN:
            self._alone = alone + 1
            limit = min(limit, 1)
        while len(frames) < limit:
            try:
                data = read(descriptor, FRAME_MAX)
            except BlockingIOError:
                self._alone = alone + 1 if len(frames) <= 1 else 0
                break
            except OSError as error:
                raise DeviceLost(f"the tap device is gone: {error.strerror}") from error
            if len(data) <= HEADER_SIZE:
                continue
            gso_size = unpack(data)[3] if data[1] & 0x7F else 0
            frames.append(incoming((data[HEADER_SIZE:], data[0] & 3 != 0, gso_size)))
        return frames

    def send(self, frames: Sequence[Outgoing]) -> int:
        """See Network."""
        write, writev, descriptor, heads = os.write, os.writev, self._descriptor, self._heads
        for count, (header, payload, checksum_start, checksum_offset, gso, gso_size) in enumerate(frames):
            if not gso:
                head = heads.get(checksum_start << 8 | checksum_offset)
                if head is None:
                    head = _HEADER.pack(NEEDS_CSUM if checksum_start else 0, 0, 0, 0, checksum_start, checksum_offset)
                    if len(heads) < HEADS_MAX:
                        heads[checksum_start << 8 | checksum_offset] = head
            else:
                head = _HEADER.pack(NEEDS_CSUM, gso, len(header), gso_size, checksum_start, checksum_offset)
            try:
                if len(payload) < COPIED:
                    write(descriptor, b"".join((head, header, payload)))
                else:
                    writev(descriptor, (head, header, payload))
            except BlockingIOError:
                return count
            except OSError as error:
                if error.errno in (errno.EBADFD, errno.EBADF):
                    raise DeviceLost(f"the tap device is gone: {error.strerror}") from error
                self.dropped += 1  # it is down, or the host is out of memory: lost as on a wire
        return len(frames)

    def close(self) -> None:
        """See Network."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
