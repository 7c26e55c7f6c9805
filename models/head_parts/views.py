"""Attention of a head in one forward pass, as panels to draw.

A head can be drawn if its folder has a module ``view.py``. The function ``attention_view`` in it
runs the head and returns an ``AttentionView``. The computation is that of the head itself: forward
hooks record the inputs and outputs of its modules.

Shapes: B clips, K joints, h x w entries of a panel's grid, G groups, P points.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn


class MapPanel(NamedTuple):
    """A map over one frame of every clip."""

    title: str
    values: Tensor
    """``(B, h, w)``."""
    frame: int = 0
    """Frame of the map, relative to the key frame."""


class PointsPanel(NamedTuple):
    """Points of the key frame that each entry of the grid reads."""

    title: str
    places: Tensor
    """(x, y) in entries of the grid, ``(B, G, P, 2, h, w)``."""
    weights: Tensor
    """Weight of every point, ``(B, G, P, h, w)``."""


class MatrixPanel(NamedTuple):
    """Attention matrices, side by side."""

    title: str
    values: Tensor
    """Rows that sum to 1, ``(B, heads, n, n)``."""


Panel = MapPanel | PointsPanel | MatrixPanel


class AttentionView(NamedTuple):
    """Heatmaps of a batch and panels of the attention of the head."""

    heatmaps: Tensor
    """``(B, K, H, W)``."""
    panels: list[Panel]


class Call(NamedTuple):
    """The last call of a module."""

    arguments: tuple[Tensor, ...]
    result: Tensor


@contextmanager
def record_calls(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Call]]:
    """Record the last call of each module, by name."""
    calls: dict[str, Call] = {}
    handles = [
        module.register_forward_hook(partial(_record, calls, name))
        for name, module in modules.items()
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _record(
    calls: dict[str, Call],
    name: str,
    _module: nn.Module,
    arguments: tuple[Tensor, ...],
    result: Tensor,
) -> None:
    calls[name] = Call(arguments, result)
