"""Pose estimation in a video, as ``posereel predict`` does it."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.atomic_file import write_file
from pipeline.core.limbs import LIMBS
from pipeline.core.skeleton import JOINTS
from pipeline.core.tables.parquet import read_table
from pipeline.core.units.progress import progress
from pipeline.core.units.receipts import hash_file
from pipeline.video.boxes import check_boxes_file
from pipeline.video.overlay import write_overlay
from pipeline.video.pose_files import write_coco, write_posetrack
from pipeline.video.poses import POSES, WindowPoseEstimator, write_poses
from pipeline.video.smoothing import Smoothing, smooth_poses
from pipeline.video.source import (
    Frame,
    OnShortfall,
    Shortfall,
    VideoSource,
    open_source,
    refuse_shortfall,
)
from pipeline.video.tracks import assign_track_ids
from pipeline.video.windows import split_windows
from posereel.video_networks import VideoSetup, build_estimator

WINDOW = 16
"""Key frames in memory at once: with 4 neighbors, 125 MB of 1080p."""
Track = Literal["iou", "none"]


def predict_video(
    video: Path,
    out: Path,
    setup: VideoSetup,
    *,
    frames: tuple[int, int | None],
    track: Track,
    smoothing: Smoothing,
    overlay: bool,
    incomplete: bool = False,
) -> dict[str, Any]:
    """Write the poses of all people in a video to a new folder, completely or not at all.

    Finished windows are kept in the folder ``<out>.partial``; an interrupted run continues there.

    Args:
        video: Video file, or a folder of frames.
        out: Folder to create.
        setup: Networks and settings.
        frames: First and last frame; None: to the end.
        track: How ids are assigned: by the overlap of boxes, or not at all.
        smoothing: How joints are smoothed over time. Windows do not depend on it.
        overlay: Whether to draw a video with the poses.
        incomplete: Whether to accept a file that ends before the duration in its header.

    Returns:
        Content of meta.json.

    Raises:
        ValueError: If the folder exists, the video cannot be read or is too short, or weights or
            boxes do not fit.
    """
    if out.exists():
        raise ValueError(f"{out}: expected a new folder, found one; remove it or choose --out")
    source = open_source(video)
    size = next(source.read()).picture.shape[:2]
    facts = _facts(source, setup, frames, track)
    missing = 0.0

    def accept(found: Shortfall) -> None:
        nonlocal missing
        if not incomplete:
            refuse_shortfall(found)
        if not missing:
            sys.stderr.write(f"predict: {found}; the rest is missing in the results\n")
        missing = round(found.expected - found.decoded, 3)

    with _work_folder(out, facts) as work:
        poses, stop = _poses(source, setup, work, frames, size, accept)
        numbers = range(frames[0], stop)
        check_boxes_file(setup.boxes, numbers)
        poses["track_id"] = _ids(poses, track)
        poses = smooth_poses(poses, smoothing, source.rate)
        facts |= {
            "smoothing": asdict(smoothing),
            "frames": len(numbers),
            "missing_seconds": missing,
            "image_size": list(size),
            "people": len(poses),
            "tracks": int(poses["track_id"].nunique()) if track == "iou" else None,
        }
        made = work / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        write_poses(made / "predictions.parquet", poses)
        write_posetrack(made / "posetrack.json", poses, numbers, video.stem)
        write_coco(made / "coco.json", poses, numbers, video.stem, size)
        write_file(made / "meta.json", json.dumps(facts, indent=1).encode() + b"\n")
        if overlay:
            shown = _frames_to_draw(source, numbers, accept)
            write_overlay(made / "overlay.mp4", shown, poses, source.rate, setup.score)
        made.replace(out)
    return facts


def _facts(
    source: VideoSource, setup: VideoSetup, frames: tuple[int, int | None], track: Track
) -> dict[str, Any]:
    """Return what the results depend on, and what a reader of them needs to know."""
    sections = ("crop", "detect", "flow", "tokens", "predict")
    return {
        "source": source.path.name,
        "source_sha256": source.digest(),
        "rate": source.rate,
        "first_frame": frames[0],
        "last_frame": frames[1],
        "head": setup.head.system.name,
        "weights_sha256": {name: hash_file(file) for name, file in setup.files().items()},
        "boxes_sha256": None if setup.boxes is None else hash_file(setup.boxes),
        "detect_every": setup.detect_every,
        "score_min": setup.score,
        "track": track,
        "params": {name: setup.values[name] for name in sections}
        | {"head": dict(setup.head.arguments)},
        "joints": list(JOINTS),
        "limbs": [list(limb) for limb in LIMBS],
    }


@contextmanager
def _work_folder(out: Path, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield the folder of unfinished work, which is removed at the end.

    The folder of a run with other settings is emptied. After an error the folder is kept if it
    holds a finished window.
    """
    work = out.with_name(f"{out.name}.partial")
    key = json.dumps(facts, indent=1, sort_keys=True).encode()
    if not (work / "run.json").is_file() or (work / "run.json").read_bytes() != key:
        shutil.rmtree(work, ignore_errors=True)
        (work / "parts").mkdir(parents=True)
        write_file(work / "run.json", key)
    try:
        yield work
    except Exception:
        if not any((work / "parts").iterdir()):
            shutil.rmtree(work)
        raise
    shutil.rmtree(work)


