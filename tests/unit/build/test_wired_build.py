"""Wired applications are read, checked and packed: keys are constants, types fit, and no secret leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sarab.build import image, wired
from sarab.build.builder import BuildOptions, Checked, check
from sarab.build.errors import BuildError, TypesError, WiringError
from tests.unit.build.conftest import Build, Run

APPLICATION = '''\
from typing import Annotated

from sarab import Key, Secret, unikernel

print("noise")


@unikernel
async def main(
    *,
    port: Annotated[int, Key("TCP port")] = 8080,
    peers: Annotated[list[str], Key("others")] = [],
    token: Annotated[Secret, Key("a password")] = Secret("none"),
) -> None:
    """Show what it was given."""
    print(port, peers, token.reveal())
'''


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "app.py").write_text(APPLICATION)
    return folder


def checked(shared_cache: Path, spec: str = "app.py", **options: object) -> Checked:
    return check(spec, BuildOptions(cache=shared_cache, **options))  # type: ignore[arg-type]


def test_keys_of_the_build_are_constants_of_the_image(here: Path, build_image: Build, run_files: Run) -> None:
    (here / "pyproject.toml").write_text('[tool.sarab.keys]\npeers = ["a", "b"]\nport = 1\n')
    result = build_image("app.py", keys=(("port", "81"),), types=False)
    done = run_files(result.image, "--token", "t")
    assert (done.stdout.splitlines()[-1], done.returncode) == ("81 ['a', 'b'] t", 0), done.stderr
    refused = run_files(result.image, "--port", "82")
    assert refused.returncode == 2 and "baked into this image as 81" in refused.stderr
    program = image.read(result.image.read_bytes()).files
    assert any(path.endswith("_sarab_main.pyc") for path in program.nodes)


def test_image_says_what_it_is_made_of(here: Path, build_image: Build) -> None:
    manifest = image.read(build_image("app.py", keys=(("port", "81"),), types=False).image.read_bytes()).manifest
    assert manifest["application"] == {"name": "app", "kind": "script", "target": "app.py"}
    assert manifest["devices"] == []
    assert manifest["wiring"]["target"] == "machine"
    assert manifest["wiring"]["entry"]["file"] == "app.py"
    assert next((key["name"], key["baked"]) for key in manifest["wiring"]["keys"]) == ("port", "81")


def test_secret_is_in_an_image_only_if_asked_for(here: Path, build_image: Build, run_files: Run) -> None:
    given = (("token", "hunter2"),)
    with pytest.raises(WiringError, match="The key token is a secret, and its value on the command line"):
        build_image("app.py", keys=given, types=False)
    result = build_image("app.py", keys=given, types=False, bake_secrets=True)
    assert "hunter2" not in json.dumps(image.read(result.image.read_bytes()).manifest)
    assert run_files(result.image).stdout.splitlines()[-1] == "8080 [] hunter2"
    variable = (("SARAB_KEY_TOKEN", "hunter2"),)
    with pytest.raises(WiringError, match="The key token is a secret, and its value on the command line"):
        build_image("app.py", environment=variable, types=False)
    result = build_image("app.py", environment=variable, types=False, bake_secrets=True)
    assert "hunter2" not in json.dumps(image.read(result.image.read_bytes()).manifest)
    assert run_files(result.image).stdout.splitlines()[-1] == "8080 [] hunter2"
    (here / "pyproject.toml").write_text('[tool.sarab.keys]\ntoken = "hunter2"\n')
    with pytest.raises(WiringError, match=r"its value in \[tool.sarab.keys\] would be in the image"):
        build_image("app.py", types=False)


def test_main_module_of_a_secret_is_nobody_elses(here: Path, shared_cache: Path) -> None:
    found = checked(shared_cache, keys=(("token", "hunter2"),), types=False, bake_secrets=True).wired
    assert found is not None
    assert "hunter2" in found.main.read_text()
    assert found.main.stat().st_mode & 0o077 == 0
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ((("port", "x"),), "the key port wants a whole number, and 'x' is not"),
        ((("prot", "1"),), "sets the key prot, and there is none (is port meant?)"),
    ],
)
def test_wrong_key_is_an_error_of_the_build(
    here: Path, shared_cache: Path, keys: tuple[tuple[str, str], ...], sentence: str
) -> None:
    with pytest.raises(WiringError) as caught:
        checked(shared_cache, keys=keys)
    assert sentence in str(caught.value)


def test_key_of_a_plain_program_is_no_option(here: Path, shared_cache: Path) -> None:
    (here / "plain.py").write_text("print(1)\n")
    with pytest.raises(BuildError) as caught:
        checked(shared_cache, "plain.py", keys=(("port", "1"),))
    assert str(caught.value) == "--port is no option, and plain.py has no function with @unikernel, so no keys."


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("import os; os._exit(3)", "ended its process (status 3)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended its process (signal 11)"),
        ("raise SystemExit(0)", "ends the program when it is imported"),
        ("1 / 0", "app.py:2: importing app failed: ZeroDivisionError: division by zero"),
        ("import nothing_like_it", "app.py:2 imports nothing_like_it, which is not installed"),
    ],
)
def test_application_that_cannot_be_imported_is_a_sentence(
    here: Path, shared_cache: Path, line: str, sentence: str
) -> None:
    (here / "app.py").write_text(f"from sarab import unikernel\n{line}\n@unikernel\nasync def main() -> None: ...\n")
    with pytest.raises(WiringError) as caught:
        checked(shared_cache)
    assert sentence in str(caught.value)


def test_application_that_waits_when_imported_is_shown_where(
    here: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wired, "READ_SECONDS_MAX", 1)
    source = "import time\nfrom sarab import unikernel\n@unikernel\nasync def main() -> None: ...\ntime.sleep(60)\n"
    (here / "app.py").write_text(source)
    with pytest.raises(WiringError, match=r"did not end within 1 s \(app.py:5\)"):
        checked(shared_cache)


def test_what_an_application_prints_or_starts_does_not_mix_with_the_plan(here: Path, shared_cache: Path) -> None:
    """A process that outlives the reader and holds its output is waited for by nobody."""
    noise = "import os, sys\nprint('{}')\nos.write(1, b'{}')\nsys.stderr.write('{}')\n"
    (here / "app.py").write_text(noise + APPLICATION)
    found = checked(shared_cache, types=False).wired
    assert found is not None and found.plan.entry.name == "main"


def test_other_targets_are_in_neither_the_image_nor_its_bytecode(
    here: Path, build_image: Build, shared_cache: Path
) -> None:
    (here / "app.py").write_text(
        "from sarab import TARGET, unikernel\nif TARGET == 'process':\n    import colorsys as used\nelse:\n"
        "    import sndhdr_like as used\n@unikernel\nasync def main() -> None: print(used)\n"
    )
    (here / "sndhdr_like.py").touch()
    paths = image.read(build_image("app.py", types=False).image.read_bytes()).files.nodes
    assert "/app/sndhdr_like.pyc" in paths
    assert not any("colorsys" in path for path in paths)
    on_process = check("app.py", BuildOptions(cache=shared_cache, types=False), "process").analysis.closure.modules
    assert "colorsys" in on_process and "sndhdr_like" not in on_process


CLOCK = """\
from sarab import Clock, unikernel


