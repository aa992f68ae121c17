"""A plan told as text, for graphviz, as JSON and as a picture."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sarab.build import describe, picture
from sarab.build.errors import WiringError
from sarab.build.plan import Plan, load

SVG = "{http://www.w3.org/2000/svg}"


def key(name: str, **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "name": name, "type": "int", "doc": "", "default": None, "baked": None, "configured": None, "required": False,
        "stage": "any", "secret": False, "choices": [], "flag": False, "many": False, "owner": "",
        "environment": f"SARAB_KEY_{name.upper()}", "file": "app.py", "line": 9,
    }  # fmt: skip
    return {**plain, **more}


def device(identity: str, *, shipped: bool = True, **needs: str) -> dict[str, Any]:
    name, _, kind = identity.partition(":")
    return {
        "id": identity, "name": name, "type": kind, "shipped": shipped, "file": "app.py", "line": 3, "called": name,
        "provider": f"sarab.wiring.providers.all:{kind.lower()}" if shipped else f"app:my_{kind.lower()}",
        "needs": needs,
    }  # fmt: skip


def plan(**more: Any) -> Plan:
    """Pages on a disk, over the network: a device of the application's own, and one that two others need."""
    values: dict[str, Any] = {
        "format": 1,
        "target": "machine",
        "entry": {"module": "app", "name": "main", "title": "pages", "file": "app.py", "line": 12,
                  "doc": "Serve pages\nfrom a disk.\n\nMore."},
        "devices": [
            device("data:Block"), device("clock:Clock"), device("stack:Stack"),
            device("pages:KeyValue", shipped=False, disk="data:Block", clock="clock:Clock"),
        ],
        "parameters": {"stack": "stack:Stack", "pages": "pages:KeyValue", "clock": "clock:Clock"},
        "keys": [
            key("port", default="80", doc="TCP port"),
            key("name", type="text", required=True, doc="who it is"),
            key("token", type="secret", secret=True, default="x", baked="hunter2", doc="a password"),
            key("fast", type="bool", flag=True, default="no"),
            key("pages-size", type="size", configured="1MiB", default="2MiB", owner="pages:KeyValue"),
        ],
        "machine": [{"kind": "network", "name": "eth0"}, {"kind": "block", "name": "data"}],
        "source": "",
        "lines": {},
        **more,
    }  # fmt: skip
    return load(json.dumps(values))


def test_text_says_all_of_it() -> None:
    assert (
        "\n".join(describe.text(plan(), "app.py"))
        == """\
pages (app.py:12), on the target machine
    Serve pages from a disk.

devices
    stack: Stack      sarab                    on the card eth0
    pages: KeyValue   my_keyvalue (app.py:3)
      disk: Block     sarab                    on the disk data
      clock: Clock    sarab
    clock: Clock      sarab

keys
    --port INT          80         TCP port
    --name TEXT         required   who it is
    --token SECRET      (secret)   a password (baked in)
    --[no-]fast         no
    --pages-size SIZE   1MiB       ([tool.sarab.keys])

machine
    network eth0   --tap NAME, or behind this host's network
    block data     --block data=FILE

run it
    sarab run --block data=FILE app.py -- --name TEXT"""
    )


def test_command_line_says_what_is_needed() -> None:
    cards = [{"kind": "network", "name": "eth0"}, {"kind": "network", "name": "eth1"}]
    assert describe.command(plan(machine=cards, keys=[]), "x.elf") == "sarab run --tap NAME --tap NAME x.elf"
    assert describe.command(plan(machine=[], keys=[], target="process"), "app.py") == "sarab run --on process app.py"


def test_secret_is_in_no_description() -> None:
    made = plan()
    manifest = json.dumps(made.manifest(Path("/x")))
    for told in ("\n".join(describe.text(made, "app.py")), describe.dot(made), picture.svg(made), manifest):
        assert "hunter2" not in told and '"x"' not in told


def test_json_reads_as_a_plan_again() -> None:
    made = plan(keys=[])
    assert load(describe.as_json(made)) == made
    assert describe.as_json(None) == "null"


def test_manifest_reads_as_a_plan_and_has_no_path_of_this_machine() -> None:
    here = Path("/home/me/project")
    entry = {"module": "a.app", "name": "main", "title": "x", "file": str(here / "a/app.py"), "line": 1}
    made = plan(entry=entry, devices=[{**device("log:Log"), "file": "/usr/lib/sarab/log.py"}])
    manifest = made.manifest(here)
    assert "/home" not in json.dumps(manifest) and "/usr" not in json.dumps(manifest)
    read = load(manifest)
    assert (read.entry.file, read.devices[0].file, read.keys[0]) == ("a/app.py", "log.py", made.keys[0])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "devices": [1]}', "null"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(WiringError, match="not one that this sarab understands"):
        load(text)


def test_dot_has_every_device_and_need() -> None:
    made = describe.dot(plan())
    for line in (
        '"pages:KeyValue" -> "data:Block" [label="disk"];',
        '"" -> "clock:Clock" [label="clock"];',
        '"stack:Stack" -> "machine network eth0" [label=""];',
        '"data:Block" -> "machine block data" [label=""];',
        '"data:Block" [label="data: Block\\nsarab"];',
    ):
        assert f"    {line}\n" in made


