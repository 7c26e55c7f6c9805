"""A project with random caches of train and drawn heatmaps of val_gt, for the Python interface."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.heatmap import encode
from pipeline.core.skeleton import JOINTS
from pipeline.core.tables.parquet import write_table
from pipeline.core.tables.schemas import FRAMES, VIDEOS
from tests.pipeline.tiny_caches import (
    CLIPS_OF,
    CROP,
    STORED,
    clip_frame,
    random_store,
    values_of,
    write_clips,
    write_store,
)
from tests.posetrack_documents import Document, add_person, document
from tests.stages.tiny_project import TRAINING, Project

FRAMES_OF_VIDEO = 6
KINDS = ("heatmaps", "flow")
SECTIONS = {
    "train_hrnet": {},
    "train_jmpose": TRAINING | {"delta": 1, "weights": "none"},
    "train_fuse": {"weights": "none", "schedule": "jmpose", "channels": 8, "blocks": 1},
    "predict": {
        "decode": "dark", "blur": 1.0, "score": "product", "flip": False, "weights": "last",
        "batch": 2,
    },
}  # fmt: skip


def make_caches_project(folder: Path) -> Project:
    """Make a project whose predictions from the heatmaps of val and val_gt are near the labels."""
    project = Project(folder)
    for kind in KINDS:
        random_store(project.data / kind / "train", kind, variants=2)
    write_clips(project.data, "hrnet", "train", clip_frame(variants=2))
    frame = clip_frame(variants=1)
    for split in ("val", "val_gt"):
        write_clips(project.data, "hrnet", split, frame)
        drawn = {f"{video}/v0": _drawn(frame, video) for video in CLIPS_OF}
        write_store(project.data / "heatmaps" / split, "heatmaps", drawn)
        random_store(project.data / "flow" / split, "flow", variants=1)
    _write_labels(project, frame)
    data = {"name": "toy", "root": "", "manifest": "", "detections": ""}
    project.values |= SECTIONS | {"data": data | {"annotations": "data/raw/annotations"}}
    project.params.write_text(json.dumps(project.values))  # JSON is YAML
    return project


def _drawn(frame: pd.DataFrame, video: str) -> np.ndarray:
    """Return random heatmaps with the label of every joint in the key frame."""
    rows = frame[frame["video"] == video]
    maps = values_of("heatmaps", f"{video}/v0", len(rows))
    size = (CROP[0] // 4, CROP[1] // 4)
    for clip, (joints, visible) in enumerate(zip(rows["keypoints"], rows["visible"], strict=True)):
        points = np.reshape(joints, (len(JOINTS), 2))
        maps[clip, STORED // 2] = encode(points, np.array(visible), size, 1.5)
    return maps


def _write_labels(project: Project, frame: pd.DataFrame) -> None:
    """Write the ground truth and the index of the videos."""
    folder = project.data / "raw/annotations/val"
    folder.mkdir(parents=True)
    videos, frames = [], []
    for video in CLIPS_OF:
        truth = _labels(frame[frame["video"] == video])
        (folder / f"{video}.json").write_text(json.dumps(truth))
        videos.append([video, "val", FRAMES_OF_VIDEO, 120, 160, "posetrack18", f"val/{video}.json"])
        frames += [
            [video, "val", f, f"{f}.jpg", "0" * 64, 1 + f, True, f, "", ""]
            for f in range(FRAMES_OF_VIDEO)
        ]
    index = project.data / "index"
    write_table(index / "videos.parquet", pd.DataFrame(videos, columns=VIDEOS.names), VIDEOS)
    write_table(index / "frames.parquet", pd.DataFrame(frames, columns=FRAMES.names), FRAMES)


def _labels(rows: pd.DataFrame) -> Document:
    truth = document(FRAMES_OF_VIDEO)
    for row in rows.to_dict("records"):
        to_crop = np.reshape(row["to_crop"], (2, 3))
        points = (np.reshape(row["keypoints"], (-1, 2)) - to_crop[:, 2]) / to_crop[0, 0]
        labeled = {
            name: (float(x), float(y))
            for name, (x, y), visible in zip(JOINTS, points, row["visible"], strict=True)
            if visible
        }
        add_person(truth, row["frame"], labeled)
    return truth
