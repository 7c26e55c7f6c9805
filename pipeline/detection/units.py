"""Units of the stage detect: one per video, merged to one table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.core.frames.video_frames import VideoFrames
from pipeline.core.tables.parquet import digest_rows, read_table, write_table
from pipeline.core.tables.schemas import BOXES, FRAMES
from pipeline.core.units.key import KeyParts, Unit, make_unit, modules_digest, stage_pins
from pipeline.core.units.plan import SingleFile, UnitFolders
from pipeline.detection.detections import BOXES_FILE, box_table

STAGE = "detect"
_KEY_COLUMNS = pa.schema([FRAMES.field("frame"), FRAMES.field("sha256")])


def plan_units(
    frames: Mapping[str, VideoFrames],
    positions: Mapping[str, Sequence[int]],
    *,
    params: Mapping[str, object],
    weights: Mapping[str, str],
    device: str,
    batch: int,
) -> list[Unit]:
    """Return one unit per video that has frames to process.

    Args:
        frames: Frames of every video.
        positions: Positions of the frames to process in every video.
        params: ``Section.key_params`` of the stage.
        weights: SHA-256 of the detector's files, by name.
        device: Device type, ``cpu`` or ``cuda``.
        batch: Frames per forward pass.
    """
    modules, pins = modules_digest(f"stages.{STAGE}"), stage_pins(f"stages.{STAGE}")
    units = []
    for video, chosen in sorted(positions.items()):
        if not chosen:
            continue
        digests = [frames[video].sha256[position] for position in chosen]
        rows = pd.DataFrame({"frame": list(chosen), "sha256": digests})
        parts = KeyParts(
            stage=STAGE,
            # The rows of a unit contain the name of the video.
            params={**params, "video": video},
            modules=modules,
            pins=pins,
            weights=weights,
            device=device,
            dtype="float32",
            batch=batch,
            clips=digest_rows(rows, _KEY_COLUMNS),
            frames=digests,
            inputs={},
        )
        units.append(make_unit(video, parts, estimate=1000 * len(chosen)))
    return units


def _merge(units: UnitFolders, out: Path) -> None:
    parts = [read_table(folder / BOXES_FILE, BOXES) for folder in units.values()]
    table = pd.concat(parts, ignore_index=True) if parts else box_table([])
    write_table(out, table, BOXES)


def _cut(out: Path, video: str, folder: Path) -> None:
    boxes = read_table(out, BOXES)
    rows = boxes[boxes["video"] == video].reset_index(drop=True)
    write_table(folder / BOXES_FILE, rows, BOXES)


TABLE = SingleFile(_merge, _cut)
"""The out is one table of all boxes; the unit of a video is its rows."""
