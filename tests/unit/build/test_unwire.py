"""An image's copy of a wired application's module has no provider that the build did not choose."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from sarab.build import image
from sarab.build.unwire import unwire
from tests.unit.build.conftest import Build, Run


def left(source: str) -> str:
    tree = ast.parse(textwrap.dedent(source))
    unwire(tree)
    return ast.unparse(tree)


def test_imports_of_the_decorator_alone_go() -> None:
    assert left("""
        import a.b
        import c as d
        from e import f, g
        from h import i
        from sarab import unikernel
        @unikernel(name="x", providers=[f, a.b.x], devices={"y": d.z, "w": i})
        async def main(y: g) -> None: ...
    """) == ast.unparse(ast.parse(
        "from e import g\nfrom sarab import unikernel\n@unikernel(name='x')\nasync def main(y: g) -> None: ..."
    ))  # fmt: skip


def test_names_between_go_too() -> None:
    assert (
        left("""
        import sarab
        from stores import disk, memory
        from logs import log
        PAGES = sarab.choose("pages", {"a": memory, "b": sarab.named(disk, below="data")})
        ALL: list = [log]
        @sarab.unikernel(devices={"pages": PAGES}, providers=ALL)
        async def main(): ...
    """)
        == "import sarab\n\n@sarab.unikernel()\nasync def main():\n    ..."
    )


@pytest.mark.parametrize(
    "use",
    [
        "print(f)",
        "def g(): return f.x",
        "def g(x: 'list[f]'): ...",
        "__all__ = ['f']",
        "def g():\n    global f",
        "try:\n    f\nexcept f:\n    pass",
        "del f",
    ],
)
def test_what_is_used_elsewhere_stays(use: str) -> None:
    source = f"from e import f\nfrom sarab import unikernel\n{use}\n@unikernel(providers=[f])\nasync def main(): ...\n"
    assert left(source).splitlines()[0] == "from e import f"


def test_call_that_may_do_more_stays() -> None:
    source = "from e import f\nfrom sarab import unikernel\nX = f()\n@unikernel(providers=[X])\nasync def main(): ...\n"
    assert left(source).splitlines()[2] == "X = f()"


def test_module_without_wiring_is_as_it_was() -> None:
    source = "from e import f\nfrom sarab import unikernel\n@unikernel\nasync def main(): ...\n"
    assert not unwire(ast.parse(source))
    other = "from e import f\nfrom other import unikernel\n@unikernel(providers=[f])\nasync def main(): ...\n"
    assert not unwire(ast.parse(other))


def test_provider_that_is_not_chosen_is_not_in_the_image(
    tmp_path: Path, build_image: Build, run_files: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("near", "far"):
        Path(f"{name}.py").write_text(
            f"from common import Store\nimport {'colorsys' if name == 'far' else 'sched'}\n"
            f"def {name}() -> Store: return Store('{name}')\n"
        )
    Path("common.py").write_text("class Store:\n    def __init__(self, name: str) -> None: self.name = name\n")
    Path("app.py").write_text(
        textwrap.dedent("""
        from common import Store
        from far import far
        from near import near
        from sarab import choose, unikernel
        STORES = choose("place", {"near": near, "far": far})
        @unikernel(devices={"store": STORES})
        async def main(store: Store) -> None: print(store.name)
    """)
    )
    for chosen, other, module in (("near", "far", "colorsys"), ("far", "near", "sched")):
        result = build_image("app.py", keys=(("place", chosen),), types=False)
        paths = image.read(result.image.read_bytes()).files.nodes
        assert f"/app/{chosen}.pyc" in paths and f"/app/{other}.pyc" not in paths
        assert not any(path.endswith(f"/{module}.pyc") for path in paths)
        assert run_files(result.image).stdout == f"{chosen}\n"
