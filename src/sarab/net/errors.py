"""What the stack refuses, as the OSErrors that a socket would raise."""

from __future__ import annotations

import errno


class NetworkError(OSError):
    """The base of this room's errors; `errno` is Linux's."""

    number = errno.EIO

    def __init__(self, text: str) -> None:
        super().__init__(self.number, text)


class AddressInUse(NetworkError):
    """Another endpoint has the port."""

    number = errno.EADDRINUSE


class AddressNotAvailable(NetworkError):
    """No interface has the address."""

    number = errno.EADDRNOTAVAIL


class NetworkUnreachable(NetworkError):
    """There is no route to the destination."""

    number = errno.ENETUNREACH


class PortsExhausted(NetworkError):
    """Every port of the range is in use towards this destination."""

    number = errno.EADDRNOTAVAIL


class NameNotFound(NetworkError):
    """A name does not exist, or has no address of the family that was asked for."""

    number = errno.ENOENT


class NoAnswer(NetworkError):
    """Nobody could say whether a name exists: no server is known, or none answers."""

    number = errno.EAGAIN


class MessageTooLong(NetworkError):
    """A datagram is larger than any packet."""

    number = errno.EMSGSIZE
