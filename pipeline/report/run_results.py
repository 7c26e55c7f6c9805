"""What a finished run of the DAG says of every system: metrics, provenance, scored people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evaluation.metrics.posetrack_ap import Matches, match
from pipeline.evaluation.metrics.posetrack_pool import Protocol, VideoPair, pool
from pipeline.posetrack.annotations import Annotations
from pipeline.posetrack.reader import read_annotations, read_predictions
from pipeline.tables.parquet import read_table
from pipeline.tables.schemas import VIDEOS

SYSTEMS = ("hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd")
SPLITS = ("val", "val_gt")


@dataclass(frozen=True, slots=True)
class RunResults:
    """The results of a run; every mapping has the systems in the order of ``SYSTEMS``."""

    metrics: Mapping[str, Mapping[str, Any]]
    """Content of data/metrics/<system>.json."""
    facts: Mapping[str, Mapping[str, Any]]
    """Content of data/metrics/<system>.provenance.json."""
    matches: Mapping[str, Mapping[str, Matches]]
    """By split, then by system."""
    data: Path
    """Folder that all of it was read from, with ``evaluation``."""

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems that were run."""
        return tuple(self.metrics)

    def evaluation(self, name: str) -> pd.DataFrame:
        """Return a table of data/evaluation of all systems, with a column ``system``."""
        parts = [
            pd.read_parquet(self.data / "evaluation" / system / f"{name}.parquet").assign(
                system=system
            )
            for system in self.systems
        ]
        return pd.concat(parts, ignore_index=True)


def read_truths(data: Path, annotations: Path) -> dict[str, Annotations]:
    """Return the ground truth of every validation video.

    Args:
        data: Folder with ``index``.
        annotations: Folder that the paths of the index are relative to.
    """
    videos = read_table(data / "index" / "videos.parquet", VIDEOS)
    videos = videos[videos["split"] == "val"]
    return {
        str(video): read_annotations(annotations / annotation)
        for video, annotation in zip(videos["video"], videos["annotation"], strict=True)
    }


def read_results(
    data: Path, truths: Mapping[str, Annotations], systems: Sequence[str] = SYSTEMS
) -> RunResults:
    """Read what a run has left.

    Args:
        data: Folder with ``metrics``, ``evaluation`` and ``predictions``.
        truths: Ground truth by video; every split is scored on it.
        systems: The systems to read.

    Raises:
        ValueError: If a file is missing or malformed.
    """
    facts = read_facts(data, systems)
    return RunResults(
        metrics={name: _read(data / "metrics" / f"{name}.json") for name in systems},
        facts=facts,
        matches={
            split: {
                name: _match(data / "predictions" / name / split, truths, facts[name]["protocol"])
                for name in systems
            }
            for split in SPLITS
        },
        data=data,
    )


def read_facts(data: Path, systems: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the provenance of systems, from the folder with ``metrics``."""
    return {name: _read(data / "metrics" / f"{name}.provenance.json") for name in systems}


def _read(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _match(folder: Path, truths: Mapping[str, Annotations], protocol: Protocol) -> Matches:
    pairs = [
        VideoPair(video, truth, read_predictions(folder / f"{video}.json"))
        for video, truth in truths.items()
    ]
    return match(pool(pairs, protocol))