class Broken:
    def monotonic(self) -> str:
        return ""

    def wall(self) -> int:
        return 0

    def now(self) -> str:
        return ""

    async def sleep(self, seconds: float) -> None: ...


def broken() -> Broken:
    return Broken()


def helper(x: int) -> str:
    return x


@unikernel(devices={"clock": broken})
async def main(clock: Clock) -> None: ...
"""


def test_type_errors_are_told_by_who_needs_what(here: Path, shared_cache: Path) -> None:
    (here / "app.py").write_text(CLOCK)
    with pytest.raises(TypesError) as caught:
        checked(shared_cache)
    assert str(caught.value) == "The types of app.py do not fit together (--no-types builds it)"
    told = caught.value.details
    assert told[0] == 'app.py:22: Incompatible return value type (got "int", expected "str")  [return-value]'
    assert told[1] == (
        "main (app.py:26) needs clock: Clock (app.py:26), and broken (app.py:17) makes Broken, which is no Clock"
    )
    assert not any("_sarab_main" in line for line in told)
    checked(shared_cache, types=False)


def test_type_errors_of_a_copied_project_have_the_copys_paths(
    here: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = APPLICATION + "\n\ndef copied() -> int:\n    return 'text'\n"
    for folder in (here, here.with_name("copy")):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        (folder / "app.py").write_text(wrong)
        with pytest.raises(TypesError) as caught:
            checked(shared_cache)
        assert [line.partition(":")[0] for line in caught.value.details] == ["app.py"]


def test_strictness_is_the_projects_own(here: Path, shared_cache: Path) -> None:
    (here / "app.py").write_text(APPLICATION + "\n\ndef helper(x):\n    return x\n")
    checked(shared_cache)
    (here / "pyproject.toml").write_text(
        "[tool.mypy]\nignore_missing_imports = true\n"
        "[[tool.mypy.overrides]]\nmodule = 'app'\ndisallow_untyped_defs = true\n"
    )
    with pytest.raises(TypesError) as caught:
        checked(shared_cache)
    assert "app.py:19: Function is missing a type annotation  [no-untyped-def]" in caught.value.details


def test_library_without_types_is_no_error_where_nobody_asked_for_strictness(here: Path, shared_cache: Path) -> None:
    (here / "app.py").write_text(
        "import lz4.block\nfrom sarab import unikernel\n@unikernel\nasync def main() -> None: ...\n"
    )
    checked(shared_cache)


def test_configuration_of_mypy_that_is_wrong_is_a_sentence(here: Path, shared_cache: Path) -> None:
    (here / "mypy.ini").write_text("[mypy]\nplugins = no_such_plugin\n")
    with pytest.raises(TypesError) as caught:
        checked(shared_cache)
    assert caught.value.details[0].startswith('mypy.ini:2: Error importing plugin "no_such_plugin"')


def test_types_that_were_right_are_not_checked_again(
    here: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sarab.build import typecheck

    checked(shared_cache)
    monkeypatch.setattr(typecheck, "_run", lambda *_: ("", 2))
    checked(shared_cache)
    (here / "app.py").write_text(APPLICATION + "# another\n")
    with pytest.raises(TypesError):
        checked(shared_cache)


def test_module_that_only_types_need_is_checked_again_when_it_changes(here: Path, shared_cache: Path) -> None:
    (here / "kinds.py").write_text("Port = int\n")
    (here / "app.py").write_text(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nfrom sarab import unikernel\n"
        "if TYPE_CHECKING:\n    from kinds import Port\n"
        "@unikernel\nasync def main() -> None: ...\ndef f() -> Port:\n    return 1\n"
    )
    checked(shared_cache)
    (here / "kinds.py").write_text("Port = bytes\n")
    with pytest.raises(TypesError):
        checked(shared_cache)


def test_without_mypy_one_line_says_so(here: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sarab.build import typecheck

    monkeypatch.setattr(typecheck, "find_spec", lambda _: None)
    assert [line for line in checked(shared_cache).warnings if "mypy" in line] == [
        "mypy is not installed beside this interpreter, so types were not checked: pip install mypy."
    ]


def test_image_has_no_part_of_the_wiring_that_only_a_build_needs(here: Path, shared_cache: Path) -> None:
    modules = checked(shared_cache, types=False).analysis.closure.modules
    unneeded = {"graph", "signature", "live", "emit", "read", "needs"}
    assert not {f"sarab.wiring.{name}" for name in unneeded} & set(modules)
    assert "sarab.wiring.run" in modules


def test_traceback_begins_in_the_application(here: Path, build_image: Build, run_files: Run) -> None:
    (here / "app.py").write_text(
        "from sarab import unikernel\ndef inner() -> None:\n    raise ValueError('boom')\n"
        "@unikernel\nasync def main() -> None:\n    inner()\n"
    )
    assert run_files(build_image("app.py", types=False).image).stderr.splitlines() == [
        "Traceback (most recent call last):",
        '  File "/app/app.py", line 6, in main',
        '  File "/app/app.py", line 3, in inner',
        "ValueError: boom",
    ]


def test_traceback_of_a_main_module_that_fails_itself_is_whole(here: Path, build_image: Build, run_files: Run) -> None:
    """Nothing of it is the application's."""
    result = build_image("app.py", types=False, exclude=("sarab.wiring.settings",))
    told = run_files(result.image).stderr
    assert f"/app/{wired.MAIN}" in told and "ImportError" in told


