"""The judgement of KVM, with KVMs that are programs of a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import pytest

from sarab.machine import kvm, kvm_loop
from sarab.machine.accelerator import choose
from sarab.machine.kvm import Kvm, Usability, examine, measure


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a KVM of Intel's that anybody may open; the boot is `first`."""
    (tmp_path / "kvm").touch()
    (tmp_path / "module" / "kvm_intel").mkdir(parents=True)
    (tmp_path / "boot_id").write_text("first\n")
    monkeypatch.setattr(kvm, "DEVICE", tmp_path / "kvm")
    monkeypatch.setattr(kvm, "MODULES", tmp_path / "module")
    monkeypatch.setattr(kvm, "BOOT_ID", tmp_path / "boot_id")
    return tmp_path


def program(folder: Path, text: str) -> Path:
    path = folder / "loop.py"
    path.write_text(text)
    return path


def answers(folder: Path, **answer: object) -> Path:
    return program(folder, f"print({json.dumps(json.dumps(answer))})")


def test_loop_as_fast_as_the_host_is_native(tmp_path: Path) -> None:
    found = measure("kvm_amd", answers(tmp_path, host_ns=100, guest_ns=110))
    assert found == Kvm(Usability.NATIVE, "kvm_amd", 1.1)
    assert "native speed" in found.sentence
    assert found.advice == ""


def test_loop_that_is_slow_is_emulated(tmp_path: Path) -> None:
    found = measure("kvm_pvm", answers(tmp_path, host_ns=100, guest_ns=154600))
    assert found.usability is Usability.EMULATED
    assert found.sentence.endswith("where a kernel runs 1500 times slower than on the processor")


def test_loop_that_does_not_end_is_emulated(tmp_path: Path) -> None:
    found = measure("kvm_pvm", program(tmp_path, "import time; time.sleep(60)"), seconds=0.2)
    assert (found.usability, found.ratio) == (Usability.EMULATED, None)
    assert "very much slower" in found.sentence


def test_kvm_that_refuses_is_quoted(tmp_path: Path) -> None:
    found = measure("kvm_intel", answers(tmp_path, refused="Device or resource busy"))
    assert found.usability is Usability.REFUSED
    assert "Device or resource busy" in found.sentence


@pytest.mark.parametrize("text", ["raise SystemExit(3)", "print('nonsense')", "import os; os.abort()"])
def test_trial_that_fails_makes_kvm_unusable(tmp_path: Path, text: str) -> None:
    assert measure("", program(tmp_path, text)).usability is Usability.REFUSED


def test_missing_device_is_absent(host: Path) -> None:
    (host / "kvm").unlink()
    assert examine(host).usability is Usability.ABSENT


def test_device_of_others_is_denied(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = examine(host)
    assert found.usability is Usability.DENIED
    assert "usermod -aG kvm" in found.advice


def test_answer_is_kept_until_the_next_boot(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(name: str) -> Kvm:
        asked.append(name)
        return Kvm(Usability.NATIVE, name, 1.0)

    monkeypatch.setattr(kvm, "measure", measured)
    cache = host / "cache"
    first = examine(cache)
    assert examine(cache) == first
    assert len(asked) == 1
    examine(cache, fresh=True)
    assert len(asked) == 2
    (host / "boot_id").write_text("second\n")
    examine(cache)
    assert len(asked) == 3
    (cache / "kvm.json").write_text("{damaged")
    examine(cache)
    assert len(asked) == 4
    monkeypatch.setattr(kvm, "TRIAL", kvm.TRIAL + 1)
    examine(cache)
    assert len(asked) == 5, "an answer of an older trial was believed"


def test_refusal_is_not_kept(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "measure", lambda name: Kvm(Usability.REFUSED, name))
    examine(host / "cache")
    assert not (host / "cache" / "kvm.json").exists()


def test_cache_that_cannot_be_written_is_no_fault(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "measure", lambda name: Kvm(Usability.NATIVE, name, 1.0))
    (host / "file").touch()
    assert examine(host / "file" / "cache").usability is Usability.NATIVE


@pytest.mark.parametrize(
    ("usability", "chosen"), [(Usability.NATIVE, "kvm"), (Usability.EMULATED, "tcg"), (Usability.REFUSED, "tcg")]
)
def test_auto_takes_kvm_only_if_it_is_native(
    host: Path, monkeypatch: pytest.MonkeyPatch, usability: Usability, chosen: str
) -> None:
    monkeypatch.setattr(kvm, "measure", lambda name: Kvm(usability, name, 2.0))
    choice = choose("auto", host / "cache")
    assert choice.name == chosen
    assert choice.reason


def test_pvm_gets_a_processor_that_qemu_survives(host: Path) -> None:
    assert choose("kvm", None).processor == "kvm"
    (host / "module" / "kvm_intel").rename(host / "module" / "kvm_pvm")
    assert choose("kvm", None).processor == "kvm-pvm"
    (host / "module" / "kvm_pvm").rmdir()
    assert choose("kvm", None).processor == "kvm-pvm", "nobody knows, and it may be PVM"


@pytest.mark.parametrize("machine", ["q35", "pc"])
def test_auto_spares_a_bios_the_pvm(host: Path, monkeypatch: pytest.MonkeyPatch, machine: Literal["q35", "pc"]) -> None:
    monkeypatch.setattr(kvm, "measure", lambda name: Kvm(Usability.NATIVE, name, 1.0))
    assert choose("auto", None, machine).name == "kvm"
    (host / "module" / "kvm_intel").rename(host / "module" / "kvm_pvm")
    assert choose("auto", None).name == "kvm"
    assert choose("auto", None, machine).name == "tcg"
    assert choose("kvm", None, machine).name == "kvm"


def test_auto_gives_a_debugger_a_machine_whose_breakpoints_work(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "measure", lambda name: Kvm(Usability.NATIVE, name, 1.0))
    assert choose("auto", None, debugged=True).name == "kvm"
    (host / "module" / "kvm_intel").rename(host / "module" / "kvm_pvm")
    assert choose("auto", None, debugged=True).name == "tcg"
    assert choose("kvm", None, debugged=True).name == "kvm"


def test_host_loop_runs() -> None:
    assert 0 < kvm_loop.host_ns() < 1_000_000_000


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="this user has no KVM")
def test_this_hosts_kvm_gives_a_judgement() -> None:
    found = measure(kvm.module())
    assert found.usability in (Usability.NATIVE, Usability.EMULATED, Usability.REFUSED)
    if kvm_loop.Guest().read_msr(kvm_loop.PVM_SIGNATURE) == kvm_loop.PVM_SIGNATURE_VALUE:
        assert found.usability is Usability.NATIVE, "PVM of our revision runs a 64-bit guest on the processor"
