"""Pictures of what a trained head reads, as ``posereel show-attention`` draws them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from models.head_parts.lookup import find_view
from models.head_parts.views import AttentionView, MapPanel, MatrixPanel, PointsPanel
from models.vit.sizes import PATCH
from pipeline.core.caches.reader import Caches
from pipeline.core.heatmap import decode
from pipeline.core.networks.weights import read_weights
from pipeline.core.skeleton import JOINTS
from pipeline.core.store.reader import Store
from pipeline.pictures.attention import (
    HEATMAP_GRID,
    SCALE,
    TOKEN_GRID,
    MapGrid,
    draw_map,
    draw_matrices,
    draw_points,
)
from pipeline.report.drawing import Picture, contact_sheet, draw_caption, draw_pose, enlarge
from posereel.configured_head import read_head

Pictures = NDArray[np.uint8]


def _chosen(store: Store, count: int) -> list[tuple[str, int]]:
    """Return clips spread evenly over a store, as unit and row."""
    every = [
        (name, row)
        for name in store.digests
        if name.endswith("/v0")
        for row in range(store.rows(name))
    ]
    if not every:
        raise ValueError("expected a split with clips, got none; choose another with --split")
    picked = np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int)
    return [every[index] for index in picked]


@dataclass(frozen=True, slots=True)
class _Clips:
    """Clips: the input of the head and the pictures."""

    head: nn.Module
    batch: dict[str, Tensor]
    crops: list[Pictures]
    """Crops of every clip, ``(T, H, W, 3)``."""


def _read(params: Path, data: Path, name: str, split: str, count: int) -> tuple[_Clips, list[str]]:
    """Return a head with clips of a split, and the unit and row of every clip."""
    configured = read_head(params, name)
    system = configured.system
    caches = Caches({kind: data / kind / split for kind in system.caches}, system.frames)
    store = Store(data / "crops" / system.crops / split, "crops")
    chosen = _chosen(store, count)
    file = data / "runs" / name / "weights.safetensors"
    shapes = {kind: caches.row_shape(kind) for kind in caches.kinds}
    head = configured.with_weights(read_weights(file), str(file), shapes).head
    units, rows = [unit for unit, _ in chosen], np.array([row for _, row in chosen])
    buffers = caches.buffers(len(chosen))
    caches.read(units, rows, buffers, check=True)
    batch = {kind: caches.cut(kind, buffer).float() for kind, buffer in buffers.items()}
    frames = [store.read(unit, [row])[0] for unit, row in chosen]
    margin = (len(frames[0]) - system.frames) // 2
    cut = [part[margin : margin + system.frames] for part in frames]
    return _Clips(head, batch, cut), [f"{unit} {row}" for unit, row in chosen]


def _pose(crop: Picture, heatmaps: Tensor, caption: str) -> Picture:
    joints, _ = decode(heatmaps[None].numpy(), "argmax", 1.0)
    places = joints[0] * SCALE + (SCALE - 1) / 2
    drawn = draw_pose(enlarge(crop, SCALE), places, np.full(len(JOINTS), 2))
    return draw_caption(drawn, caption)


def _peak(heatmaps: Tensor, joint: str) -> tuple[int, int]:
    """Return row and column of the maximum of a joint's heatmap, of ``(K, h, w)``."""
    heatmap = heatmaps[JOINTS.index(joint)]
    row, column = divmod(int(heatmap.argmax()), heatmap.shape[1])
    return row, column


def _row(clips: _Clips, view: AttentionView, index: int, joint: str, name: str) -> list[Picture]:
    """Return the pictures of one clip: its pose, then every panel."""
    frames = clips.crops[index]
    middle = len(frames) // 2
    row = [_pose(frames[middle], view.heatmaps[index], name)]
    for panel in view.panels:
        if isinstance(panel, MapPanel):
            crop, values = frames[middle + panel.frame], panel.values[index].numpy()
            row.append(draw_map(crop, values, _grid(crop, values.shape), panel.title))
        elif isinstance(panel, MatrixPanel):
            crop = frames[middle]
            row.append(draw_matrices(panel.values[index].numpy(), crop.shape[:2], panel.title))
        else:
            row.append(_points(panel, index, frames[middle], view.heatmaps[index], joint))
    return row


def _points(panel: PointsPanel, index: int, crop: Picture, heatmaps: Tensor, joint: str) -> Picture:
    """Draw the points that the entry at the peak of a joint's heatmap reads."""
    rows, columns = panel.places.shape[-2:]
    peak, cells = _peak(heatmaps, joint), heatmaps.shape[1:]
    row, column = peak[0] * rows // cells[0], peak[1] * columns // cells[1]
    places = panel.places[index, ..., row, column].numpy()
    weights = panel.weights[index, ..., row, column].numpy()
    center = np.array([column, row], np.float32)
    grid = _grid(crop, (rows, columns))
    return draw_points(crop, places, weights, center, grid, f"{panel.title}, {joint}")


def _grid(crop: Picture, shape: tuple[int, ...]) -> MapGrid:
    """Return the grid of a map: heatmap cells or tokens."""
    return TOKEN_GRID if crop.shape[0] == PATCH * shape[0] else HEATMAP_GRID


def attention_sheet(
    system: str, *, split: str, clips: int, joint: str, data: Path, params: Path
) -> tuple[Picture, list[str]]:
    """Draw the sampling points, masks and attention of a trained head.

    Args:
        system: A system whose folder has a ``view.py``.
        split: Split of the clips.
        clips: Number of clips, spread evenly over the split.
        joint: Joint whose sampling points are drawn.
        data: Folder of all outputs.
        params: The params file.

    Returns:
        RGB picture ``(H, W, 3)`` with one row per clip, and the unit and row of every clip.

    Raises:
        ValueError: If the joint or the view is unknown, or the split has no clip.
    """
    if joint not in JOINTS:
        raise ValueError(f"--joint: expected one of {', '.join(JOINTS)}, got {joint!r}")
    show = find_view(system)
    read, names = _read(params, data, system, split, clips)
    view = show(read.head, read.batch)
    rows = [_row(read, view, index, joint, name) for index, name in enumerate(names)]
    return contact_sheet([tile for row in rows for tile in row], len(rows[0])), names
