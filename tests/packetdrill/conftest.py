"""Every *.pkt here is a test. One that says `// xfail: why` must fail: a known bug, in its least case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sarab.testing.packetdrill import play
from sarab.testing.script import Script, ScriptError, read

ROOT = Path(__file__).parents[2]


class ScriptItem(pytest.Item):
    """One script."""

    def __init__(self, *, script: Script, **rest: Any) -> None:
        super().__init__(**rest)
        self.script = script
        if script.expected_failure:
            self.add_marker(pytest.mark.xfail(reason=script.expected_failure, strict=True, raises=ScriptError))

    def runtest(self) -> None:
        play(self.script)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, ScriptError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class ScriptFile(pytest.File):
    """A file with one script."""

    def collect(self) -> Iterator[pytest.Item]:
        try:
            script = read(str(self.path.relative_to(ROOT)), self.path.read_text())
        except ScriptError as wrong:
            raise self.CollectError(str(wrong)) from wrong
        yield ScriptItem.from_parent(self, name=self.path.stem, script=script)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.suffix == ".pkt":
        return ScriptFile.from_parent(parent, path=file_path)
    return None
