"""The cached tensors of the clips of a split, as a dataset for torch."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from pipeline.core.caches.clip_table import clips_file, read_clips, table_of
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.caches.reader import Caches
from pipeline.core.data_set import read_data_set
from pipeline.core.grid import grid_size
from pipeline.core.params import read_section
from pipeline.core.posetrack.reader import read_annotations
from pipeline.core.system_params import CACHES
from pipeline.prediction.poses import decode_poses
from pipeline.prediction.posetrack_predictions import write_predictions
from pipeline.prediction.units import read_videos
from pipeline.training.dataset import ClipFeed, MappedSource, TargetSpec
from pipeline.training.target_params import Target
from pipeline.training.targets import joint_weights, make_targets
from posereel.clip_loader import ClipLoader
from stages.predict import Predict

SPLITS = ("train", "val", "val_gt")
_INPUTS = dict.fromkeys(CACHES, "hrnet") | {"tokens": "vit"}
"""Crops that every cache is computed from."""


class ClipCaches(Dataset[dict[str, Any]]):
    """The clips of a split with their cached tensors; a map-style dataset.

    A clip is the crops of one person in a key frame and in the frames around it. The tensors are
    those that the frozen networks gave for these crops. An item has

    - the caches that are read, float32, with T frames, the key frame in the middle: ``heatmaps``
      ``(T, K, h, w)``; ``flow`` ``(T - 1, 2, h, w)``, (dx, dy) in heatmap cells from each frame to
      the next; ``features`` ``(T, C, h, w)``; ``tokens`` ``(T, N, D)``;
    - ``target`` ``(K, h, w)`` and ``weights`` ``(K,)``: the Gaussian heatmaps of the key frame's
      joints and 1 for joints that are supervised, otherwise 0, both as in the training of the
      pipeline (section ``target`` of params.yaml);
    - ``joints`` ``(K, 2)``: xy in pixels of the crop, float32; without meaning where ``visible``
      is 0;
    - ``visible`` ``(K,)``: 0 no label or outside the crop, 1 occluded, 2 visible, int64;
    - ``clip``: the other columns of the person's row in the clip table, by name
      (``pipeline.core.tables.schemas.CLIPS``), with ``to_crop`` as a 2 x 3 matrix.

    The order of the K = 15 joints is that of ``pipeline.core.skeleton.JOINTS``.

    Args:
        data: Folder ``data`` of a checkout in which the pipeline was run.
        split: ``train``, ``val`` (detected boxes) or ``val_gt`` (the boxes of the ground truth).
        reads: Caches to read: any of ``heatmaps``, ``flow`` and ``features``, or ``tokens``.
        frames: Number T of frames, odd; frames that are stored beyond it are cut on both sides.
            None: all that are stored.
        variant: Augmented copy of the clips that items come from; 0 is not augmented.
        params: The params file of the run; None: params.yaml beside ``data``.

    Attributes:
        split: The split.
        reads: The caches that are read.
        frames: Number T of frames of an item.
        table: The rows of the clip table, one per item.

    Raises:
        ValueError: If an argument is unknown, or the caches are missing, incomplete, or of other
            clips than the clip table.
    """

    def __init__(
        self,
        data: str | Path,
        *,
        split: str = "train",
        reads: str | Iterable[str] = ("heatmaps",),
        frames: int | None = None,
        variant: int = 0,
        params: str | Path | None = None,
    ) -> None:
        self._data = Path(data).absolute()
        self._params = self._data.parent / "params.yaml" if params is None else Path(params)
        self.split = _known("split", [split], SPLITS)[0]
        self.reads = _known("reads", [reads] if isinstance(reads, str) else [*reads], CACHES)
        self._crops = _input_of(self.reads)
        self._file = clips_file(self._data, self._crops, split)
        self._folders = {kind: self._data / kind / split for kind in self.reads}
        self._check_files()
        rows = read_clips(self._file)
        self._clips = table_of(rows, self._file)
        if not 0 <= variant < self._clips.variants:
            raise ValueError(
                f"variant: expected 0 to {self._clips.variants - 1}, the variants in {self._file}, "
                f"got {variant}"
            )
        self._variant = variant
        self.table = rows[rows["variant"] == variant].reset_index(drop=True)
        self.frames = self._read_frames(frames)
        target = read_section(self._params, "target", Target)
        size = grid_size(read_crop_size(self._params, self._crops))
        self._target_spec = TargetSpec(target, size, target.sigma.of(self._crops))
        self._caches: Caches | None = None
        self._check_clips(self._opened())

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._clips)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a clip.

        Raises:
            IndexError: If there is no such clip.
            ValueError: If a stored tensor is damaged.
        """
        clip = range(len(self))[index]
        joints, visible = (
            torch.from_numpy(values[self._variant][clip].copy())
            for values in (self._clips.keypoints, self._clips.visible)
        )
        spec = self._target_spec
        return {
            **self._read(clip),
            "target": make_targets(joints[None], visible[None], spec.heatmap_size, spec.sigma)[0],
            "weights": joint_weights(visible, spec.target.occluded),
            "joints": joints.float(),
            "visible": visible.long(),
            "clip": self._row(clip),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without open files; a copy in another process opens its own."""
        return self.__dict__ | {"_caches": None}

    def loader(
        self, *, batch: int = 32, seed: int = 0, device: str | torch.device = "cpu"
    ) -> ClipLoader:
        """Return the batches that the training of the pipeline reads, about as fast as it does.

        For equal clips, batch size and seed, every batch has the bytes of the pipeline's training:
        cached tensors, ``target`` and ``weights``. Epoch e reads variant e modulo the number of
        variants. Clips that do not fill a batch are left out of an epoch; the order changes.

        Args:
            batch: Clips per batch.
            seed: Seed of the order.
            device: Device of the batches, such as ``cuda``.

        Raises:
            ValueError: If there is no clip.
        """
        target_device = torch.device(device)
        # A store is not thread-safe, so the thread that reads ahead has its own.
        source = MappedSource(self._clips, Caches(self._folders, self.frames), target_device)
        feed = ClipFeed(
            self._clips, source, self._target_spec, batch=batch, seed=seed, where=self._file
        )
        return ClipLoader(feed, target_device)

    @property
    def annotations(self) -> Path:
        """Folder of the ground-truth files of the split, for ``posereel.score``."""
        folder = "train" if self.split == "train" else "val"
        return self._annotations() / folder

    def write_predictions(self, heatmaps: Tensor, folder: str | Path) -> Path:
        """Decode heatmaps and write the poses as the stage predict does, one file per video.

        Args:
            heatmaps: Estimated heatmaps of every clip, in the order of the items, ``(N, K, h, w)``.
            folder: Folder for the files; it is created, and files of equal names are replaced.

        Returns:
            The folder, for ``posereel.score``.

        Raises:
            ValueError: If the split is ``train``, the number of heatmaps is not that of the clips,
                or a value is not finite.
        """
        if self.split == "train" or self._variant:
            raise ValueError(
                f"write_predictions: expected variant 0 of val or val_gt, got variant "
                f"{self._variant} of {self.split}; poses are scored on the validation videos"
            )
        values = heatmaps.detach().float().cpu().numpy()
        if values.ndim != 4 or len(values) != len(self):
            raise ValueError(
                f"write_predictions: expected heatmaps ({len(self)}, K, h, w), one per clip, got "
                f"{values.shape}"
            )
        config = read_section(self._params, "predict", Predict).decode_config()
        videos = read_videos(self._data, self.split, self._crops, self._annotations(), flip=False)
        places = pd.MultiIndex.from_frame(self.table[["video", "clip"]])
        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        for name, video in videos.items():
            rows = places.get_indexer(pd.MultiIndex.from_frame(video.clips[["video", "clip"]]))
            poses = decode_poses(values[rows], video, config)
            write_predictions(out / f"{name}.json", read_annotations(video.annotation), poses)
        return out

    def _annotations(self) -> Path:
        # Params name it relative to the checkout.
        return self._data.parent / read_data_set(self._params).annotations

    def _opened(self) -> Caches:
        if self._caches is None:
            self._caches = Caches(self._folders, self.frames)
        return self._caches

    def _read(self, clip: int) -> dict[str, Tensor]:
        """Return the cached tensors of one clip."""
        caches = self._opened()
        buffers = caches.buffers(1)
        unit = f"{self._clips.videos[clip]}/v{self._variant}"
        caches.read([unit], self._clips.rows[clip : clip + 1], buffers, check=True)
        return {kind: caches.cut(kind, rows)[0].float() for kind, rows in buffers.items()}

    def _row(self, clip: int) -> dict[str, Any]:
        """Return the row of the clip table without the joints, in values that torch can collate."""
        row = self.table.iloc[clip].drop(["keypoints", "visible"]).to_dict()
        stored = np.asarray(row["frames"])
        margin = (len(stored) - self.frames) // 2
        row["frames"] = torch.as_tensor(stored[margin : margin + self.frames].astype(np.int64))
        row["to_crop"] = torch.as_tensor(np.reshape(row["to_crop"], (2, 3)).copy())
        return {
            str(name): value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
        }

    def _read_frames(self, frames: int | None) -> int:
        stored = len(self.table["frames"].iloc[0]) if len(self.table) else frames or 1
        if frames is None:
            return stored
        if not (0 < frames <= stored and frames % 2):
            raise ValueError(
                f"frames: expected an odd number up to {stored}, the frames of a clip in "
                f"{self._file}, got {frames}; for more frames raise crop.{self._crops}.delta"
            )
        return frames

    def _check_clips(self, caches: Caches) -> None:
        kinds = {unit.partition("/")[0] for unit in caches.digests}
        if len(self) and "features" in {*self.reads} - kinds:
            raise ValueError(
                f"{self._folders['features']}: expected the features of {len(self)} clips, found "
                "an empty store; set features.enabled to true and run dvc repro features"
            )
        caches.check_clips(self._clips.units)

    def _check_files(self) -> None:
        if not self._data.is_dir():
            raise ValueError(
                f"{self._data}: expected the folder data of a checkout, found none; check the path"
            )
        files = [self._file, *(folder / "digests.json" for folder in self._folders.values())]
        if missing := [file for file in files if not file.is_file()]:
            raise ValueError(
                f"{missing[0]}: expected the caches {', '.join(self.reads)} of {self.split}, found "
                f"none; make them in the checkout: dvc repro {' '.join(self.reads)}"
            )


def _known(name: str, values: Sequence[str], choices: Sequence[str]) -> tuple[str, ...]:
    """Return the values if all are among the choices and there is one."""
    unknown = [value for value in values if value not in choices]
    if unknown or not values:
        got = repr(unknown[0]) if unknown else "none"
        raise ValueError(f"{name}: expected {', '.join(choices)}, got {got}")
    return tuple(dict.fromkeys(values))


def _input_of(reads: Sequence[str]) -> str:
    """Return the crops that the caches are computed from."""
    inputs = {_INPUTS[kind] for kind in reads}
    if len(inputs) > 1:
        raise ValueError(
            f"reads: expected caches of the same crops, got {', '.join(reads)}: tokens are "
            "computed from other crops than the other caches; use two ClipCaches"
        )
    return inputs.pop()
