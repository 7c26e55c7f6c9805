"""CPU seconds of scoring a set of the size of PoseTrack18 val: 170 videos, 18,500 people.

The set is random: people walk through ignore regions; predictions are noisy copies of which some
are missing, some are duplicated and one in ten is far from its person. The time includes reading
the JSON files, but not imports.

    python -m benchmarks.score [--quick] [--json FILE]
"""

import json
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.measurement import (
    Cost,
    JsonFile,
    Quick,
    cost_of,
    describe_machine,
    median_cost,
    show,
    write_figures,
)
from pipeline.core.skeleton import JOINTS, SLOTS
from pipeline.evaluation.metrics.posetrack_pool import Protocol
from pipeline.maintenance.score import score_folders

FRAMES_PER_VIDEO = 100
PROTOCOLS: tuple[Protocol, ...] = ("poseval", "posetrack21")

app = typer.Typer(add_completion=False)
Row = dict[str, Any]


@app.command()
def main(quick: Quick = False, json_file: JsonFile = None) -> None:
    """Create the set, score it without OKS in both protocols and print CPU and wall seconds."""
    rounds = 1 if quick else 3
    videos, labeled, people = (17, 390, 1_850) if quick else (170, 3_900, 18_500)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        counts_of_people = make_set(root, videos=videos, labeled=labeled, people=people, seed=7)
        figures: Row = {"videos": videos, "labeled_frames": labeled, **counts_of_people}
        costs: dict[Protocol, list[Cost]] = {protocol: [] for protocol in PROTOCOLS}
        for _ in range(rounds):
            for protocol in PROTOCOLS:
                score = partial(score_folders, root / "gt", root / "pred", protocol, oks=False)
                costs[protocol].append(cost_of(score))
    rows: list[list[str | float]] = [["", "CPU s", "wall s"]]
    for protocol, protocol_costs in costs.items():
        median = median_cost(protocol_costs)
        rows.append([protocol, median.cpu, median.wall])
        figures[protocol] = {"cpu_seconds": median.cpu, "wall_seconds": median.wall}
    title = f"scoring {videos} videos, {labeled} labeled frames, {people} people"
    show(f"{title}, median of {rounds}; {describe_machine()}", rows)
    write_figures(json_file, figures)


def make_set(root: Path, *, videos: int, labeled: int, people: int, seed: int) -> dict[str, int]:
    """Write ``gt/`` and ``pred/`` below ``root``.

    Args:
        root: An empty folder.
        videos: Number of files per folder.
        labeled: Labeled frames in all videos; other frames have neither people nor predictions.
        people: Ground-truth people in all labeled frames.
        seed: Seed of all random values.

    Returns:
        The number of people in both folders.
    """
    rng = np.random.default_rng(seed)
    per_video = np.full(videos, labeled // videos) + (np.arange(videos) < labeled % videos)
    per_frame = np.full(labeled, people // labeled) + (rng.permutation(labeled) < people % labeled)
    counts = np.split(per_frame, np.cumsum(per_video)[:-1])
    predicted = 0
    for folder in ("gt", "pred"):
        (root / folder).mkdir()
    for video, frames in enumerate(counts):
        name = f"{video:06d}_mpii_test"
        truth, predictions = _video(rng, video, name, frames)
        predicted += len(predictions["annotations"])
        (root / "gt" / f"{name}.json").write_text(json.dumps(truth), encoding="utf-8")
        (root / "pred" / f"{name}.json").write_text(json.dumps(predictions), encoding="utf-8")
    return {"gt_people": int(per_frame.sum()), "predicted_people": predicted}


def _video(
    rng: np.random.Generator, video: int, name: str, counts: NDArray[np.int64]
) -> tuple[Row, Row]:
    labeled = np.sort(rng.choice(FRAMES_PER_VIDEO, len(counts), replace=False))
    people: NDArray[np.int64] = np.zeros(FRAMES_PER_VIDEO, dtype=np.int64)
    people[labeled] = counts
    truth: Row = {"images": [], "annotations": [], "categories": _categories()}
    predictions: Row = {"images": [], "annotations": [], "categories": _categories()}
    for frame in range(FRAMES_PER_VIDEO):
        image_id = 10**10 + video * 10_000 + frame
        image = {
            "file_name": f"images/val/{name}/{frame:06d}.jpg",
            "id": image_id,
            "frame_id": image_id,
        }
        polygons = rng.integers(0, 1280, (int(rng.integers(0, 3)), 2, 7)).tolist()
        predictions["images"].append(image)
        truth["images"].append(
            image
            | {
                "is_labeled": bool(people[frame]),
                "nframes": FRAMES_PER_VIDEO,
                "vid_id": name[:6],
                "ignore_regions_x": [x for x, _ in polygons],
                "ignore_regions_y": [y for _, y in polygons],
            }
        )
        for track in range(people[frame]):
            person = _person(rng, image_id, track)
            truth["annotations"].append(person)
            predictions["annotations"] += _predictions(rng, person)
    return truth, predictions


def _categories() -> list[Row]:
    return [
        {
            "supercategory": "person",
            "id": 1,
            "name": "person",
            "keypoints": list(SLOTS),
            "skeleton": [],
        }
    ]


def _person(rng: np.random.Generator, image_id: int, track: int) -> Row:
    place = rng.uniform((50, 50), (1200, 650))
    joints = place + rng.normal(0, 60, (len(SLOTS), 2))
    shown = rng.random(len(SLOTS)) < 0.85
    shown[[i for i, name in enumerate(SLOTS) if name not in JOINTS]] = False
    keypoints = np.where(shown[:, None], np.column_stack([joints, np.ones(len(SLOTS))]), 0.0)
    low, high = joints.min(axis=0), joints.max(axis=0)
    return {
        "image_id": image_id,
        "id": image_id * 100 + track,
        "category_id": 1,
        "track_id": track,
        "keypoints": keypoints.round(6).ravel().tolist(),
        "bbox": [*low.round(3), *(high - low).round(3)],
        "bbox_head": [*place.round(), *rng.integers(30, 60, 2).tolist()],
        "scores": [],
    }


def _predictions(rng: np.random.Generator, person: Row) -> list[Row]:
    copies = int(rng.choice([0, 1, 2], p=[0.05, 0.75, 0.2]))
    rows = []
    for copy in range(copies):
        shift = rng.uniform(200, 400) * (rng.random() < 0.1)
        noise = rng.normal(shift, rng.uniform(2, 20), (len(SLOTS), 2))
        joints = np.array(person["keypoints"]).reshape(-1, 3)[:, :2] + noise
        keypoints = np.column_stack([joints, np.ones(len(SLOTS))]).round(6)
        rows.append(
            {
                "image_id": person["image_id"],
                "category_id": 1,
                "track_id": 2 * person["track_id"] + copy,
                "keypoints": keypoints.ravel().tolist(),
                "scores": rng.random(len(SLOTS)).tolist(),
                "score": rng.random(),
            }
        )
    return rows


if __name__ == "__main__":
    app()
