"""The folder data/backbones: pose backbone weights and the fold of every train video.

``hrnet.safetensors`` was trained on all train videos, or is the given weights file. With folds,
``hrnet-fold<f>.safetensors`` was trained without the videos of fold f, and ``folds.json`` maps
every train video to its fold. A head is trained on out-of-fold heatmaps, because in-fold heatmaps
are more accurate than those of unseen videos. ``backbone.json`` names the network.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.atomic_file import write_file

FULL_WEIGHTS = "hrnet.safetensors"
FOLDS = "folds.json"
DESCRIPTION = "backbone.json"


@dataclass(frozen=True, slots=True)
class Backbones:
    """Backbone weights of a run."""

    folder: Path
    variant: str
    """Network variant, such as ``w48``."""
    folds: Mapping[str, int]
    """Fold of every train video; empty without folds."""

    def weights(self, split: str, video: str) -> Path:
        """Return the weights file that computes the heatmaps of a video.

        Raises:
            ValueError: If a train video has no fold.
        """
        if split != "train" or not self.folds:
            return self.folder / FULL_WEIGHTS
        if video not in self.folds:
            raise ValueError(
                f"{self.folder / FOLDS}: expected a fold for the train video {video!r}, found "
                "none; run the stage finetune_backbone again"
            )
        return self.folder / fold_weights(self.folds[video])


def fold_weights(fold: int) -> str:
    """Return the name of the weights file that was trained without the videos of a fold."""
    return f"hrnet-fold{fold}.safetensors"


def read_backbones(folder: Path) -> Backbones:
    """Read the output of the stage finetune_backbone.

    Raises:
        ValueError: If a file is missing or malformed.
    """
    try:
        card = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        folds = folder / FOLDS
        assigned = json.loads(folds.read_text(encoding="utf-8")) if folds.is_file() else {}
        return Backbones(folder, str(card["variant"]), assigned)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder}: expected the backbones, got {error!r}; run the stage finetune_backbone"
        ) from error


def write_description(folder: Path, variant: str, folds: Mapping[str, int]) -> None:
    """Write ``backbone.json`` and, with folds, ``folds.json``."""
    card = {"network": "hrnet", "variant": variant}
    write_file(folder / DESCRIPTION, json.dumps(card, indent=1).encode() + b"\n")
    if folds:
        write_file(folder / FOLDS, json.dumps(dict(folds), indent=1, sort_keys=True).encode())
