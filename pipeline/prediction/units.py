"""The units of the stage predict: their clips, keys and table."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.caches.clip_table import clips_file, read_clips
from pipeline.core.posetrack.reader import read_predictions
from pipeline.core.skeleton import JOINT_SLOTS
from pipeline.core.store.reader import Store
from pipeline.core.tables.parquet import digest_rows, read_table, write_table
from pipeline.core.tables.schemas import CLIPS, FRAMES, VIDEOS
from pipeline.core.units.key import (
    KeyParts,
    Unit,
    make_unit,
    modules_digest,
    stage_pins,
    weights_digest,
)
from pipeline.core.units.receipts import hash_file
from pipeline.prediction.poses import VideoClips
from pipeline.prediction.prediction import Prediction

STAGE = "predict"
_BYTES_PER_PERSON = 1200
PREDICTIONS = pa.schema(
    {
        "video": pa.string(),
        "frame": pa.int32(),  # position in the video
        "row": pa.int32(),  # person within the frame, highest box score first
        "track_id": pa.int32(),  # -1 for detections
        "box_x": pa.float64(),
        "box_y": pa.float64(),
        "box_w": pa.float64(),
        "box_h": pa.float64(),
        "box_score": pa.float64(),
        "keypoints": pa.list_(pa.float64()),  # 15 xy in image pixels
        "scores": pa.list_(pa.float64()),  # 15
    }
)
"""predictions.parquet, sorted by video, frame and row."""


def read_videos(
    data: Path, split: str, crops: str, annotations: Path, flip: bool
) -> dict[str, VideoClips]:
    """Return the videos of a split, including those without clips.

    Args:
        data: Folder of all outs.
        split: ``val`` or ``val_gt``.
        crops: Input that the clips are cut for.
        annotations: Folder of the ground truth, with ``val/*.json``.
        flip: Whether every clip needs its mirror image as variant 1.

    Raises:
        ValueError: If ``flip`` is set and mirror images are missing.
    """
    videos = read_table(data / "index" / "videos.parquet", VIDEOS)
    frames = read_table(data / "index" / "frames.parquet", FRAMES)
    source = clips_file(data, crops, split)
    clips = read_clips(source)
    if flip and len(clips) and not clips.loc[clips["variant"] == 1, "flipped"].any():
        raise ValueError(
            f"predict.flip: expected the mirror image of every clip in {source}, found none; set "
            "crop.mirror to true, or predict.flip to false"
        )
    plain = clips[clips["variant"] == 0]
    named = frames[(frames["split"] == "val") & (frames["entry"] >= 0)]
    keys = plain.merge(named[["video", "frame", "entry"]], on=["video", "frame"], how="inner")
    keys = keys.sort_values(["video", "entry", "clip"], kind="stable")
    found: dict[str, VideoClips] = {}
    for video, annotation in videos.loc[videos["split"] == "val", ["video", "annotation"]].values:
        rows = keys[keys["video"] == video]
        entries = rows["entry"].to_numpy(dtype=np.int64)
        clip_rows = rows[CLIPS.names].reset_index(drop=True)
        found[str(video)] = VideoClips(annotations / str(annotation), clip_rows, entries)
    return found


def plan_units(
    predictions: Mapping[str, Prediction], params: Mapping[str, object], modules: Sequence[str]
) -> list[Unit]:
    """Return the units of a system's predictions with their keys, one per split and video.

    Args:
        predictions: Inputs by split.
        params: Params that change results.
        modules: Modules whose code is part of the keys.
    """
    common = {
        "stage": STAGE,
        "params": params,
        "modules": modules_digest(modules),
        "pins": stage_pins(modules),
    }
    return [
        unit
        for split, prediction in predictions.items()
        for unit in _units_of_split(split, prediction, common)
    ]


def _units_of_split(
    split: str, prediction: Prediction, common: Mapping[str, Any]
) -> Iterator[Unit]:
    stores = {kind: Store(folder, kind) for kind, folder in prediction.folders.items()}
    weights = {} if prediction.weights is None else {"head": weights_digest(prediction.weights)}
    variants = (0, 1) if prediction.decoding.flip else (0,)
    for name, video in prediction.videos.items():
        inputs = {
            f"{kind}/v{variant}": store.digests[f"{name}/v{variant}"]
            for kind, store in stores.items()
            for variant in variants
            if len(video.clips)
        }
        entries = hashlib.sha256(json.dumps(video.entries.tolist()).encode()).hexdigest()
        parts = KeyParts(
            **common,
            weights=weights,
            device=prediction.device,
            dtype="float32",
            batch=prediction.decoding.batch,
            clips=digest_rows(video.clips, CLIPS),
            frames={"ground truth": hash_file(video.annotation), "entries": entries},
            inputs=inputs,
        )
        size = _BYTES_PER_PERSON * len(video.clips)
        yield make_unit(f"{split}/{name}", parts, size, place=split)


def write_tables(predictions: Mapping[str, Prediction], folder: Path) -> None:
    """Write predictions.parquet next to the prediction files of every split.

    Args:
        predictions: Inputs by split.
        folder: Folder with ``<split>/<video>.json``.
    """
    for split, prediction in predictions.items():
        (folder / split).mkdir(exist_ok=True)  # A split without videos has no file yet.
        _write_table(prediction.videos, folder / split)


def _write_table(videos: Mapping[str, VideoClips], folder: Path) -> None:
    rows = [_rows(video, found, folder / f"{video}.json") for video, found in videos.items()]
    frame = pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=PREDICTIONS.names)
    order = ["video", "frame", "row"]
    write_table(
        folder / "predictions.parquet", frame.sort_values(order, kind="stable"), PREDICTIONS
    )


def _rows(video: str, found: VideoClips, path: Path) -> pd.DataFrame:
    # The file holds the people in the order of the clips: both are sorted by entry.
    people = read_predictions(path).people
    clips = found.clips
    table = pd.DataFrame(
        {
            "video": video,
            "frame": clips["frame"].to_numpy(dtype=np.int32),
            "row": clips.groupby("frame").cumcount().to_numpy(dtype=np.int32),
            "track_id": clips["track_id"].to_numpy(dtype=np.int32),
            "box_score": clips["score"].to_numpy(dtype=np.float64),
        }
    )
    for name in ("box_x", "box_y", "box_w", "box_h"):
        table[name] = clips[name].to_numpy(dtype=np.float64)
    joints = people.keypoints[:, JOINT_SLOTS, :2].reshape(len(clips), 2 * len(JOINT_SLOTS))
    table["keypoints"] = pd.Series(joints.tolist(), dtype=object)
    table["scores"] = pd.Series(people.scores[:, JOINT_SLOTS].tolist(), dtype=object)
    return table
