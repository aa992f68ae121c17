"""Why a machine could not be started.

MachineError
├── QemuMissing          QEMU is not installed
├── QemuFailed           QEMU refused to start, or its monitor refused a command
├── KvmUnusable          KVM was asked for by name and is not there for us
└── NotBootable          the image is no image, or does not fit the memory
"""

from __future__ import annotations

from sarab.errors import SarabError


class MachineError(SarabError):
    """The message is one sentence that a person can act on."""


class QemuMissing(MachineError):
    """QEMU is not installed."""


class QemuFailed(MachineError):
    """QEMU refused to start, or its monitor refused a command."""


class KvmUnusable(MachineError):
    """KVM was asked for by name and is not there for us."""


class NotBootable(MachineError):
    """The image is no image, or does not fit the memory."""