TYPES = {
    "ipaddress": ("ipaddress.IPv4Address", "ipaddress.IPv6Network", "ipaddress.IPv4Address | ipaddress.IPv6Address",
                  "ipaddress.IPv4Interface | ipaddress.IPv6Interface"),
    "pathlib": ("pathlib.Path",),
    "datetime": ("datetime.timedelta",),
}  # fmt: skip


def test_image_has_the_modules_of_its_keys_types_and_of_no_other(here: Path, shared_cache: Path) -> None:
    """The application imports them itself; what is seen is that their readers do, too."""
    without = set(checked(shared_cache, types=False).analysis.closure.modules)
    assert not {"ipaddress", "pathlib", "datetime"} & without
    for module, types in TYPES.items():
        for number, annotation in enumerate(types):
            name = f"keyed{number}{module}"
            (here / f"{name}.py").write_text(
                f"from __future__ import annotations\nfrom typing import Annotated\n"
                f"import {module}\nfrom sarab import Key, unikernel\n"
                f"@unikernel\nasync def main(*, x: Annotated[{annotation}, Key()]) -> None: ...\n"
            )
            found = checked(shared_cache, f"{name}.py", types=False)
            edges = found.analysis.closure.edges[module]
            assert any(edge.importer == "sarab.wiring.values" for edge in edges), annotation


