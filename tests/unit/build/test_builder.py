"""Whole builds: what is made, that it is the same again, that it runs alone, and what is said when it cannot be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from sarab.build import image
from sarab.build.errors import BuildError, ModuleMissing, OutputError, SpecError, SyntaxFault
from tests.unit.build.conftest import Build, Run

HELLO = Path(__file__).parents[3] / "examples/hello.py"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
LIBRARY = f"/usr/lib/{PYTHON}"


def write(path: Path, source: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(source))
    return path


def test_hello_runs_alone(build_image: Build, run_files: Run) -> None:
    result = build_image(HELLO)
    done = run_files(result.image, "--name", "sarab")
    assert (done.stdout, done.stderr, done.returncode) == ("Hello, sarab!\n", "", 0)


def test_error_paths_of_hello_run_alone(build_image: Build, run_files: Run) -> None:
    result = build_image(HELLO)
    assert "--name NAME" in run_files(result.image, "--help").stdout
    done = run_files(result.image, "--bad")
    assert done.returncode == 2
    assert "unrecognized arguments: --bad" in done.stderr


def test_hello_is_small(build_image: Build) -> None:
    result = build_image(HELLO)
    assert result.module_count < 60
    assert sum(size for name, size in result.sizes.items() if name != "interpreter") < 1_500_000


def test_layout(build_image: Build) -> None:
    files = image.read(build_image(HELLO).image.read_bytes()).files
    assert f"/usr/bin/{PYTHON}" in files.nodes
    assert files.nodes[f"{LIBRARY}/os.pyc"].is_file
    assert files.nodes[f"{LIBRARY}/lib-dynload"].is_directory
    assert files.nodes["/app/hello.pyc"].is_file
    assert not any(node.path.endswith(".py") for node in files)
    start = files.read("/boot/start").decode().splitlines()
    assert start[0] == f"exec /usr/bin/{PYTHON}"
    assert [line for line in start if line.startswith("arg ")][-3:] == [
        "arg /boot/start.pyc",
        "arg script",
        "arg /app/hello.py",
    ]
    assert "cwd /app" in start


def test_options_reach_the_start_file_and_the_manifest(build_image: Build) -> None:
    result = build_image(
        HELLO,
        tmp="64M",
        environment=(("MODE", "a b"),),
        arguments=("--name", "x y"),
        kernel_options=("marks",),
        seal=True,
    )
    content = image.read(result.image.read_bytes())
    start = content.files.read("/boot/start").decode().splitlines()
    assert {"env MODE=a b", "tmp 64M", "option marks", "option seal", "arg x y"} <= set(start)
    assert content.manifest["options"]["seal"] is True
    objects = content.files.read("/boot/objects").decode().split()
    assert any("_ctypes" in path for path in objects) or "_ctypes" in sys.builtin_module_names
    assert all(content.files.nodes[path].is_file for path in objects)


def test_manifest(build_image: Build) -> None:
    manifest = image.read(build_image(HELLO).image.read_bytes()).manifest
    assert manifest["format"] == 1
    assert manifest["interpreter"]["version"] == sys.version.split()[0]
    assert manifest["application"] == {"name": "hello", "kind": "script", "target": "hello.py"}
    assert manifest["devices"] == []
    assert set(manifest["inputs"]) >= {"application", "standard library", f"/usr/bin/{PYTHON}"}


def test_build_in_another_folder_by_another_process_gives_the_same_bytes(
    build_image: Build, kernel: Path, tmp_path: Path
) -> None:
    package = write(tmp_path / "one/pkg/__init__.py", "VALUE = {'a', 'b', 'c'}\n").parent
    write(package / "__main__.py", "import json\nfrom pkg import VALUE\nprint(json.dumps(sorted(VALUE)))\n")
    write(package / "data.txt", "text")
    shutil.copytree(tmp_path / "one", tmp_path / "other/deep")
    program = (
        "import sys; from pathlib import Path; from sarab.build.builder import build, BuildOptions\n"
        "build('-m pkg', BuildOptions(output=Path(sys.argv[1]), kernel=Path(sys.argv[2]), cache=Path(sys.argv[3])))"
    )
    outputs = []
    for number, folder in enumerate(("one", "other/deep")):
        output = tmp_path / f"{number}.elf"
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "PYTHONPATH": ":".join(p for p in sys.path if p)}
        words = [sys.executable, "-c", program, str(output), str(kernel), str(tmp_path / f"cache{number}")]
        subprocess.run(words, cwd=tmp_path / folder, env=environment, check=True)
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]
    assert str(tmp_path).encode() not in outputs[0]


def test_second_build_of_a_changed_line_takes_what_is_known(build_image: Build, tmp_path: Path) -> None:
    script = write(tmp_path / "a.py", "import argparse, json, logging\nprint(1)\n")
    build_image(script)
    write(script, "import argparse, json, logging\nprint(2)\n")
    assert build_image(script).seconds < 2


def test_damaged_cache_changes_nothing(build_image: Build, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = build_image(HELLO, cache=cache).image.read_bytes()
    for path in (cache / "entries").glob("*/*"):
        path.write_bytes(b"damaged")
    assert build_image(HELLO, cache=cache).image.read_bytes() == first


def test_traceback_is_the_application_s_own(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    script = write(tmp_path / "boom.py", "def f():\n    raise ValueError('boom')\n\nf()\n")
    done = run_files(build_image(script).image)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Traceback (most recent call last):",
        '  File "/app/boom.py", line 4, in <module>',
        '  File "/app/boom.py", line 2, in f',
        "ValueError: boom",
    ]


def test_traceback_with_source_shows_lines(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    script = write(tmp_path / "boom.py", "import helper\nhelper.f()\n")
    write(tmp_path / "helper.py", "def f():\n    raise ValueError('boom')\n")
    done = run_files(build_image(script, with_source=True).image)
    assert "    helper.f()\n" in done.stderr
    assert "    raise ValueError('boom')\n" in done.stderr


@pytest.mark.parametrize(
    ("source", "status"), [("import sys; sys.exit(7)", 7), ("raise SystemExit('no')", 1), ("exit(3)", 3), ("", 0)]
)
def test_exit_status(build_image: Build, run_files: Run, tmp_path: Path, source: str, status: int) -> None:
    assert run_files(build_image(write(tmp_path / "a.py", source)).image).returncode == status


@pytest.mark.parametrize("name", ["tool", "tool.txt"])
@pytest.mark.parametrize("with_source", [False, True])
def test_script_of_another_name_than_py_runs(
    build_image: Build, run_files: Run, tmp_path: Path, name: str, with_source: bool
) -> None:
    script = write(tmp_path / name, "print(__file__)\n")
    done = run_files(build_image(script, with_source=with_source).image)
    assert (done.stdout, done.stderr) == (f"/app/{name}\n", "")


def test_main_module_is_as_python_makes_it(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    script = write(
        tmp_path / "a.py",
        """
        import sys, __main__
        assert __main__.value is value if "value" in globals() else True
        value = 1
        assert __main__.value == 1 and __name__ == "__main__" and __spec__ is None and __file__ == "/app/a.py"
        assert sys.argv == ["/app/a.py", "x"], sys.argv
        assert sys.path[0] == "/app" and all(p.startswith(("/app", "/usr/lib/python")) for p in sys.path)
        print(sys.prefix, sys.executable)
        """,
    )
    done = run_files(build_image(script).image, "x")
    assert (done.stdout.split(), done.stderr) == (["/usr", f"/usr/bin/{PYTHON}"], "")


def test_module_runs_as_with_dash_m(
    build_image: Build, run_files: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "pkg/__init__.py", "")
    write(tmp_path / "pkg/part.py", "value = 5")
    write(
        tmp_path / "pkg/__main__.py",
        "import sys\nfrom .part import value\nprint(__name__, __package__, sys.argv, value)",
    )
    monkeypatch.chdir(tmp_path)
    done = run_files(build_image("-m pkg").image, "y")
    assert done.stdout == "__main__ pkg ['/app/pkg/__main__.py', 'y'] 5\n", done.stderr


@pytest.mark.parametrize(
    ("source", "status", "output"),
    [
        ("def main():\n print('plain')\n return 4", 4, "plain\n"),
        ("async def main():\n import asyncio\n await asyncio.sleep(0)\n print('async')", 0, "async\n"),
        ("class main:\n def __init__(self):\n  print('class')", 0, "class\n"),
        ("def main():\n raise KeyError('k')", 1, ""),
    ],
)
def test_function_runs(
    build_image: Build,
    run_files: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    status: int,
    output: str,
) -> None:
    write(tmp_path / "web/__init__.py", "")
    write(tmp_path / "web/app.py", source)
    monkeypatch.chdir(tmp_path)
    done = run_files(build_image("web.app:main").image)
    assert (done.returncode, done.stdout) == (status, output)
    assert "start.py" not in done.stderr


def test_project_with_data_and_metadata(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    project = tmp_path / "project"
    write(
        project / "pyproject.toml", '[tool.sarab]\nentry = "web:main"\ndata = ["extra/*.txt"]\ninclude = ["colorsys"]\n'
    )
    write(project / "src/web/__init__.py", "from .run import main\n")
    write(
        project / "src/web/run.py",
        """
        import importlib.resources, pathlib
        def main():
            print((importlib.resources.files("web") / "templates/page.html").read_text())
            print(pathlib.Path("/app/extra/a.txt").read_text(), __import__("colorsys").__name__)
        """,
    )
    write(project / "src/web/templates/page.html", "page")
    write(project / "extra/a.txt", "extra")
    done = run_files(build_image(project).image)
    assert done.stdout.split() == ["page", "extra", "colorsys"], done.stderr


def test_a_folder_of_data_may_be_called_as_a_function_that_is_imported(
    build_image: Build, run_files: Run, tmp_path: Path
) -> None:
    write(
        tmp_path / "web/__init__.py",
        """
        import importlib.resources
        def static():
            return importlib.resources.files("web") / "static"
        """,
    )
    write(tmp_path / "web/static/css/site.css", "css")
    write(tmp_path / "web/static/page.html", "page")
    script = write(
        tmp_path / "a.py",
        """
        from web import static
        print((static() / "page.html").read_text(), (static() / "css/site.css").read_text())
        """,
    )
    done = run_files(build_image(script).image)
    assert done.stdout.split() == ["page", "css"], done.stderr


def test_program_finds_its_user(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    script = write(
        tmp_path / "who.py",
        """
        import grp, os, pathlib, pwd
        print(pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name, pathlib.Path("~root").expanduser())
        del os.environ["HOME"]
        print(pathlib.Path.home(), pwd.getpwnam("nobody").pw_uid)
        """,
    )
    done = run_files(build_image(script).image)
    assert done.stdout.split() == ["root", "root", "/tmp", "/tmp", "65534"], done.stderr


def test_image_with_sources_has_those_that_no_import_needs(
    build_image: Build, run_files: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of frozen modules, of what does not compile here, of folders that are no packages, of what starts the program.
    package = tmp_path / "site-packages/plugins"
    write(package / "__init__.py", "HERE = __file__\ntry:\n    import plugins.other\nexcept SyntaxError: pass\n")
    write(package / "other.py", "print 'for another Python'\n")
    write(package / "unused.py", "")
    write(package / "late/step.py", "print('late')\n")
    write(package / "late/whole/__init__.py", "")
    script = write(
        tmp_path / "a.py",
        """
        import abc, inspect, pathlib, plugins, runpy
        print("class ABC" in inspect.getsource(abc))
        try:
            import plugins.other
        except SyntaxError as error:
            print(error.lineno)
        folder = pathlib.Path(plugins.__file__).parent
        runpy.run_path(folder / "late/step.py")
        print(*sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py")))
        """,
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site-packages")])
    result = build_image(script, with_source=True)
    done = run_files(result.image)
    assert done.stdout.splitlines() == [
        "True",
        "1",
        "late",
        "__init__.py late/step.py late/whole/__init__.py other.py",
    ], done.stderr
    assert image.read(result.image.read_bytes()).files.nodes["/boot/start.py"].is_file


def test_style_sheet_of_xmlrpc_s_documentation_is_in(build_image: Build, run_files: Run, tmp_path: Path) -> None:
    script = write(
        tmp_path / "a.py",
        """
        import os, xmlrpc.server
        print(os.path.getsize(os.path.dirname(xmlrpc.server.__file__) + "/../pydoc_data/_pydoc.css") > 0)
        """,
    )
    assert run_files(build_image(script).image).stdout == "True\n"


def test_application_with_a_missing_module(build_image: Build, tmp_path: Path) -> None:
    script = write(tmp_path / "a.py", "import helper\n")
    write(tmp_path / "helper.py", "\nimport no_such_module\n")
    with pytest.raises(ModuleMissing, match=r"helper\.py \(line 2\).*the program \(line 1\)"):
        build_image(script)


@pytest.mark.parametrize(("name", "line"), [("a.py", 2), ("helper.py", 1)])
def test_application_with_a_syntax_error(build_image: Build, tmp_path: Path, name: str, line: int) -> None:
    script = write(tmp_path / "a.py", "import helper\n")
    write(tmp_path / "helper.py", "")
    with (tmp_path / name).open("a") as file:
        file.write("def (:\n")
    with pytest.raises(SyntaxFault, match=rf"{name}:{line}: "):
        build_image(script)


def test_output_that_cannot_be_written(build_image: Build, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        build_image(HELLO, output=tmp_path / "none/out.elf")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"include": ("no_such",)}, "include names the module no_such"),
        ({"kernel": Path("/nonexistent")}, "kernel /nonexistent cannot be read"),
        ({"arguments": ("a\nb",)}, "line break"),
    ],
)
def test_options_that_cannot_be(build_image: Build, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(BuildError, match=sentence):
        build_image(HELLO, **options)


@pytest.mark.parametrize("spec", ["no_such.module:main", "json:no_such_function", "-m no_such", "-m xml"])
def test_entry_that_is_not_there(
    build_image: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError):
        build_image(spec)


def test_output_is_whole_or_not_there(build_image: Build, tmp_path: Path) -> None:
    output = tmp_path / "out.elf"
    build_image(HELLO, output=output)
    before = output.read_bytes()
    with pytest.raises(SyntaxFault):
        build_image(write(tmp_path / "bad.py", "("), output=output)
    assert output.read_bytes() == before


def test_modules_of_pythonpath_are_packed(kernel: Path, tmp_path: Path, run_files: Run) -> None:
    write(tmp_path / "elsewhere/via_path.py", "print('found')")
    write(tmp_path / "mine/a.py", "import via_path")
    environment = {**os.environ, "PYTHONPATH": ":".join([str(tmp_path / "elsewhere"), *(p for p in sys.path if p)])}
    output = tmp_path / "a.elf"
    words = [sys.executable, "-m", "sarab", "build", str(tmp_path / "mine/a.py"), "-q", "-o", str(output)]
    subprocess.run([*words, "--kernel", str(kernel)], cwd=tmp_path, env=environment, check=True)
    assert run_files(output).stdout == "found\n"
