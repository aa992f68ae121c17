"""Why a build, or the reading of an image, was refused.

BuildError
├── SpecError            the application named on the command line
├── SyntaxFault          a file of the application does not compile
├── WiringError          no devices, or no keys, can be had as the application asks for them
├── TypesError           mypy says that the application does not fit together
├── ModuleMissing        an import that nothing provides
├── ObjectError          a shared object that cannot be in an image
├── OutputError          the image could not be written
└── Malformed            an image, or a part of one, that is not as decision 0001 says
"""

from __future__ import annotations

from sarab.errors import SarabError


class BuildError(SarabError):
    """The message is one sentence that a person can act on."""


class SpecError(BuildError):
    pass


class SyntaxFault(BuildError):
    pass


class WiringError(BuildError):
    """`details` say who needs what."""

    def __init__(self, sentence: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.details = details


class TypesError(WiringError):
    """`details` are mypy's lines, or what stands for them."""


class ModuleMissing(BuildError):
    pass


class ObjectError(BuildError):
    pass


class OutputError(BuildError):
    pass


class Malformed(BuildError):
    pass
