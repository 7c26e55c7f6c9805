"""Detection as units of work: one per video, put together to one table when all are whole."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.detection.detections import BOXES_FILE, box_table
from pipeline.frames.video_frames import VideoFrames
from pipeline.publishing.build import build
from pipeline.publishing.publish import write_listing
from pipeline.publishing.restore import published_object
from pipeline.tables.parquet import digest_rows, read_table, write_table
from pipeline.tables.schemas import BOXES, FRAMES
from pipeline.units.engines import MakeTask, RunOptions
from pipeline.units.key import Unit, modules_digest, stage_pins, unit_key
from pipeline.units.parent import DvcParent
from pipeline.units.receipts import FILES, check, mark_used, seal
from pipeline.units.scratch import Scratch, find_scratch

STAGE = "detect"
_LOOKED_AT = pa.schema([FRAMES.field("frame"), FRAMES.field("sha256")])
_EVERYTHING = (0, 1)
"""The slice of all units, which computes them and publishes nothing."""


def plan_units(
    frames: Mapping[str, VideoFrames],
    positions: Mapping[str, Sequence[int]],
    *,
    params: Mapping[str, object],
    weights: Mapping[str, str],
    device: str,
    batch: int,
) -> list[Unit]:
    """Return a unit per video that has frames to look at.

    Args:
        frames: Frames of every video.
        positions: Frames of every video that are looked at.
        params: ``Section.key_params`` of the stage.
        weights: sha256 of the detector's files, by name.
        device: Kind of device.
        batch: Frames per forward pass.
    """
    modules, pins = modules_digest(f"stages.{STAGE}"), stage_pins(f"stages.{STAGE}")
    units = []
    for video, chosen in sorted(positions.items()):
        if not chosen:
            continue
        digests = [frames[video].sha256[position] for position in chosen]
        rows = pd.DataFrame({"frame": list(chosen), "sha256": digests})
        key = unit_key(
            stage=STAGE,
            # The rows of a unit name their video.
            params={**params, "video": video},
            modules=modules,
            pins=pins,
            weights=weights,
            device=device,
            dtype="float32",
            batch=batch,
            clips=digest_rows(rows, _LOOKED_AT),
            frames=digests,
            inputs={},
        )
        units.append(Unit(video, key, estimate=1000 * len(chosen)))
    return units


def detect(
    out: Path, listing: Path, units: Sequence[Unit], make_task: MakeTask, run: RunOptions
) -> str:
    """Compute what is missing and write the table of all boxes.

    Args:
        out: The table, data/boxes/<split>.parquet.
        listing: The stage's second out.
        units: From ``plan_units``.
        make_task: Makes the ``DetectTask`` of a worker.
        run: Engine, workers, threads, slice.

    Returns:
        The line that the stage ends with.

    Raises:
        ValueError: As ``pipeline.publishing.build.build``.
    """
    parent = DvcParent()
    scratch = find_scratch(out)
    _restore(scratch, out, listing, units)
    # build() publishes folders; this stage's out is one file, so it is written here.
    done = build(
        stage=STAGE,
        out=out,
        listing=listing,
        kind=None,
        units=units,
        make_task=make_task,
        run=run if run.part else replace(run, part=_EVERYTHING),
    )
    counts = f"{done.computed} videos computed, {done.reused} reused"
    if run.part is not None:
        return f"{STAGE}: computed a slice, published nothing: {counts}"
    folders = {unit.name: scratch.unit_folder(STAGE, unit.key) for unit in units}
    parts = [read_table(folder / FILES / BOXES_FILE, BOXES) for folder in folders.values()]
    table = pd.concat(parts, ignore_index=True) if parts else box_table([])
    receipts = {unit.name: (unit, check(folders[unit.name])) for unit in units}
    parent.refuse_orphan()
    write_table(out, table, BOXES)
    write_listing(listing, {n: (unit, found) for n, (unit, found) in receipts.items() if found})
    for folder in folders.values():
        mark_used(folder)
    return f"{STAGE}: wrote {len(table)} boxes of {len(units)} videos in {out}: {counts}"


def _restore(scratch: Scratch, out: Path, listing: Path, units: Sequence[Unit]) -> None:
    """Cut units out of the table that was last published: a fresh clone has nothing else of them.

    A unit comes back only if the listing has its very key, and its rows the listed digest.
    """
    missing = [u for u in units if check(scratch.unit_folder(STAGE, u.key)) is None]
    table, listed = (published_object(scratch, path) for path in (out, listing))
    if not missing or table is None or listed is None:
        return
    boxes, known = read_table(table, BOXES), json.loads(listed.read_bytes())
    for unit in missing:
        entry = known.get(unit.name, {})
        if entry.get("key") != unit.key:
            continue
        folder = scratch.unit_folder(STAGE, unit.key)
        with scratch.lock(f"{STAGE}-{unit.key}"):
            shutil.rmtree(folder / FILES, ignore_errors=True)
            rows = boxes[boxes["video"] == unit.name].reset_index(drop=True)
            write_table(folder / FILES / BOXES_FILE, rows, BOXES)
            if seal(folder, unit.name).digest != entry.get("digest"):
                shutil.rmtree(folder)