def test_dot_quotes_what_graphviz_would_read() -> None:
    entry = {"module": "a", "name": "main", "title": 'a "b" \\ c', "file": "a.py", "line": 1}
    assert made_lines(describe.dot(plan(entry=entry)))[0] == 'digraph "a \\"b\\" \\\\ c" {'


def made_lines(text: str) -> list[str]:
    assert text.endswith("}\n")
    return text.splitlines()


@pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed (apt-get install graphviz)")
def test_graphviz_reads_it() -> None:
    entry = {"module": "a", "name": "main", "title": 'a "b" \\ c', "file": "a.py", "line": 1}
    for made in (plan(), plan(entry=entry)):
        done = subprocess.run(["dot", "-Tplain"], input=describe.dot(made), capture_output=True, text=True, check=True)
        assert done.stdout.count("\nnode ") == 7 and done.stderr == ""


def large(width: int, depth: int) -> Plan:
    """Layers of devices, each of which needs two of the next and one far below."""
    devices = []
    for layer in reversed(range(depth)):
        for column in range(width):
            needs = {}
            if layer + 1 < depth:
                needs = {"a": f"d{layer + 1}x{column}:Log", "b": f"d{layer + 1}x{(column + 1) % width}:Log"}
                needs["far"] = f"d{depth - 1}x{column}:Log"
            devices.append(device(f"d{layer}x{column}:Log", shipped=column % 2 == 0, **needs))
    parameters = {f"p{column}": f"d0x{column}:Log" for column in range(width)}
    return plan(devices=devices, parameters=parameters, keys=[], machine=[])


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    root = ElementTree.fromstring(svg)
    found = []
    for box in root.iter(f"{SVG}rect"):
        x, y, width, height = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return found


@pytest.mark.parametrize("made", [plan(), large(3, 4), large(1, 6), large(6, 2)], ids=["pages", "wide", "deep", "flat"])
def test_boxes_of_the_picture_do_not_overlap_and_are_inside(made: Plan) -> None:
    svg = picture.svg(made)
    root = ElementTree.fromstring(svg)
    found = boxes(svg)
    assert len(found) == 1 + len(made.devices) + len(made.machine)
    for one, other in combinations(found, 2):
        apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
        assert apart, (one, other)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(x > 0 and y > 0 and right < width and bottom < height for x, y, right, bottom in found)


@pytest.mark.parametrize("made", [plan(), large(3, 4), large(2, 6)], ids=["pages", "wide", "deep"])
def test_edges_of_the_picture_pass_through_no_box(made: Plan) -> None:
    svg = picture.svg(made)
    found = boxes(svg)
    edges = re.findall(r'<path d="(M[^"]+)" fill="none"', svg)
    assert len(edges) == len({need[:2] for need in describe.edges(made)})
    for edge in edges:
        for x, y in _points(edge):
            inside = [b for b in found if b[0] + 1 < x < b[2] - 1 and b[1] + 1 < y < b[3] - 1]
            assert not inside, (edge, inside)


def _points(path: str) -> list[tuple[float, float]]:
    """Points on a path of lines and curves, a few on each piece."""
    points: list[tuple[float, float]] = []
    here = (0.0, 0.0)
    for kind, body in re.findall(r"([MLC])([-\d ]+)", path):
        numbers = [float(number) for number in body.split()]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if kind == "C":
            for step in range(1, 20):
                t = step / 20
                a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
                controls = (here, *pairs)
                points.append(
                    (
                        sum(w * p[0] for w, p in zip((a, b, c, d), controls, strict=True)),
                        sum(w * p[1] for w, p in zip((a, b, c, d), controls, strict=True)),
                    )
                )
        elif kind == "L":
            points += [
                (here[0] + (pairs[0][0] - here[0]) * s / 20, here[1] + (pairs[0][1] - here[1]) * s / 20)
                for s in range(1, 20)
            ]
        here = pairs[-1]
    return points


def test_picture_can_be_read_on_a_light_and_on_a_dark_page() -> None:
    def brightness(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return sum(
            weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
            for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True)
        )

    def contrast(one: str, other: str) -> float:
        light, dark = sorted((brightness(one), brightness(other)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    assert all(contrast(picture.INK, fill) > 7 for fill in picture.FILLS.values())
    assert all(contrast(picture.GREY, page) > 3 for page in ("#ffffff", "#0d1117", "#000000"))


def test_picture_is_the_same_every_time_and_holds_no_markup_of_names() -> None:
    entry = {"module": "a", "name": "main", "title": "<b>&\x1b", "file": "a.py", "line": 1}
    made = plan(entry=entry)
    assert picture.svg(made) == picture.svg(made)
    texts = [item.text for item in ElementTree.fromstring(picture.svg(made)).iter(f"{SVG}text")]
    assert texts[0] != "" and "<b>& " in texts
