"""Small stores with random content in a folder with the layout of a DVC repository."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.caches.clip_table import clips_file
from pipeline.core.skeleton import JOINTS
from pipeline.core.store.reader import group_attributes
from pipeline.core.store.shards import encode_json, group_metadata, write_array
from pipeline.core.tables.parquet import write_table
from pipeline.core.tables.schemas import CLIPS

CLIPS_OF = {"alley": 5, "bonn": 4, "creek": 2}
"""Number of clips per video."""
STORED = 5
"""Frames per clip in the stores; delta is 2."""
CROP = (64, 32)
K = len(JOINTS)
ROW_SHAPES = {
    "crops": (STORED, *CROP, 3),
    "heatmaps": (STORED, K, CROP[0] // 4, CROP[1] // 4),
    "flow": (STORED - 1, 2, CROP[0] // 4, CROP[1] // 4),
    "features": (STORED, 24, CROP[0] // 4, CROP[1] // 4),
    "tokens": (STORED, CROP[0] // 16 * CROP[1] // 16, 128),
}


def make_project(folder: Path) -> Path:
    """Make a folder with the layout of a DVC repository."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[cache]\n    type = hardlink\n")
    return folder


def values_of(kind: str, unit: str, rows: int) -> np.ndarray:
    """Return random rows that depend only on kind and unit."""
    generator = np.random.default_rng(list(f"{kind}/{unit}".encode()))
    shape = (rows, *ROW_SHAPES[kind])
    if kind == "crops":
        return generator.integers(0, 256, shape, dtype=np.uint8)
    return generator.normal(size=shape).astype(np.float16)


def write_store(root: Path, kind: str, units: Mapping[str, np.ndarray]) -> Path:
    """Write a store in the layout that a stage publishes."""
    root.mkdir(parents=True)
    for name, values in units.items():
        shape = values.shape[1:]
        write_array(
            root / name, [values], rows=len(values), row_shape=shape, dtype=values.dtype.name
        )
        (root / name).with_name("zarr.json").write_bytes(encode_json(group_metadata({})))
    (root / "zarr.json").write_bytes(encode_json(group_metadata(group_attributes(kind))))
    digests = {name: f"{kind}-{name}" for name in sorted(units)}
    (root / "digests.json").write_text(json.dumps(digests))
    return root


def random_store(
    root: Path, kind: str, variants: int, clips_of: Mapping[str, int] = CLIPS_OF
) -> Path:
    """Write a store with random rows for every clip in every variant."""
    names = [(f"{video}/v{v}", n) for video, n in clips_of.items() for v in range(variants)]
    return write_store(root, kind, {name: values_of(kind, name, n) for name, n in names})


def clip_frame(
    variants: int, clips_of: Mapping[str, int] = CLIPS_OF, crop: Sequence[int] = CROP
) -> pd.DataFrame:
    """Return clips with random joints: a quarter has no label, a quarter is occluded."""
    rows = []
    for video, count in clips_of.items():
        for variant in range(variants):
            for clip in range(count):
                generator = np.random.default_rng([*video.encode(), variant, clip])
                keypoints = generator.uniform(0, 1, (K, 2)) * [crop[1] - 1, crop[0] - 1]
                rows.append(
                    {
                        "video": video, "clip": clip, "variant": variant, "frame": 2 * (clip // 2),
                        "frames": [2 * (clip // 2)] * STORED, "person": clip % 2,
                        "track_id": clip % 2, "score": 1 - clip / 10, "box_x": 10.0 + clip,
                        "box_y": 20.0, "box_w": 30.0, "box_h": 60.0,
                        "to_crop": [0.5, 0.0, 3.0 + clip, 0.0, 0.5, -2.0],
                        "flipped": variant % 2 == 1, "keypoints": keypoints.ravel().tolist(),
                        "visible": generator.choice([0, 1, 2, 2], K).tolist(),
                    }
                )  # fmt: skip
    return pd.DataFrame(rows, columns=CLIPS.names)


def write_clips(data: Path, crops: str, split: str, frame: pd.DataFrame) -> None:
    """Write the clip table of an input and a split."""
    write_table(clips_file(data, crops, split), frame, CLIPS)
