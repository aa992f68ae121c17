"""`sarab inspect`: what is inside an image."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sarab.errors import SarabError

if TYPE_CHECKING:
    from sarab.build.image import Image

NAME = "inspect"
HELP = "say what is inside an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE")
    parser.add_argument("--files", action="store_true", help="list every file with its size")
    parser.add_argument("--inputs", action="store_true", help="list what the image was built from, with SHA-256")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what the image holds; raises Malformed (a SarabError) if the file is no image."""
    from sarab.build import image

    try:
        data = arguments.image.read_bytes()
    except OSError as error:
        raise SarabError(f"{arguments.image} cannot be read: {error.strerror}.") from error
    content = image.read(data)
    if arguments.json:
        print(json.dumps(_as_json(content, len(data)), indent=2, sort_keys=True))
        return 0
    for line in _summary(content, len(data)):
        print(line)
    if arguments.inputs:
        for name, digest in sorted(_mapping(content.manifest, "inputs").items()):
            print(_printable(f"{digest}  {name}"))
    if arguments.files:
        for node in content.files:
            if node.is_file:
                print(f"{node.size:>12}  {_printable(node.path)}")
            elif node.is_link:
                target = content.files.data(node).decode("utf-8", "replace")
                print(_printable(f"{'link':>12}  {node.path} -> {target}"))
    return 0


def _summary(content: Image, size: int) -> list[str]:
    """The manifest is the image's own claim: nothing in it is trusted to have the right type."""
    manifest = content.manifest
    kernel, interpreter = _mapping(manifest, "kernel"), _mapping(manifest, "interpreter")
    application, options = _mapping(manifest, "application"), _mapping(manifest, "options")
    named = [name for name, value in sorted(options.items()) if value not in (None, False, [], "")]
    packages = manifest.get("distributions")
    listed = packages if isinstance(packages, list) else []
    names = [f"{d.get('name')} {d.get('version')}" for d in listed if isinstance(d, dict)]
    rows = [
        ("application", f"{application.get('name')} ({application.get('kind')} {application.get('target')})"),
        ("built by", f"sarab {manifest.get('sarab')}"),
        ("kernel", f"{kernel.get('version')}, SHA-256 {str(kernel.get('sha256'))[:16]}"),
        ("interpreter", f"{interpreter.get('implementation')} {interpreter.get('version')}, {manifest.get('libc')}"),
        ("packages", ", ".join(names) or "none but the standard library"),
        ("modules", str(manifest.get("modules"))),
        ("files", f"{sum(node.is_file for node in content.files)}, {sum(node.size for node in content.files)} bytes"),
        ("size", f"{size} bytes{', compressed' if content.is_compressed else ''}"),
        ("devices", ", ".join(_devices(manifest)) or "none needed"),
        ("options", ", ".join(f"{name}={options[name]}" for name in named) or "none"),
    ]
    if isinstance(manifest.get("wiring"), dict):
        rows[-1:-1] = [
            ("keys", ", ".join(_keys(manifest)) or "none"),
            ("target", str(manifest["wiring"].get("target"))),
        ]
    return [f"{name:<12} {_printable(value)}" for name, value in rows]


def _devices(manifest: dict[str, Any]) -> list[str]:
    """What the machine must offer: `block data`."""
    devices = manifest.get("devices")
    listed = devices if isinstance(devices, list) else []
    return [f"{d.get('kind')} {d.get('name')}" for d in listed if isinstance(d, dict)]


def _keys(manifest: dict[str, Any]) -> list[str]:
    """Keys as a command line says them; of a secret no value is in the manifest."""
    wiring = _mapping(manifest, "wiring")
    listed = wiring.get("keys")
    found = []
    for key in listed if isinstance(listed, list) else []:
        if isinstance(key, dict):
            baked = key.get("baked")
            found.append(f"--{key.get('name')}" + ("" if baked is None else f" {baked} (baked in)"))
    return found


def _as_json(content: Image, size: int) -> dict[str, Any]:
    files = [
        {"path": node.path, "size": node.size, "mode": oct(node.mode), "in_place": bool(node.flags)}
        for node in content.files
        if not node.is_directory
    ]
    return {
        "manifest": content.manifest,
        "size": size,
        "compressed": content.is_compressed,
        "file_system": {"address": content.file_system_address, "size": content.file_system_size},
        "files": files,
    }


def _mapping(manifest: dict[str, Any], key: str) -> dict[str, Any]:
    value = manifest.get(key)
    return value if isinstance(value, dict) else {}


def _printable(text: str) -> str:
    """No image can send control sequences to the terminal of whoever looks into it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
