"""How much the cached frames of a clip could give at most: an oracle beside the systems.

Of a finished `dvc repro`, over people who are labeled in every frame of their clip: the share of
joints within PCKh 0.5 in the key frame's heatmaps of HRNet; in those of at least one frame, each
held to the truth of its own frame, as an oracle would choose that knows truth and motion; and in
the predictions of every system. No head that picks among these frames finds more than the oracle.

    python benchmarks/ceiling.py [--quick] [--json FILE] [--data DIR] [--params FILE]
"""

import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measurement import Figures, JsonFile, Quick, describe_machine, show, write_figures
from pipeline.base.params import read_section
from pipeline.caches.clip_table import clips_file, read_clips
from pipeline.evaluation.metrics.posetrack_ap import THRESHOLD
from pipeline.geometry.affine import transform
from pipeline.heatmap import decode
from pipeline.prediction.units import PREDICTIONS
from pipeline.report.run_results import SYSTEMS
from pipeline.skeleton import JOINT_SLOTS
from pipeline.store.reader import Store
from pipeline.tables.parquet import read_table
from pipeline.tables.schemas import PEOPLE
from stages.predict import Predict

SPLIT = "val_gt"
QUICK_VIDEOS = 2
Person = tuple[str, int, int]
"""Video, frame and track of a person."""
Clip = Mapping[Hashable, Any]
"""A row of the clip table."""
Points = NDArray[np.float64]
Hits = NDArray[np.bool_]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Truth:
    """A labeled person in a frame."""

    joints: Points
    """``(15, 2)``, pixels of the image."""
    reach: float
    """Farthest a joint may be off, pixels of the image: half of poseval's head size."""

    @property
    def labeled(self) -> Hits:
        """Which joints have a place, ``(15,)``."""
        labeled: Hits = np.any(self.joints != 0, axis=1)
        return labeled


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Print the shares of joints found.

    Quick: two videos.
    """
    truths = read_truths(data)
    clips = read_clips(clips_file(data, "hrnet", SPLIT))
    if quick:
        clips = clips[clips["video"].isin(sorted(set(clips["video"]))[:QUICK_VIDEOS])]
    store = Store(data / "heatmaps" / SPLIT, "heatmaps")
    section = read_section(params, "predict", Predict)
    systems = {
        name: read_joints(file)
        for name in SYSTEMS
        if (file := data / "predictions" / name / SPLIT / "predictions.parquet").is_file()
    }
    found = dict.fromkeys(("key frame", "oracle", *systems), 0)
    joints = 0
    for clip, people in labeled_throughout(clips, truths):
        middle = len(people) // 2
        counted = np.logical_and.reduce([person.labeled for person in people])
        hits = hits_of_frames(store, section, clip, people)
        joints += int(counted.sum())
        found["key frame"] += int((hits[middle] & counted).sum())
        found["oracle"] += int((hits.any(axis=0) & counted).sum())
        for name, predicted in systems.items():
            seen = predicted[clip["video"], clip["frame"], clip["track_id"]]
            hit = near(seen, people[middle].joints, people[middle].reach)
            found[name] += int((hit & counted).sum())
    report(found, joints, json_file)


def report(found: dict[str, int], joints: int, json_file: Path | None) -> None:
    """Print the table and write the figures."""
    share = {name: 100 * count / joints for name, count in found.items()}
    missing = 100 - share["key frame"]
    removed = {name: 100 * (value - share["key frame"]) / missing for name, value in share.items()}
    rows = [(name, round(share[name], 1), round(removed[name], 1)) for name in share]
    header = ("", "PCKh 0.5, %", "of the key frame's misses, %")
    show(f"ceiling: {joints} joints of {SPLIT}, {describe_machine()}", [header, *rows])
    figures: Figures = {"joints": joints, "pckh": share, "removed": removed}
    write_figures(json_file, figures)


def read_truths(data: Path) -> dict[Person, Truth]:
    """Return all labeled people that have a head box."""
    truths = {}
    for row in read_table(data / "index" / "people.parquet", PEOPLE).to_dict("records"):
        slots = np.reshape(row["keypoints"], (-1, 3))[JOINT_SLOTS]
        reach = THRESHOLD * 0.6 * float(np.hypot(row["head_w"], row["head_h"]))
        if np.isfinite(reach):
            truths[row["video"], row["frame"], row["track_id"]] = Truth(slots[:, :2], reach)
    return truths


def read_joints(file: Path) -> dict[Person, Points]:
    """Return the joints that a system predicts for everybody, ``(15, 2)``, pixels of the image."""
    return {
        (row["video"], row["frame"], row["track_id"]): np.reshape(row["keypoints"], (-1, 2))
        for row in read_table(file, PREDICTIONS).to_dict("records")
    }


def labeled_throughout(
    clips: pd.DataFrame, truths: Mapping[Person, Truth]
) -> Iterator[tuple[Clip, list[Truth]]]:
    """Yield the clips whose frames all differ and show their person with labels, with the truth."""
    for clip in clips[clips["variant"] == 0].to_dict("records"):
        frames = [int(frame) for frame in clip["frames"]]
        people = [truths.get((clip["video"], frame, clip["track_id"])) for frame in frames]
        present = [person for person in people if person is not None]
        if len(set(frames)) == len(frames) == len(present):
            yield clip, present


def hits_of_frames(store: Store, section: Predict, clip: Clip, people: Sequence[Truth]) -> Hits:
    """Return which joints the heatmaps of each frame show near its truth, ``(T, 15)``."""
    maps = store.read(f"{clip['video']}/v0", [clip["clip"]])[0].astype(np.float32)
    seen, _ = decode(maps, section.decode, section.blur)
    matrix = np.reshape(clip["to_crop"], (2, 3))
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    return np.stack(
        [
            near(joints, transform(person.joints, matrix), person.reach * scale)
            for joints, person in zip(seen, people, strict=True)
        ]
    )


def near(joints: Points, truth: Points, reach: float) -> Hits:
    """Return which joints lie within reach of the truth, ``(15,)``."""
    hits: Hits = np.linalg.norm(joints - truth, axis=1) <= reach
    return hits


if __name__ == "__main__":
    app()
