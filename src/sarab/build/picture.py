"""A plan as a picture (SVG): layers from the application on the left to the machine on the right.

The layout is the usual one in small: the longest way from the application gives the layer, long edges get a place in
each layer that they pass, sweeps put every node at the mean of its neighbours. Colours are readable on a light page and
on a dark one: what has a ground of its own has dark text, everything else is a middle grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import escape

from sarab.build import describe
from sarab.build.plan import Plan, PlannedKey

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"
SIZE, SMALL = 13, 11
"""Of letters, in pixels; a letter of these fonts is 0.6 of it wide."""
LETTER = 0.6
PADDING, LINE, GAP_X, GAP_Y, MARGIN = 12, 17, 90, 22, 16
SWEEPS = 9
"""Each moves nodes towards their neighbours; small graphs are at rest after three or four. The last goes forwards, as
one reads."""
KEYS_SHOWN_MAX = 6
LABEL_LENGTH_MAX = 48
FILLS = {"application": "#bfdbfe", "own": "#bbf7d0", "sarab": "#e2e8f0", "machine": "#fde68a"}
INK, GREY = "#111827", "#8b949e"


@dataclass(eq=False)
class _Node:
    kind: str
    """One of FILLS, or empty for a place that an edge passes."""
    lines: list[str] = field(default_factory=list)
    layer: int = 0
    before: list[_Node] = field(default_factory=list)
    after: list[_Node] = field(default_factory=list)
    x: float = 0
    y: float = 0
    """Of the upper left corner."""
    span: float = 0
    """How wide its layer is: an edge goes straight through."""

    @property
    def width(self) -> float:
        return 2 * PADDING + max((_width(text, index) for index, text in enumerate(self.lines)), default=0)

    @property
    def height(self) -> float:
        """Room for its text, and for an end of every edge."""
        ports = max(len(self.before), len(self.after))
        return max(2 * PADDING + LINE * len(self.lines) - 6, 16 * ports + 8) if self.kind else LINE

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def svg(plan: Plan) -> str:
    """The picture of a plan."""
    nodes = _nodes(plan)
    needs: dict[tuple[str, str], list[str]] = {}
    for start, end, label in describe.edges(plan):
        if end in nodes:
            needs.setdefault((start, end), []).append(label)
    edges = [(nodes[start], nodes[end], ", ".join(labels)) for (start, end), labels in needs.items()]
    _layer(list(nodes.values()), edges)
    ways, layers = _ways(list(nodes.values()), edges)
    _place(layers, ways)
    width = max(node.x + node.width for layer in layers for node in layer) + MARGIN
    height = max(node.y + node.height for layer in layers for node in layer) + MARGIN
    body = [line for way, label in ways for line in _edge(way, label)]
    body += [line for node in nodes.values() for line in _box(node)]
    name = escape(_fitting(f"{plan.entry.title} on the target {plan.target}"))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" font-family="{FONT}">',
            f"<title>{name}</title>",
            *body,
            "</svg>\n",
        ]
    )


def _nodes(plan: Plan) -> dict[str, _Node]:
    head = describe.title(plan).splitlines()
    nodes = {"": _Node("application", [*head, *_key_lines(plan, {"", plan.entry.name})])}
    for device in plan.devices:
        kind = "sarab" if device.shipped else "own"
        lines = [plan.label(device), device.short_maker, *_key_lines(plan, {device.id})]
        nodes[device.id] = _Node(kind, lines)
    for kind, name in plan.machine:
        nodes[f"machine {kind} {name}"] = _Node("machine", [name, "network card" if kind == "network" else "disk"])
    for node in nodes.values():
        node.lines = [_fitting(line) for line in node.lines]
    return nodes


def _fitting(line: str) -> str:
    """No longer than a box should be, and nothing that XML cannot have."""
    line = "".join(c if c.isprintable() else " " for c in line)
    return line if len(line) <= LABEL_LENGTH_MAX else line[: LABEL_LENGTH_MAX - 1] + "…"


def _key_lines(plan: Plan, owners: set[str]) -> list[str]:
    keys = [key for key in plan.keys if key.owner in owners]
    lines = [_key_line(key) for key in keys[:KEYS_SHOWN_MAX]]
    return [*lines, *([f"and {len(keys) - KEYS_SHOWN_MAX} more keys"] if len(keys) > KEYS_SHOWN_MAX else [])]


def _key_line(key: PlannedKey) -> str:
    if key.flag:
        return f"--{'' if key.value == 'yes' else 'no-'}{key.name}"
    return f"--{key.name} {key.value if key.value is not None else key.type.upper()}".rstrip()


def _layer(nodes: list[_Node], edges: Sequence[tuple[_Node, _Node, str]]) -> None:
    """The longest way from the application; the machine is in the last layer, whoever needs it."""
    for _ in nodes:
        changed = False
        for start, end, _label in edges:
            if end.layer <= start.layer:
                end.layer, changed = start.layer + 1, True
        if not changed:
            break
    last = max(node.layer for node in nodes)
    for node in nodes:
        if node.kind == "machine":
            node.layer = last


def _ways(
    nodes: list[_Node], edges: Sequence[tuple[_Node, _Node, str]]
) -> tuple[list[tuple[list[_Node], str]], list[list[_Node]]]:
    """Every edge as the nodes and places that it passes, and the layers with these places in them."""
    layers: list[list[_Node]] = [[] for _ in range(max(node.layer for node in nodes) + 1)]
    for node in nodes:
        layers[node.layer].append(node)
    ways: list[tuple[list[_Node], str]] = []
    for start, end, label in edges:
        way = [start]
        for number in range(start.layer + 1, end.layer):
            place = _Node("", layer=number)
            layers[number].append(place)
            way.append(place)
        way.append(end)
        for left, right in pairwise(way):
            left.after.append(right)
            right.before.append(left)
        ways.append((way, label))
    return ways, layers


def _place(layers: list[list[_Node]], ways: Sequence[tuple[list[_Node], str]]) -> None:
    x = float(MARGIN)
    for number, layer in enumerate(layers):
        span = max(node.width if node.kind else 0 for node in layer)
        for node in layer:
            node.x, node.span = x, span
        labels = [_label(way, label) for way, label in ways if way[0].layer == number]
        x += span + max(GAP_X, *(_width(label, 1) + 24 for label in ["", *labels]))
        _stack(layer, [float(index) for index in range(len(layer))])
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        for layer in layers[1:] if forwards else layers[-2::-1]:
            wanted = []
            for node in layer:
                near = (node.before if forwards else node.after) or node.before or node.after
                wanted.append(sum(other.middle for other in near) / len(near) if near else node.middle)
            order = sorted(range(len(layer)), key=lambda index: (wanted[index], index))
            layer[:] = [layer[index] for index in order]
            _stack(layer, [wanted[index] for index in order])
    top = min(node.y for layer in layers for node in layer)
    for layer in layers:
        for node in layer:
            node.y += MARGIN - top


def _stack(layer: list[_Node], wanted: Sequence[float]) -> None:
    """Put the nodes where they want their middles to be, in this order and with a gap between them."""
    bottom = float("-inf")
    for node, middle in zip(layer, wanted, strict=True):
        node.y = max(middle - node.height / 2, bottom + GAP_Y)
        bottom = node.y + node.height
    # What pushed the others down moves up by half of it.
    excess = sum(node.middle - middle for node, middle in zip(layer, wanted, strict=True)) / len(layer)
    for node in layer:
        node.y -= excess


def _edge(way: list[_Node], label: str) -> Iterable[str]:
    points: list[tuple[float, float]] = []
    for index, node in enumerate(way):
        if index > 0:
            points.append((node.x, _port(node, node.before, way[index - 1])))
        if index < len(way) - 1:
            out = node.x + (node.width if node.kind else node.span)
            points.append((out, _port(node, node.after, way[index + 1])))
    path = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
    for (x, y), (to_x, to_y) in pairwise(points):
        if y == to_y:
            path += f" L{to_x:.0f} {to_y:.0f}"
            continue
        half = (to_x - x) / 2
        path += f" C{x + half:.0f} {y:.0f} {to_x - half:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    yield f'<path d="{path}" fill="none" stroke="{GREY}" stroke-width="1.5"/>'
    x, y = points[-1]
    yield f'<path d="M{x - 7:.0f} {y - 4:.0f} L{x:.0f} {y:.0f} L{x - 7:.0f} {y + 4:.0f} Z" fill="{GREY}"/>'
    label = _label(way, label)
    if label:
        x, y = points[0]
        yield f'<text x="{x + 6:.0f}" y="{y - 4:.0f}" font-size="{SMALL}" fill="{GREY}">{escape(label)}</text>'


def _label(way: Sequence[_Node], label: str) -> str:
    """What is written at an edge: nothing, if the node that it leads to says the same."""
    head = way[-1].lines[0]
    return "" if label in (head.partition(":")[0], head.lower()) else label


def _port(node: _Node, side: list[_Node], other: _Node) -> float:
    """Where an edge meets a node: ends are spread in the order of what they lead to."""
    order = sorted(side, key=lambda neighbour: neighbour.middle)
    place = next(index for index, neighbour in enumerate(order) if neighbour is other)
    return node.y + node.height * (place + 1) / (len(side) + 1)


def _box(node: _Node) -> Iterable[str]:
    yield (
        f'<rect x="{node.x:.0f}" y="{node.y:.0f}" width="{node.width:.0f}" height="{node.height:.0f}" rx="6" '
        f'fill="{FILLS[node.kind]}" stroke="{GREY}"/>'
    )
    text_height = LINE * len(node.lines) - 6
    y = node.y + (node.height - text_height) / 2 + SIZE - 2
    for index, line in enumerate(node.lines):
        style = f'font-size="{SIZE}" font-weight="bold"' if index == 0 else f'font-size="{SMALL}"'
        yield f'<text x="{node.x + PADDING:.0f}" y="{y:.0f}" {style} fill="{INK}">{escape(line)}</text>'
        y += LINE


def _width(text: str, index: int) -> float:
    return len(text) * LETTER * (SIZE if index == 0 else SMALL)
