"""Online clips: decoding, cropping, augmentation and frozen networks in every epoch.

Public code of related methods trains this way. A DataLoader decodes the frames of each clip, crops
them with a new random augmentation and computes the targets. The frozen HRNet and RAFT process each
batch before the head.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_rows
from pipeline.clips.cropping import crop
from pipeline.core.frames.images import decode_image
from pipeline.core.grid import grid_size
from pipeline.core.heatmap import encode
from pipeline.core.skeleton import SLOTS
from pipeline.training.processes import DistributedContext

FRAMES_PER_VIDEO = 16
Batch = dict[str, Tensor]
Row = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Videos:
    """Images on disk with their boxes and people."""

    root: Path
    sources: list[VideoBoxes]

    def rows(self, settings: ClipSettings, variant: int) -> pd.DataFrame:
        """Return the clip table of one variant."""
        tables = [clip_rows(source, variant, settings) for source in self.sources]
        return pd.concat(tables, ignore_index=True)

    def picture(self, video: str, frame: int) -> NDArray[np.uint8]:
        """Decode a frame."""
        path = self.root / video / f"{frame:06d}.jpg"
        return decode_image(path, path.read_bytes(), None)


def make_videos(root: Path, clips: int, image_size: tuple[int, int]) -> Videos:
    """Write JPEG frames of smooth noise with one person each.

    Args:
        root: Folder to create.
        clips: Number of clips, one per frame; a multiple of ``FRAMES_PER_VIDEO``.
        image_size: (height, width) of the frames in pixels.
    """
    random = np.random.default_rng(0)
    height, width = image_size
    sources = []
    for number in range(clips // FRAMES_PER_VIDEO):
        video = f"{number:06d}"
        (root / video).mkdir(parents=True)
        boxes, people = [], []
        for frame in range(FRAMES_PER_VIDEO):
            noise = random.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
            picture = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(root / video / f"{frame:06d}.jpg"), picture)
            size = random.uniform(0.4, 0.8) * height
            x, y = random.uniform(0, (width - size / 2, height - size))
            joints = random.uniform((x, y), (x + size / 2, y + size), (len(SLOTS), 2))
            slots = np.column_stack([joints, np.ones(len(SLOTS))]).ravel()
            box = {"x": x, "y": y, "w": size / 2, "h": size, "score": 1.0, "person": 0}
            boxes.append({"video": video, "frame": frame, "row": 0, **box})
            people.append({"frame": frame, "person": 0, "track_id": 0, "keypoints": slots})
        tables = pd.DataFrame(boxes), pd.DataFrame(people)
        sources.append(VideoBoxes(video, FRAMES_PER_VIDEO, *tables))
    return Videos(root, sources)


class LiveClips(Dataset[Batch]):
    """Data set of one augmented variant of all clips.

    Args:
        videos: Source of the clips.
        settings: Settings of clips and crops.
        variant: Seed of the augmentation, different in each epoch.
        sigma: Standard deviation of the target Gaussians in cells.
    """

    def __init__(self, videos: Videos, settings: ClipSettings, variant: int, sigma: float) -> None:
        self._videos = videos
        self._size = settings.crop_size
        self._sigma = sigma
        self._rows = videos.rows(settings, variant).to_dict("records")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, clip: int) -> Batch:
        row = self._rows[clip]
        to_crop = np.reshape(row["to_crop"], (2, 3))
        pictures = [self._videos.picture(row["video"], int(frame)) for frame in row["frames"]]
        flipped = bool(row["flipped"])
        crops = [crop(picture, to_crop, self._size, flipped=flipped) for picture in pictures]
        grid = grid_size(self._size)
        keypoints, visible = np.reshape(row["keypoints"], (-1, 2)), np.asarray(row["visible"])
        return {
            "crops": torch.from_numpy(np.stack(crops)),
            "target": torch.from_numpy(encode(keypoints, visible, grid, self._sigma)),
            "weights": torch.from_numpy((visible > 0).astype(np.float32)),
        }


class LiveFeed:
    """Online batches for ``pipeline.training.loop``.

    Args:
        clips: Returns the clips of an epoch.
        networks: Networks by kind of cache; each maps crops ``(B, T, H, W, 3)`` to its tensor.
        batch: Number of clips per step.
        workers: Number of processes of the DataLoader.

    Attributes:
        seconds: Wall seconds by activity: ``load`` and each network.
    """

    def __init__(
        self,
        clips: Callable[[int], LiveClips],
        networks: Mapping[str, nn.Module],
        batch: int,
        workers: int,
    ) -> None:
        self._clips = clips
        self._networks = networks
        self._batch = batch
        self._workers = workers
        self._steps = len(clips(0)) // batch
        self.seconds = dict.fromkeys(["load", *networks], 0.0)

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches per epoch."""
        return self._steps

    def batches(self, start: int, stop: int, context: DistributedContext) -> Iterator[Batch]:
        """Yield the batches of full epochs."""
        for epoch in range(start // self._steps, stop // self._steps):
            loader: DataLoader[Batch] = DataLoader(
                self._clips(1 + epoch),  # variant 0 is never augmented
                batch_size=self._batch,
                shuffle=True,
                drop_last=True,
                num_workers=self._workers,
            )
            begin = time.perf_counter()
            for loaded in loader:
                batch = {name: tensor.to(context.device) for name, tensor in loaded.items()}
                crops = batch.pop("crops")
                begin = self._spend("load", begin)
                for kind, network in self._networks.items():
                    with torch.inference_mode():
                        cache = network(crops)
                    # Training cannot use inference tensors, so they are cloned.
                    batch[kind] = cache.clone()
                    begin = self._spend(kind, begin)
                yield batch
                begin = time.perf_counter()

    def _spend(self, name: str, begin: float) -> float:
        now = time.perf_counter()
        self.seconds[name] += now - begin
        return now
