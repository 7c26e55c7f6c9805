"""Draw the offsets, masks and attention of a trained head.

Reads: the caches and crops of a split, and data/runs/<system>.
Writes: one PNG, a row per clip. Nothing of it is an out of the DAG.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import numpy as np
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from models.heads.build import build_head
from models.inspection import JMPoseView, VREMDView, look_into_jmpose, look_into_vremd
from models.vit.sizes import PATCH
from pipeline.caches.crop_size import read_crop_size
from pipeline.caches.reader import Caches
from pipeline.head_params.network import System
from pipeline.head_params.systems import read_system
from pipeline.heatmap import decode
from pipeline.networks.weights import read_weights
from pipeline.pictures.attention import (
    HEATMAP_GRID,
    SCALE,
    TOKEN_GRID,
    draw_map,
    draw_matrices,
    draw_points,
)
from pipeline.pictures.png import write_png
from pipeline.report.drawing import Picture, contact_sheet, draw_caption, draw_pose, enlarge
from pipeline.skeleton import JOINTS
from pipeline.store.reader import Store

if TYPE_CHECKING:
    from models.heads.jmpose.network import JMPose
    from models.heads.vremd.network import VREMD

Head = Literal["jmpose", "vremd"]
Split = Literal["train", "val", "val_gt"]
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
    """Some clips: what the head reads, and what a person sees."""

    system: System
    head: nn.Module
    batch: dict[str, Tensor]
    crops: list[Pictures]
    """Of every clip, ``(T, H, W, 3)``."""


def _read(params: Path, data: Path, name: Head, split: str, count: int) -> tuple[_Clips, list[str]]:
    """Return clips with the head that reads them, and their names."""
    system = read_system(params, name)
    caches = Caches({kind: data / kind / split for kind in system.kinds}, system.frames)
    store = Store(data / "crops" / system.crops / split, "crops")
    chosen = _chosen(store, count)
    file = data / "runs" / name / "weights.safetensors"
    head = build_head(
        read_weights(file),
        str(file),
        {kind: caches.row_shape(kind) for kind in caches.kinds},
        system=name,
        arguments=system.arguments,
        joints=len(JOINTS),
        frames=system.frames,
        crop_size=read_crop_size(params, system.crops),
    ).head
    units, rows = [unit for unit, _ in chosen], np.array([row for _, row in chosen])
    buffers = caches.buffers(len(chosen))
    caches.read(units, rows, buffers, check=True)
    batch = {kind: caches.cut(kind, buffer).float() for kind, buffer in buffers.items()}
    frames = [store.read(unit, [row])[0] for unit, row in chosen]
    margin = (len(frames[0]) - system.frames) // 2
    cut = [part[margin : margin + system.frames] for part in frames]
    return _Clips(system, head, batch, cut), [f"{unit} {row}" for unit, row in chosen]


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


def _jmpose_rows(clips: _Clips, joint: str, names: list[str]) -> list[list[Picture]]:
    view = look_into_jmpose(cast("JMPose", clips.head), clips.batch)
    rows = []
    for index, frames in enumerate(clips.crops):
        crop = frames[len(frames) // 2]
        steps = clips.batch["flow"][index] if "flow" in clips.batch else ()
        row = [_pose(crop, view.heatmaps[index], names[index])]
        row += [
            draw_map(crop, step.norm(dim=0).numpy(), HEATMAP_GRID, "flow, cells") for step in steps
        ]
        row += _taps(view, index, crop, joint)
        for layer, masks in enumerate(view.masks[:, :, index].numpy(), 1):
            for name, mask in zip("JM", masks, strict=True):
                row.append(draw_map(crop, mask, HEATMAP_GRID, f"mask of {name} {layer}"))
        if view.attention is not None:
            row.append(draw_matrices(view.attention[index].numpy(), crop.shape[:2], "J to M"))
        rows.append(row)
    return rows


def _taps(view: JMPoseView, clip: int, crop: Picture, joint: str) -> list[Picture]:
    if view.places is None or view.modulation is None:
        return []
    row, column = _peak(view.heatmaps[clip], joint)
    at_joint = view.places[clip, ..., row, column], view.modulation[clip, ..., row, column]
    center = np.array([column, row], np.float32)
    places, taken = (part.numpy() for part in at_joint)
    mean = view.modulation[clip].mean(dim=(0, 1)).numpy()
    return [
        draw_points(crop, places, taken, center, HEATMAP_GRID, f"taps, {joint}"),
        draw_map(crop, mean, HEATMAP_GRID, "modulation"),
    ]


def _vremd_rows(clips: _Clips, joint: str, names: list[str]) -> list[list[Picture]]:
    view = look_into_vremd(cast("VREMD", clips.head), clips.batch["tokens"])
    rows = []
    for index, frames in enumerate(clips.crops):
        row = [_pose(frames[len(frames) // 2], view.heatmaps[index], names[index])]
        row += _masks("human", view.human_mask, index, frames)
        row += _masks("keypoint", view.keypoint_mask, index, frames)
        row += _samples(view, index, frames, joint)
        rows.append(row)
    return rows


def _grid(frames: Pictures) -> tuple[int, int]:
    """Return rows and columns of the tokens of a frame."""
    return frames.shape[1] // PATCH, frames.shape[2] // PATCH


def _masks(name: str, masks: Tensor | None, clip: int, frames: Pictures) -> list[Picture]:
    if masks is None:
        return []
    grid = _grid(frames)
    return [
        draw_map(crop, mask, TOKEN_GRID, f"{name} {frame - len(frames) // 2:+d}")
        for frame, (crop, mask) in enumerate(
            zip(frames, masks[clip].reshape(-1, *grid).numpy(), strict=True)
        )
    ]


def _samples(view: VREMDView, clip: int, frames: Pictures, joint: str) -> list[Picture]:
    if view.places is None or view.weights is None:
        return []
    grid = _grid(frames)
    heatmaps = view.heatmaps[clip]
    peak, cells = _peak(heatmaps, joint), heatmaps.shape[1:]
    row, column = (place * grid[axis] // cells[axis] for axis, place in enumerate(peak))
    token, center = row * grid[1] + column, np.array([column, row], np.float32)
    at_joint = zip(view.places[:, clip, :, token], view.weights[:, clip, :, token], strict=True)
    crop = frames[len(frames) // 2]
    return [
        draw_points(crop, places.numpy(), weights.numpy(), center, TOKEN_GRID, f"samples {index}")
        for index, (places, weights) in enumerate(at_joint, 1)
    ]


def main(
    system: Annotated[Head, typer.Argument(help="jmpose or vremd.")],
    split: Annotated[Split, typer.Option(help="Whose clips.")] = "val_gt",
    clips: Annotated[int, typer.Option(min=1, help="Rows: clips spread over the split.")] = 4,
    joint: Annotated[str, typer.Option(help="Joint whose places are shown.")] = "right_wrist",
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("attention.png"),
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Draw what the trained head SYSTEM looks at, on clips of SPLIT."""
    if joint not in JOINTS:
        raise ValueError(f"--joint: expected one of {', '.join(JOINTS)}, got {joint!r}")
    read, names = _read(params, data, system, split, clips)
    rows = (_jmpose_rows if system == "jmpose" else _vremd_rows)(read, joint, names)
    sheet = contact_sheet([tile for row in rows for tile in row], len(rows[0]))
    write_png(out, sheet)
    typer.echo(f"show-attention: {len(rows)} clips of {split} in {out}")
