"""`sarab inspect` as a person uses it, and on what is no image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sarab.build import image, sarabfs
from sarab.build.tree import File, Tree
from sarab.cli.main import main
from tests.unit.build.conftest import make_kernel

MANIFEST = {
    "format": 1,
    "sarab": "1.2.3",
    "kernel": {"version": "1.2.3", "sha256": "ab" * 32},
    "interpreter": {"implementation": "cpython", "version": "3.11.7", "sha256": "cd" * 32},
    "libc": "glibc",
    "application": {"name": "hello", "kind": "script", "target": "hello.py"},
    "modules": 7,
    "devices": [{"kind": "network", "name": "net0"}],
    "distributions": [{"name": "numpy", "version": "2.0"}],
    "inputs": {"application": "ef" * 32},
    "options": {"seal": True, "tmp": None},
}


def make(path: Path, manifest: object = MANIFEST) -> Path:
    tree = Tree()
    tree.add("/app/hello.pyc", File(b"x" * 321))
    path.write_bytes(image.assemble(make_kernel(), sarabfs.write(tree), manifest))  # type: ignore[arg-type]
    return path


def test_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(make(tmp_path / "a.elf"))]) == 0
    out = capsys.readouterr().out
    for text in ("hello (script hello.py)", "sarab 1.2.3", "cpython 3.11.7, glibc", "numpy 2.0", "net0", "seal=True"):
        assert text in out
    assert "/app/hello.pyc" not in out


def test_files_and_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--files", "--inputs", str(make(tmp_path / "a.elf"))]) == 0
    out = capsys.readouterr().out
    assert "         321  /app/hello.pyc\n" in out
    assert f"{'ef' * 32}  application\n" in out


def test_json_holds_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "a.elf")
    assert main(["inspect", "--json", str(path)]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["manifest"] == MANIFEST
    assert value["size"] == path.stat().st_size
    assert value["files"] == [{"path": "/app/hello.pyc", "size": 321, "mode": "0o100444", "in_place": False}]


def test_manifest_of_strange_types_is_shown_and_not_believed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = {"format": 1, "kernel": [], "distributions": 5, "application": {"name": "a\x1b[2Jb"}, "options": "x"}
    assert main(["inspect", str(make(tmp_path / "a.elf", strange))]) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF" + bytes(200), make_kernel()])
def test_what_is_no_image_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    assert main(["inspect", str(tmp_path / "x")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("sarab: ") and err.count("\n") == 1


def test_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "x")]) == 1
    assert "cannot be read" in capsys.readouterr().err
