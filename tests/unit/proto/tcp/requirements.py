"""The requirements of RFC 9293 and what shows them (requirements.toml), and the page docs/tcp.md that says it all.

python -m tests.unit.proto.tcp.requirements      writes the page anew
"""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sarab.testing.packetdrill import play
from sarab.testing.script import Script, read

ROOT = Path(__file__).parents[4]
SCRIPTS = ROOT / "tests" / "packetdrill"
PAGE = ROOT / "docs" / "tcp.md"
KINDS = {"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1}
"""How many of each RFC 9293 has; the last number of each."""
BEGIN, END = "<!-- requirements: begin -->", "<!-- requirements: end -->"


class Requirement(NamedTuple):
    """One of appendix B."""

    name: str
    what: str
    by: tuple[str, ...]
    why: str
    met: bool


def load() -> list[Requirement]:
    """Return them in the order of the file."""
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        tables = tomllib.load(file)
    return [
        Requirement(name, table["what"], tuple(table.get("by", ())), table.get("why", ""), table.get("met", True))
        for name, table in tables.items()
    ]


@cache
def functions(path: str) -> frozenset[str]:
    """Return the names of the tests in a file of Python."""
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def exists(test: str) -> bool:
    """Say whether a test is there, and is one that passes."""
    path, colons, name = test.partition("::")
    if colons:
        return (ROOT / path).exists() and name in functions(path)
    script = SCRIPTS / f"{test}.pkt"
    return script.exists() and not script_of(script).expected_failure


def script_of(path: Path) -> Script:
    """Return a script."""
    return read(str(path.relative_to(ROOT)), path.read_text())


def title(path: Path) -> str:
    """Return what a script says of itself: its first comment."""
    words = []
    for line in path.read_text().splitlines():
        if not line.startswith("// "):
            break
        if not line.startswith("// xfail:"):
            words.append(line[3:])
    return " ".join(words)


def table() -> str:
    """Return the generated part of the page."""
    scripts = sorted(SCRIPTS.rglob("*.pkt"), key=lambda path: (path.parent.name, path.stem))
    failing = [path for path in scripts if script_of(path).expected_failure]
    requirements = load()
    open_ones = [requirement for requirement in requirements if not requirement.met]
    lines = [
        f"{len(requirements)} requirements, {len(requirements) - len(open_ones)} met; "
        f"{len(scripts)} scripts, {len(scripts) - len(failing)} pass.",
        "",
        "### What is not met",
        "",
    ]
    lines += [f"* **{requirement.name}** {requirement.what} {requirement.why}" for requirement in open_ones]
    lines += ["", "### Scripts that fail, and must until it is mended", ""]
    for path in failing:
        lines.append(f"* `{path.parent.name}/{path.stem}` {title(path)} *{script_of(path).expected_failure}*")
    lines += ["", "### Requirements", "", "| RFC 9293 | what it asks | met | shown by |", "| --- | --- | --- | --- |"]
    for requirement in requirements:
        shown = ", ".join(f"`{test.rpartition('::')[2]}`" for test in requirement.by) or requirement.why
        lines.append(f"| {requirement.name} | {requirement.what} | {'yes' if requirement.met else 'no'} | {shown} |")
    lines += ["", "### Scripts", "", "| script | what it tells |", "| --- | --- |"]
    lines += [f"| `{path.parent.name}/{path.stem}` | {title(path)} |" for path in scripts if path not in failing]
    return "\n".join(lines)


def page(current: str) -> str:
    """Return the page with its generated part renewed."""
    head, _, rest = current.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the page."""
    for path in SCRIPTS.rglob("*.pkt"):
        script = script_of(path)
        if not script.expected_failure:
            play(script)
    PAGE.write_text(page(PAGE.read_text()))


if __name__ == "__main__":
    main()
