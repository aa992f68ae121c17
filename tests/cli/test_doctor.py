from __future__ import annotations

import os
from pathlib import Path

import pytest

from sarab.cli.main import main
from sarab.machine import host, kvm
from tests.cli.command import sarab


def test_each_thing_has_a_line() -> None:
    _, output, _ = sarab("doctor")
    said = [line.split()[1] for line in output.decode().splitlines() if not line.startswith(" ")]
    assert said == ["sarab", "python", "libc", "host", "kernel", "qemu", "kvm", "tap", "cache"]


def test_missing_qemu_is_named_with_what_to_do(tmp_path: Path) -> None:
    status, output, error = sarab("doctor", PATH=str(tmp_path))
    assert status == 1
    assert b"-> sudo apt-get install qemu-system-x86" in output
    assert error == "\nImages cannot be built and booted here: qemu missing.\n"


def test_missing_kvm_is_no_failure_and_has_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    monkeypatch.setattr(host, "find_qemu", lambda: "/bin/true")
    monkeypatch.setattr(host, "_kernel", lambda: host.Finding("kernel", True, True, "here"))
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"there is no {tmp_path}/kvm; machines are emulated (TCG)" in said
    assert "-> switch on virtualisation" in said


def test_kvm_of_each_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "examine", lambda cache, fresh: kvm.Kvm(kvm.Usability.NATIVE, "kvm_amd", 1.02))
    found = host._kvm(False)
    assert found.good
    assert (
        found.found
        == "KVM (SVM, on an AMD processor) runs guest code at native speed (a loop takes 1.02 of its time on the host)"
    )


def test_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARAB_CACHE", str(tmp_path / "a" / "b"))
    assert host._folder().good
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert host._folder().advice == "set SARAB_CACHE to a folder that can be written"


def test_taps_of_this_user_are_found_and_others_are_not(tmp_path: Path) -> None:
    def device(name: str, flags: str, owner: int) -> None:
        (tmp_path / name).mkdir()
        for file, text in (("tun_flags", flags), ("owner", str(owner)), ("group", "-1")):
            (tmp_path / name / file).write_text(text + "\n")

    device("tap0", "0x1002", os.getuid())
    device("tap1", "0x1002", -1)
    device("tap2", "0x1002", os.getuid() + 1)
    device("tun0", "0x1001", os.getuid())
    (tmp_path / "eth0").mkdir()
    assert host.own_taps(tmp_path) == ["tap0", "tap1"]


def test_without_a_tap_the_way_that_needs_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_may_administer_network", lambda: False)
    monkeypatch.setattr(host, "own_taps", list)
    found = host._tap()
    assert not found.good
    assert not found.needed
    assert "'sarab run -p 8080:80' needs no tap" in found.advice
    monkeypatch.setattr(host, "TUN", tmp_path / "tun")
    assert "modprobe tun" in host._tap().advice


def test_fresh_measures_kvm_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def examine(_cache: Path, fresh: bool) -> kvm.Kvm:
        asked.append(fresh)
        return kvm.Kvm(kvm.Usability.ABSENT, "")

    monkeypatch.setattr(kvm, "examine", examine)
    main(["doctor", "--fresh"])
    main(["doctor"])
    assert asked == [True, False]
