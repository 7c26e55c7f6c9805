"""The DAG as an SVG picture: one box per stage of dvc.yaml, from left to right."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import mean

Graph = dict[str, set[str]]
"""Stages that each stage reads from, by name."""

HEIGHT, ROW, GAP, MARGIN = 32, 46, 34, 14
"""Height of a box, distance of rows, space between columns and around the picture, in pixels."""
PADDING, CHARACTER = 18, 7.2
"""Width of a box in pixels: the padding, and for every character of its name."""


@dataclass(frozen=True, slots=True)
class Box:
    """Place of a stage in the picture, in pixels."""

    x: float
    y: float
    width: float

    @property
    def right(self) -> float:
        """X of the right side."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """Y of the middle."""
        return self.y + HEIGHT / 2


def read_graph(project: Path) -> Graph:
    """Return the stages of dvc.yaml without their matrix items, in the order of ``dvc dag``.

    Raises:
        OSError: If ``dvc dag`` fails.
    """
    command = [sys.executable, "-m", "dvc", "dag", "--dot"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)  # noqa: S603  constant words
    if done.returncode:
        raise OSError(f"dvc dag --dot failed: {done.stderr.strip()}")
    return parse_dot(done.stdout)


def parse_dot(text: str) -> Graph:
    """Return the graph that ``dvc dag --dot`` prints, with ``crop@vit-val`` joined to ``crop``.

    Args:
        text: Lines ``"name";`` and ``"from" -> "to";``.
    """
    graph: Graph = {}
    for line in text.splitlines():
        names = [name.partition("@")[0] for name in re.findall(r'"([^"]+)"', line)]
        for name in names:
            graph.setdefault(name, set())
        if len(names) == 2 and names[0] != names[1]:
            graph[names[1]].add(names[0])
    return graph


def reduce_edges(graph: Graph) -> Graph:
    """Return the graph without the edges that a longer path implies (transitive reduction)."""
    ancestors: Graph = {}

    def above(name: str) -> set[str]:
        if name not in ancestors:
            ancestors[name] = set().union(*({source} | above(source) for source in graph[name]))
        return ancestors[name]

    return {
        name: {
            source
            for source in sources
            if not any(source in above(other) for other in sources - {source})
        }
        for name, sources in graph.items()
    }


def place_boxes(graph: Graph) -> dict[str, tuple[int, float]]:
    """Return column and row of every stage.

    A stage is in the column before its first reader, or after its last source if nothing reads it.
    Stages of one column that read from the same stages are neighbors. A column is centered on its
    readers.

    Args:
        graph: A graph without implied edges.
    """
    readers = {name: [other for other in graph if name in graph[other]] for name in graph}

    def depth(name: str) -> int:
        return 1 + max((depth(source) for source in graph[name]), default=-1)

    def column_of(name: str) -> int:
        return min((column_of(reader) - 1 for reader in readers[name]), default=depth(name))

    columns: dict[int, list[str]] = {}
    for name in sorted(graph, key=lambda name: sorted(graph[name])):
        columns.setdefault(column_of(name), []).append(name)
    places: dict[str, tuple[int, float]] = {}
    for column in sorted(columns, reverse=True):
        names = columns[column]
        centers = [places[reader][1] for name in names for reader in readers[name]] or [0.0]
        if len(names) > 1:
            # Several boxes keep their distance; together they are centered on their readers.
            top = mean(centers) - (len(names) - 1) / 2
            places |= {name: (column, top + row) for row, name in enumerate(names)}
        else:
            places[names[0]] = (column, mean(centers))
    return places


def draw_dag(graph: Graph) -> str:
    """Return the picture of a graph as SVG."""
    reduced = reduce_edges(graph)
    boxes = _boxes(place_boxes(reduced))
    width = max(box.right for box in boxes.values()) + MARGIN
    height = max(box.y for box in boxes.values()) + HEIGHT + MARGIN
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="sans-serif" font-size="13">'
    )
    lines = [
        head,
        '<rect width="100%" height="100%" rx="8" fill="#ffffff"/>',
        *(
            _arrow(boxes[source], boxes[name])
            for name, sources in reduced.items()
            for source in sorted(sources)
        ),
        *(_draw_box(name, box) for name, box in boxes.items()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _boxes(places: Mapping[str, tuple[int, float]]) -> dict[str, Box]:
    """Return the boxes in pixels; a column is as wide as its longest name."""
    columns = range(1 + max(column for column, _ in places.values()))
    widths = [
        PADDING + CHARACTER * max(len(name) for name, (at, _) in places.items() if at == column)
        for column in columns
    ]
    lefts = [MARGIN + sum(widths[:column]) + GAP * column for column in columns]
    top = min(row for _, row in places.values())
    return {
        name: Box(lefts[column], MARGIN + (row - top) * ROW, widths[column])
        for name, (column, row) in places.items()
    }


def _arrow(source: Box, target: Box) -> str:
    begin, end = source.right, target.x - 5
    bend = end - GAP / 2
    return (
        f'<path d="M{begin:g},{source.middle:g} C{bend:g},{source.middle:g} '
        f'{bend:g},{target.middle:g} {end:g},{target.middle:g}" fill="none" stroke="#64748b" '
        f'stroke-width="1.5"/><path d="M{end:g},{target.middle - 4:g} l5,4 l-5,4 z" '
        'fill="#64748b"/>'
    )


def _draw_box(name: str, box: Box) -> str:
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{HEIGHT}" rx="6" '
        f'fill="#e0f2fe" stroke="#0369a1"/><text x="{box.x + box.width / 2:g}" '
        f'y="{box.middle + 4.5:g}" text-anchor="middle" fill="#0c4a6e">{escape(name)}</text>'
    )
