"""What devices raise. TCP, UDP and names raise what Python programs expect instead: OSError and its subclasses.

DeviceError
├── DeviceLost      it is gone for good, or broke its protocol
├── DeviceFailed    one request failed; others may go well
├── ReadOnly        it cannot be written
├── NoSpace         it is full
├── OutOfRange      also a ValueError: beyond its end, or not in its units
└── NotFound        also a KeyError: there is no such entry
"""

from __future__ import annotations


class DeviceError(Exception):
    """The text is a sentence that names the device and says what is wrong."""


class DeviceLost(DeviceError):
    """The device is gone, or broke its protocol; the text says which and what to do."""


class DeviceFailed(DeviceError):
    """A request failed, as a disk's does on a bad sector; the device goes on."""


class ReadOnly(DeviceError):
    """The device, or what it holds, cannot be written."""


class NoSpace(DeviceError):
    """The device is full, or what was to be stored is larger than its bound."""


class OutOfRange(DeviceError, ValueError):
    """What was asked for lies beyond the device's end, or is not in its units."""


class NotFound(DeviceError, KeyError):
    """There is no entry of this name."""

    def __str__(self) -> str:
        """Return the sentence; KeyError would quote it."""
        return str(self.args[0]) if self.args else ""
