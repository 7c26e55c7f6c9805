"""Upper bound of what heads can gain from the frames of a clip, by an oracle.

Uses a finished `dvc repro` and people who are labeled in every frame of their clip. Measures the
share of joints within PCKh 0.5 for the heatmaps of HRNet in the key frame, for an oracle, and for
the predictions of every system. The oracle knows truth and motion: it finds a joint if the heatmaps
of at least one frame are correct for the truth of that frame. No head that selects among these
frames finds more joints.

Three means of the clip's heatmaps, without any parameter, say what stacking and following people
are worth: of the heatmaps where they are, moved by the true motion of each joint, and moved by the
cached flow (models/head_parts/warp.py). Data can tell a head that follows people from one that
stacks frames if the true motion gives much more than no motion.

    python -m benchmarks.ceiling [--quick] [--json FILE] [--data DIR] [--params FILE]
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray

from benchmarks.measurement import Figures, JsonFile, Quick, describe_machine, show, write_figures
from models.head_parts.lookup import listed_systems
from models.head_parts.warp import sample, warp_to_key_frame
from pipeline.core.caches.clip_table import clips_file, read_clips
from pipeline.core.geometry.affine import transform
from pipeline.core.grid import STRIDE
from pipeline.core.heatmap import decode
from pipeline.core.params import read_section
from pipeline.core.skeleton import JOINT_SLOTS
from pipeline.core.store.reader import Store
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import PEOPLE
from pipeline.evaluation.metrics.posetrack_ap import THRESHOLD
from pipeline.prediction.units import PREDICTIONS
from stages.predict import Predict

SPLIT = "val_gt"
QUICK_VIDEOS = 2
Person = tuple[str, int, int]
"""Video, frame and track id of a person."""
Clip = Mapping[Hashable, Any]
"""A row of the clip table."""
Points = NDArray[np.float64]
Maps = NDArray[np.float32]
Hits = NDArray[np.bool_]
MEANS = ("mean, no motion", "mean, true motion", "mean, cached flow")

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Truth:
    """Ground truth of a person in a frame."""

    joints: Points
    """``(15, 2)``, image pixels; zeros if not labeled."""
    tolerance: float
    """Maximum error of a joint in image pixels: half of poseval's head size."""

    @property
    def labeled(self) -> Hits:
        """Whether each joint is labeled, ``(15,)``."""
        labeled: Hits = np.any(self.joints != 0, axis=1)
        return labeled


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    data: Annotated[Path, typer.Option(help="Folder of the data.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Print the share of joints that are found.

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
        for name in listed_systems()
        if (file := data / "predictions" / name / SPLIT / "predictions.parquet").is_file()
    }
    flow = Store(data / "flow" / SPLIT, "flow")
    found = dict.fromkeys(("key frame", "oracle", *MEANS, *systems), 0)
    joints = 0
    for clip, people in fully_labeled(clips, truths):
        middle = len(people) // 2
        counted = np.logical_and.reduce([person.labeled for person in people])
        maps, steps = read_clip(store, clip), read_clip(flow, clip)
        cells = np.stack([joints_in_crop(clip, person) for person in people]) / STRIDE
        hits = hits_of_maps(maps, section, clip, people)
        joints += int(counted.sum())
        found["key frame"] += int((hits[middle] & counted).sum())
        found["oracle"] += int((hits.any(axis=0) & counted).sum())
        means = mean_heatmaps(maps, steps, cells)
        for name, hit in zip(
            MEANS, hits_of_maps(means, section, clip, [people[middle]] * 3), strict=True
        ):
            found[name] += int((hit & counted).sum())
        for name, predicted in systems.items():
            predicted_joints = predicted[clip["video"], clip["frame"], clip["track_id"]]
            hit = close(predicted_joints, people[middle].joints, people[middle].tolerance)
            found[name] += int((hit & counted).sum())
    show_shares(found, joints, json_file)


def show_shares(found: dict[str, int], joints: int, json_file: Path | None) -> None:
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
    """Return all labeled people with a head box."""
    truths = {}
    for row in read_table(data / "index" / "people.parquet", PEOPLE).to_dict("records"):
        slots = np.reshape(row["keypoints"], (-1, 3))[JOINT_SLOTS]
        tolerance = THRESHOLD * 0.6 * float(np.hypot(row["head_w"], row["head_h"]))
        if np.isfinite(tolerance):
            truths[row["video"], row["frame"], row["track_id"]] = Truth(slots[:, :2], tolerance)
    return truths


def read_joints(file: Path) -> dict[Person, Points]:
    """Return the predicted joints of every person, ``(15, 2)``, image pixels."""
    return {
        (row["video"], row["frame"], row["track_id"]): np.reshape(row["keypoints"], (-1, 2))
        for row in read_table(file, PREDICTIONS).to_dict("records")
    }


def fully_labeled(
    clips: pd.DataFrame, truths: Mapping[Person, Truth]
) -> Iterator[tuple[Clip, list[Truth]]]:
    """Yield clips of distinct frames in which the person is always labeled, with the truths."""
    for clip in clips[clips["variant"] == 0].to_dict("records"):
        frames = [int(frame) for frame in clip["frames"]]
        people = [truths.get((clip["video"], frame, clip["track_id"])) for frame in frames]
        present = [person for person in people if person is not None]
        if len(set(frames)) == len(frames) == len(present):
            yield clip, present


def read_clip(store: Store, clip: Clip) -> Maps:
    """Return what a store holds of a clip."""
    found: Maps = store.read(f"{clip['video']}/v0", [clip["clip"]])[0].astype(np.float32)
    return found


def joints_in_crop(clip: Clip, person: Truth) -> Points:
    """Return the true joints of a frame in the crop of the clip, ``(15, 2)``, pixels."""
    return transform(person.joints, np.reshape(clip["to_crop"], (2, 3)))


def mean_heatmaps(maps: Maps, flow: Maps, joints: Points) -> Maps:
    """Return the means of a clip's heatmaps, in the order of ``MEANS``.

    Args:
        maps: Heatmaps, ``(T, 15, H, W)``.
        flow: (dx, dy) in cells from each frame to the next, ``(T - 1, 2, H, W)``.
        joints: True joints of every frame in cells, ``(T, 15, 2)``.

    Returns:
        ``(3, 15, H, W)``.
    """
    frames, _, height, width = maps.shape
    unmoved, steps = torch.from_numpy(maps), torch.from_numpy(flow)
    motion = torch.from_numpy(joints - joints[frames // 2]).float()
    constant = motion.reshape(-1, 2, 1, 1).expand(-1, 2, height, width)
    true = sample(unmoved.reshape(-1, 1, height, width), constant).reshape(maps.shape)
    warped = warp_to_key_frame(unmoved[None], steps[None])[0]
    means: Maps = torch.stack([unmoved, true, warped]).mean(dim=1).numpy()
    return means


def hits_of_maps(maps: Maps, section: Predict, clip: Clip, people: Sequence[Truth]) -> Hits:
    """Return which joints the heatmaps of each person ``(N, 15, H, W)`` find, ``(N, 15)``."""
    decoded, _ = decode(maps, section.decode, section.blur)
    matrix = np.reshape(clip["to_crop"], (2, 3))
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    return np.stack(
        [
            close(joints, joints_in_crop(clip, person), person.tolerance * scale)
            for joints, person in zip(decoded, people, strict=True)
        ]
    )


def close(joints: Points, truth: Points, tolerance: float) -> Hits:
    """Return which joints are within the tolerance of the truth, ``(15,)``."""
    hits: Hits = np.linalg.norm(joints - truth, axis=1) <= tolerance
    return hits


if __name__ == "__main__":
    app()
