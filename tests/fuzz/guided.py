"""One target under atheris (libFuzzer), in a process of its own: `python -m tests.fuzz.guided NAME FOLDER ...`.

What follows the name is libFuzzer's: folders of inputs, and options such as -max_total_time=10. An input that is a
finding is written into the working folder, and the status is not 0.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-untyped]


def main(words: list[str]) -> None:
    """Fuzz what `words` say; does not return."""
    name, *rest = words
    with atheris.instrument_imports(include=["sarab"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    atheris.Setup([sys.argv[0], f"-max_len={target.longest}", *rest], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
