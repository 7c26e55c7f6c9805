"""What a head looks at in one forward pass, as panels that can be drawn.

A head with a module ``view.py`` in its folder can be shown: the function ``attention_view`` there
runs the head and returns an ``AttentionView``. It computes nothing in another way than the head
does: forward hooks record the inputs and outputs of the head's own modules.

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
    """Frame that it belongs to, counted from the key frame."""


class PointsPanel(NamedTuple):
    """Points of the key frame that an entry of the grid reads."""

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
    """Heatmaps of a batch and what the head looked at."""

    heatmaps: Tensor
    """``(B, K, H, W)``."""
    panels: list[Panel]


class Call(NamedTuple):
    """The last call of a module."""

    arguments: tuple[Tensor, ...]
    result: Tensor


@contextmanager
def record_calls(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Call]]:
    """Record the last call of modules, by the names given to them."""
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