def _poses(
    source: VideoSource,
    setup: VideoSetup,
    work: Path,
    frames: tuple[int, int | None],
    size: tuple[int, int],
    on_shortfall: OnShortfall,
) -> tuple[pd.DataFrame, int]:
    """Return the people of all key frames, and the number of the frame after the last one."""
    first, last = frames
    reach = setup.delta * setup.values["crop"]["gap"]
    estimator: WindowPoseEstimator | None = None
    parts: list[pd.DataFrame] = []
    stop = first
    total = (source.frames if last is None else min(last + 1, source.frames or last + 1)) - first
    checked = _same_size(source, size, on_shortfall)
    with progress("predict", max(total, 0), "frames") as advance:
        for window in split_windows(checked, first, last, reach=reach, length=WINDOW):
            part = work / "parts" / f"{window.start:08d}.parquet"
            if not part.is_file():
                estimator = estimator or build_estimator(setup, size)
                write_poses(part, estimator(window))
            parts.append(read_table(part, POSES))
            stop = window.stop
            advance(window.stop - window.start)
    if stop == first:
        raise ValueError(f"{source.path}: expected frame {first} and more, the video has fewer")
    return pd.concat(parts, ignore_index=True), stop


def _same_size(
    source: VideoSource, size: tuple[int, int], on_shortfall: OnShortfall
) -> Iterator[Frame]:
    """Yield the frames and check that all have one size."""
    for frame in source.read(on_shortfall):
        if frame.picture.shape[:2] != size:
            raise ValueError(
                f"{source.path}: frame {frame.number}: expected {size[0]} x {size[1]} pixels "
                f"(height x width) as before, got {frame.picture.shape[:2]}; cut the video there"
            )
        yield frame


def _frames_to_draw(
    source: VideoSource, numbers: range, on_shortfall: OnShortfall
) -> Iterator[Frame]:
    """Yield the frames of the overlay, with a progress bar: drawing takes as long as estimation."""
    with progress("overlay", len(numbers), "frames") as advance:
        for frame in source.read(on_shortfall):
            if frame.number >= numbers.stop:
                break
            if frame.number in numbers:
                yield frame
                advance()


def _ids(poses: pd.DataFrame, track: Track) -> NDArray[np.int64]:
    if track == "none":
        return np.full(len(poses), -1, np.int64)
    boxes = poses[["box_x", "box_y", "box_w", "box_h"]].to_numpy(dtype=float)
    return assign_track_ids(poses["frame"].to_numpy(dtype="int64"), boxes)
