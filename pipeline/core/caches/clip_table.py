"""The clips of a split as arrays: unit, row and joints of every clip."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.core.skeleton import JOINTS
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import CLIPS


@dataclass(frozen=True, slots=True)
class ClipTable:
    """N clips in V variants, as arrays."""

    videos: NDArray[np.object_]
    """Video of every clip, ``(N,)``."""
    rows: NDArray[np.int32]
    """Row of every clip in the arrays of its video, ``(N,)``."""
    keypoints: NDArray[np.float64]
    """Joints, ``(V, N, K, 2)``, pixels of the variant's crop."""
    visible: NDArray[np.int8]
    """0 no label or outside the crop, 1 occluded, 2 visible, ``(V, N, K)``."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def variants(self) -> int:
        """Number of variants V; 1 if there are no clips."""
        return max(1, len(self.keypoints))

    @property
    def units(self) -> dict[str, int]:
        """Number of clips of every unit, ``<video>/v<variant>``."""
        videos, counts = np.unique(self.videos.astype(str), return_counts=True)
        return {
            f"{video}/v{variant}": int(count)
            for video, count in zip(videos, counts, strict=True)
            for variant in range(len(self.keypoints))
        }

    def of_videos(self, wanted: Callable[[str], bool]) -> "ClipTable":
        """Return the clips of some videos.

        Args:
            wanted: Returns whether the clips of a video are included.
        """
        kept = np.array([wanted(video) for video in self.videos], dtype=bool)
        return ClipTable(
            self.videos[kept], self.rows[kept], self.keypoints[:, kept], self.visible[:, kept]
        )


def clips_file(data: Path, crops: str, split: str) -> Path:
    """Return the path of the clip table of an input and a split.

    The clip table is an output of its own, because heads read it but not the crops, and DVC 3.67.1
    cannot fetch a single file of a folder with ``push: false``.

    Args:
        data: Folder of all outputs.
        crops: The input, ``hrnet`` or ``vit``.
        split: ``train``, ``val`` or ``val_gt``.
    """
    return data / "clips" / crops / f"{split}.parquet"


def read_clips(file: Path) -> pd.DataFrame:
    """Return a clip table, sorted by video, variant and clip."""
    return read_table(file, CLIPS)


def table_of(frame: pd.DataFrame, source: Path) -> ClipTable:
    """Turn a clip table into arrays.

    Args:
        frame: Rows of ``schemas.CLIPS``.
        source: File of the table, for error messages.

    Raises:
        ValueError: If the variants do not contain the same clips.
    """
    groups = [group for _, group in frame.groupby("variant", sort=True)]
    if not groups:
        empty = np.zeros(0, np.int32)
        shape = (1, 0, len(JOINTS))
        return ClipTable(
            empty.astype(object), empty, np.zeros((*shape, 2)), np.zeros(shape, np.int8)
        )
    first = groups[0]
    for variant, group in enumerate(groups):
        same = len(group) == len(first) and all(
            (group[name].to_numpy() == first[name].to_numpy()).all() for name in ("video", "clip")
        )
        if not same or (group["variant"] != variant).any():
            raise ValueError(
                f"{source}: expected the same clips in the variants 0..{len(groups) - 1}, variant "
                f"{int(group['variant'].iloc[0])} differs; run the stage crop again"
            )
    shape = (len(groups), len(first), len(JOINTS))
    return ClipTable(
        videos=first["video"].to_numpy(dtype=object),
        rows=first["clip"].to_numpy(dtype=np.int32),
        keypoints=_stacked(groups, "keypoints").astype(np.float64).reshape(*shape, 2),
        visible=_stacked(groups, "visible").astype(np.int8).reshape(shape),
    )


def _stacked(groups: list[pd.DataFrame], column: str) -> NDArray[np.generic]:
    return np.stack([np.stack(group[column].to_list()) for group in groups])
