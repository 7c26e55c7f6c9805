"""The results of a finished run: metrics, provenance and matched people of every system."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.posetrack.annotations import Annotations
from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import VIDEOS
from pipeline.evaluation.metrics.posetrack_ap import Matches, match
from pipeline.evaluation.metrics.posetrack_pool import Protocol, VideoPair, pool

SPLITS = ("val", "val_gt")
Comparisons = Mapping[str, Sequence[str]]
"""The systems that each head is compared with: its single-frame baseline first, then controls."""


@dataclass(frozen=True, slots=True)
class RunResults:
    """The results of a run; all mappings have the systems in the same order."""

    metrics: Mapping[str, Mapping[str, Any]]
    """Content of data/evaluation/<system>/metrics.json."""
    facts: Mapping[str, Mapping[str, Any]]
    """Content of data/evaluation/<system>/provenance.json."""
    matches: Mapping[str, Mapping[str, Matches]]
    """Predictions matched with the ground truth, by split, then by system."""
    data: Path
    """Folder that the results were read from, with ``evaluation``."""

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems that were run."""
        return tuple(self.metrics)

    def evaluation(self, name: str) -> pd.DataFrame:
        """Return one table of data/evaluation for all systems, with a column ``system``."""
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
    data: Path, truths: Mapping[str, Annotations], systems: Sequence[str]
) -> RunResults:
    """Read the results of a run.

    Args:
        data: Folder with ``evaluation`` and ``predictions``.
        truths: Ground truth by video; every split is scored on it.
        systems: The systems to read, in the order in which they are shown.

    Raises:
        ValueError: If a file is missing or malformed.
    """
    facts = read_facts(data, systems)
    return RunResults(
        metrics={name: _read(data, name, "metrics") for name in systems},
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


def evaluated_systems(data: Path, systems: Sequence[str]) -> list[str]:
    """Return those of the systems that have results in a folder of outs."""
    return [name for name in systems if _file(data, name, "metrics").is_file()]


def read_facts(data: Path, systems: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the provenance of systems, from the folder with ``evaluation``."""
    return {name: _read(data, name, "provenance") for name in systems}


def _file(data: Path, system: str, name: str) -> Path:
    return data / "evaluation" / system / f"{name}.json"


def _read(data: Path, system: str, name: str) -> dict[str, Any]:
    file = _file(data, system, name)
    if not file.is_file():
        raise ValueError(f"{file}: expected the results of {system}, got none; run `dvc repro`")
    values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return values


def _match(folder: Path, truths: Mapping[str, Annotations], protocol: Protocol) -> Matches:
    pairs = [
        VideoPair(video, truth, read_predictions(folder / f"{video}.json"))
        for video, truth in truths.items()
    ]
    return match(pool(pairs, protocol))
