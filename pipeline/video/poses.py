"""Pose estimation in a window of a video: boxes, crops, networks and decoding.

The steps are those of the DAG. Cached tensors stay in memory, rounded to float16 as in the stores,
so a video gets the same numbers as in the DAG.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_rows
from pipeline.clips.cropping import crop
from pipeline.core.heatmap import flip_back_heatmaps
from pipeline.core.tables.parquet import write_table
from pipeline.core.tables.schemas import PEOPLE
from pipeline.detection.detections import box_table
from pipeline.prediction.poses import DecodeConfig, VideoClips, decode_poses
from pipeline.prediction.units import PREDICTIONS
from pipeline.video.boxes import VIDEO, BoxFinder
from pipeline.video.windows import FrameWindow

Head = Callable[[Mapping[str, Tensor]], Tensor]
"""Maps cached tensors by kind to heatmaps ``(B, K, h, w)``."""

POSES = pa.schema(
    [
        PREDICTIONS.field("frame"),
        pa.field("seconds", pa.float64()),  # display time of the frame
        *(PREDICTIONS.field(name) for name in PREDICTIONS.names if name not in {"video", "frame"}),
    ]
)
"""Schema of a video's predictions.parquet, sorted by frame and row."""


@dataclass(frozen=True, slots=True)
class PoseNetworks:
    """Networks that turn crops into heatmaps of the key frame."""

    caches: Mapping[str, nn.Module]
    """Networks by kind of cache; each maps uint8 crops ``(B, T, H, W, 3)`` to its cache."""
    head: Head
    device: str


class WindowPoseEstimator:
    """Estimates the poses in a window.

    Args:
        boxes: Returns the boxes in key frames.
        networks: Backbones and head.
        settings: Settings of clips and crops.
        decoding: How heatmaps become joints.
    """

    def __init__(
        self,
        boxes: BoxFinder,
        networks: PoseNetworks,
        settings: ClipSettings,
        decoding: DecodeConfig,
    ) -> None:
        self._boxes = boxes
        self._networks = networks
        self._settings = settings
        self._decoding = decoding

    def __call__(self, window: FrameWindow) -> pd.DataFrame:
        """Return the poses in the key frames of the window: rows of ``POSES`` without track ids."""
        boxes = box_table(self._boxes(window))
        no_people = pd.DataFrame(columns=PEOPLE.names)
        source = VideoBoxes(VIDEO, window.end, boxes, no_people)
        clips = clip_rows(source, 0, self._settings)
        if clips.empty:
            return pd.DataFrame(columns=POSES.names)
        heatmaps = self._heatmaps(clips, window)
        if self._decoding.flip:
            mirrored = self._heatmaps(clip_rows(source, 1, self._settings), window)
            heatmaps = np.asarray((heatmaps + flip_back_heatmaps(mirrored)) / 2, np.float32)
        entries = clips["frame"].to_numpy(dtype=np.int64)
        poses = decode_poses(heatmaps, VideoClips(Path(), clips, entries), self._decoding)
        return pd.DataFrame(
            {
                "frame": entries,
                "seconds": [window.frames[number].seconds for number in entries],
                "row": clips.groupby("frame").cumcount(),
                "track_id": -1,
                **{name: clips[name] for name in ("box_x", "box_y", "box_w", "box_h")},
                "box_score": clips["score"],
                "keypoints": list(poses.keypoints.reshape(len(clips), -1)),
                "scores": list(poses.scores),
            }
        )

    def _heatmaps(self, clips: pd.DataFrame, window: FrameWindow) -> NDArray[np.float32]:
        """Return the heatmaps of clips, ``(N, K, h, w)``, computed in batches."""
        networks, parts = self._networks, []
        for first in range(0, len(clips), self._decoding.batch):
            part = clips.iloc[first : first + self._decoding.batch]
            crops = torch.from_numpy(self._crops(part, window)).to(networks.device)
            exact = torch.backends.cudnn.flags(
                deterministic=True, benchmark=False, allow_tf32=False
            )
            with torch.inference_mode(), exact:
                caches = {kind: net(crops).half().float() for kind, net in networks.caches.items()}
                parts.append(networks.head(caches).float().cpu().numpy())
        return np.concatenate(parts)

    def _crops(self, clips: pd.DataFrame, window: FrameWindow) -> NDArray[np.uint8]:
        """Return the crops of clips, ``(B, T, H, W, 3)``."""
        return np.stack(
            [
                np.stack(
                    [
                        crop(
                            window.picture(int(number)),
                            np.asarray(row["to_crop"]).reshape(2, 3),
                            self._settings.crop_size,
                            flipped=bool(row["flipped"]),
                        )
                        for number in row["frames"]
                    ]
                )
                for row in clips.to_dict("records")
            ]
        )


def write_poses(path: Path, poses: pd.DataFrame) -> None:
    """Write poses to a Parquet file, atomically."""
    write_table(path, poses[POSES.names], POSES)
