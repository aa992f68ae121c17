"""What belongs to which distribution, read faster than importlib.metadata reads it."""

from __future__ import annotations

import os
from importlib.metadata import distributions
from pathlib import Path

from sarab.build.contents import Distributions
from sarab.build.interpreter import Interpreter


def test_files_of_a_distribution_are_those_of_its_record() -> None:
    places = [str(folder) for folder in Interpreter.running().site_directories]
    expected: dict[str, str] = {}
    for distribution in distributions(path=places):
        root = str(distribution.locate_file(""))
        for file in distribution.files or ():
            if file.suffix in (".py", ".so", ".pyc") and "__pycache__" not in file.parts:
                expected.setdefault(os.path.normpath(os.path.join(root, str(file))), distribution.name)
    found = Distributions(places)._owners
    assert {path: owner.name for path, owner in found.items()} == expected and len(expected) > 1000


def test_record_may_quote_and_climb(tmp_path: Path) -> None:
    info = tmp_path / "lib" / "odd-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (info / "RECORD").write_text('"a,b.py",sha256=x,1\n../bin/c.py,,\nd/__pycache__/e.pyc,,\nf.txt,,\n')
    owners = Distributions([str(tmp_path / "lib")])._owners
    assert set(owners) == {str(tmp_path / "lib/a,b.py"), str(tmp_path / "bin/c.py")}