def test_image_is_the_same_from_another_folder_and_with_other_hashes(
    here: Path, tmp_path: Path, build_image: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = []
    for number in (1, 2):
        folder = tmp_path / f"checkout{number}"
        folder.mkdir()
        (folder / "app.py").write_text(APPLICATION)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PYTHONHASHSEED", str(number))  # of the reader
        result = build_image("app.py", keys=(("port", "81"),), types=False, output=tmp_path / f"{number}.elf")
        images.append(result.image.read_bytes())
    assert images[0] == images[1]


def test_devices_of_pyproject_choose_the_provider(here: Path, build_image: Build, run_files: Run) -> None:
    (here / "common.py").write_text("class Store:\n    def __init__(self, name: str) -> None: self.name = name\n")
    (here / "other.py").write_text("from common import Store\ndef far() -> Store: return Store('far')\n")
    (here / "app.py").write_text(
        "from common import Store\nfrom sarab import unikernel\ndef near() -> Store: return Store('near')\n"
        "@unikernel(providers=[near])\nasync def main(store: Store) -> None: print(store.name)\n"
    )
    result = build_image("app.py", types=False)
    assert run_files(result.image).stdout == "near\n"
    assert "/app/other.pyc" not in image.read(result.image.read_bytes()).files.nodes
    (here / "pyproject.toml").write_text("[tool.sarab.devices]\nstore = 'other:far'\n")
    assert run_files(build_image("app.py", types=False).image).stdout == "far\n"
    (here / "pyproject.toml").write_text("[tool.sarab.devices]\nstore = 'other:fra'\n")
    with pytest.raises(WiringError) as caught:
        build_image("app.py", types=False)
    assert "[tool.sarab.devices] store" in str(caught.value) and "other" in str(caught.value)
