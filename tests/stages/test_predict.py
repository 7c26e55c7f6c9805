"""Stage predict: joints drawn into heatmaps are predicted at their place in the image."""

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.head_parts.building import build_head
from models.heads.fuse.network import Fuse
from pipeline.core.heatmap import decode, encode
from pipeline.core.networks.weights import write_weights
from pipeline.core.skeleton import FLIP, JOINT_SLOTS, SLOTS
from pipeline.core.tables.parquet import read_table, write_table
from pipeline.core.tables.schemas import FRAMES, VIDEOS
from pipeline.prediction.prediction import MakePredictTask
from pipeline.prediction.units import PREDICTIONS
from stages.predict import SPLITS, app, plan
from tests.pipeline.tiny_caches import (
    CROP,
    STORED,
    K,
    clip_frame,
    values_of,
    write_clips,
    write_store,
)
from tests.stages.tiny_project import TRAINING, Project

ROOT = Path(__file__).resolve().parents[2]
CLIPS_OF = {"alley": 3, "bonn": 2}
VIDEOS_OF = ("alley", "bonn", "creek")  # creek has no detections
ENTRIES = {0: 0, 2: 1, 4: 2}
"""Position in the annotation file by frame; frames 1, 3 and 5 are not listed there."""
PREDICT = {
    "decode": "dark", "blur": 1.0, "score": "product", "flip": False, "weights": "last", "batch": 2,
}  # fmt: skip
SECTIONS = {
    "train_hrnet": {},
    "train_jmpose": TRAINING | {"delta": 1},
    "train_fuse": {"weights": "none", "schedule": "jmpose", "channels": 8, "blocks": 1},
}


def points_of(video: str, clip: int, variant: int) -> np.ndarray:
    """Return joints in crop pixels, away from the edges; mirrored in variant 1."""
    generator = np.random.default_rng([*video.encode(), clip])
    points = generator.uniform([13, 14], [CROP[1] - 14, CROP[0] - 15], (K, 2))
    if variant:
        points = points[FLIP]
        points[:, 0] = CROP[1] - 1 - points[:, 0]
    return points


def peaks_of(video: str, clip: int) -> np.ndarray:
    return np.random.default_rng([clip, *video.encode()]).uniform(0.3, 1, K)


def draw_heatmaps(video: str, variant: int) -> np.ndarray:
    """Return heatmaps with a Gaussian per joint in the key frame and noise in other frames."""
    maps = values_of("heatmaps", f"{video}/v{variant}", CLIPS_OF[video])
    for clip in range(len(maps)):
        visible = np.full(K, 2)
        peaks = peaks_of(video, clip)[FLIP] if variant else peaks_of(video, clip)
        key = encode(points_of(video, clip, variant), visible, (CROP[0] // 4, CROP[1] // 4), 1.5)
        maps[clip, STORED // 2] = key * peaks[:, None, None]
    return maps


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "repo")


def make_project(folder: Path) -> Project:
    """Make a project with clips, heatmaps and the ground truth of an index, without people."""
    project = Project(folder)
    annotations = project.data / "raw/annotations"
    (annotations / "val").mkdir(parents=True)
    category = {"supercategory": "person", "id": 1, "name": "person", "keypoints": list(SLOTS)}
    videos, frames = [], []
    for video in VIDEOS_OF:
        images = [
            {"file_name": f"images/{video}/{f}.jpg", "id": 10 + e, "frame_id": 10 + e,
             "is_labeled": True} for f, e in ENTRIES.items()
        ]  # fmt: skip
        document = {"images": images, "annotations": [], "categories": [category]}
        (annotations / f"val/{video}.json").write_text(json.dumps(document))
        videos.append([video, "val", 6, 120, 160, "posetrack18", f"val/{video}.json"])
        for f in range(6):
            entry = ENTRIES.get(f, -1)
            frames.append(
                [video, "val", f, f"{f}.jpg", "0" * 64, 10 + entry, entry >= 0, entry, "", ""]
            )
    index = project.data / "index"
    write_table(index / "videos.parquet", pd.DataFrame(videos, columns=VIDEOS.names), VIDEOS)
    write_table(index / "frames.parquet", pd.DataFrame(frames, columns=FRAMES.names), FRAMES)
    units = {f"{v}/v{i}": draw_heatmaps(v, i) for v in CLIPS_OF for i in range(2)}
    for split in SPLITS:
        write_clips(project.data, "hrnet", split, clip_frame(2, CLIPS_OF))
        write_store(project.data / "heatmaps" / split, "heatmaps", units)
    data = {"name": "toy", "root": "", "manifest": "", "detections": ""}
    project.values |= {"data": data | {"annotations": str(annotations)}} | SECTIONS
    return project


@pytest.fixture
def predict(project: Project) -> Callable[..., Path]:
    def run(system: str = "hrnet", **changes: object) -> Path:
        result = project.run(app, "--system", system, predict=PREDICT | changes)
        assert result.exit_code == 0, result.output
        return project.data / "predictions" / system / "val"

    return run


def document(out: Path, video: str) -> dict[str, Any]:
    return json.loads((out / f"{video}.json").read_text())


def people(out: Path, video: str) -> list[dict[str, Any]]:
    """Return the people of a prediction file after a check that they are in clip order."""
    found = document(out, video)["annotations"]
    assert [person["image_id"] for person in found] == [10, 10, 11][: CLIPS_OF[video]]
    return found


@pytest.mark.parametrize("flip", [False, True])
def test_joints_are_predicted_where_they_were_drawn(
    predict: Callable[..., Path], flip: bool
) -> None:
    out = predict(flip=flip)
    for video in CLIPS_OF:
        for clip, person in enumerate(people(out, video)):
            # clip_frame's transform: x_crop = x / 2 + 3 + clip, y_crop = y / 2 - 2.
            expected = (points_of(video, clip, 0) - [3 + clip, -2]) * 2
            slots = np.reshape(person["keypoints"], (17, 3))
            error = np.linalg.norm(slots[JOINT_SLOTS, :2] - expected, axis=1)
            assert error.max() < 0.5, (video, clip)  # 1 / 16 cell
            assert not np.delete(slots, JOINT_SLOTS, axis=0).any()


def test_the_score_of_a_joint_is_its_peak_times_the_score_of_the_box(
    predict: Callable[..., Path],
) -> None:
    for rule in ("product", "joint"):
        out = predict(score=rule)
        for clip, person in enumerate(people(out, "alley")):
            maps = draw_heatmaps("alley", 0)[clip, STORED // 2].astype(np.float64)
            box = 1 - clip / 10 if rule == "product" else 1
            scores = np.array(person["scores"])[JOINT_SLOTS]
            np.testing.assert_allclose(scores, maps.max(axis=(1, 2)) * box, rtol=1e-6)
            assert person["score"] == pytest.approx(scores.mean())
            assert person["bbox"] == [10 + clip, 20, 30, 60]
            assert person["track_id"] == clip % 2


def test_every_ground_truth_frame_has_an_entry_and_every_video_a_file(
    predict: Callable[..., Path],
) -> None:
    out = predict()
    assert sorted(path.name for path in out.iterdir()) == [
        "alley.json", "bonn.json", "creek.json", "predictions.parquet",
    ]  # fmt: skip
    for video in VIDEOS_OF:
        names = [image["file_name"] for image in document(out, video)["images"]]
        assert names == [f"images/{video}/{f}.jpg" for f in ENTRIES]
    assert document(out, "creek")["annotations"] == []


def test_both_splits_are_predicted_and_each_has_its_table(
    project: Project, predict: Callable[..., Path]
) -> None:
    write_clips(project.data, "hrnet", "val_gt", clip_frame(2, CLIPS_OF).assign(score=0.5))
    val = predict()
    val_gt = val.with_name("val_gt")
    assert sorted(path.name for path in val_gt.iterdir()) == sorted(p.name for p in val.iterdir())
    (first, *_), (second, *_) = people(val, "alley"), people(val_gt, "alley")
    np.testing.assert_allclose(first["scores"], np.multiply(second["scores"], 2))
    assert len(read_table(val_gt / "predictions.parquet", PREDICTIONS)) == 5


def test_the_table_and_the_files_have_the_same_content(predict: Callable[..., Path]) -> None:
    out = predict()
    table = read_table(out / "predictions.parquet", PREDICTIONS)
    assert table["video"].tolist() == ["alley"] * 3 + ["bonn"] * 2
    assert table["frame"].tolist() == [0, 0, 2, 0, 0]
    assert table["row"].tolist() == [0, 1, 0, 0, 1]
    assert table["box_score"].tolist() == pytest.approx([1, 0.9, 0.8, 1, 0.9])
    found = [*people(out, "alley"), *people(out, "bonn")]
    for row, person in zip(table.to_dict("records"), found, strict=True):
        slots = np.reshape(person["keypoints"], (17, 3))[JOINT_SLOTS, :2]
        assert np.array_equal(np.reshape(row["keypoints"], (K, 2)), slots)
        assert row["scores"].tolist() == [person["scores"][slot] for slot in JOINT_SLOTS]


def test_a_head_reads_the_frames_within_its_delta_and_its_heatmaps_are_decoded(
    project: Project, predict: Callable[..., Path]
) -> None:
    torch.manual_seed(0)
    arguments = {"channels": 8, "blocks": 1}
    sizes = {"joints": K, "frames": 3, "crop_size": CROP, "arguments": arguments}
    fuse = Fuse(joints=K, frames=3, **arguments).eval()
    weights = {name: tensor.clone() for name, tensor in fuse.state_dict().items()}
    weights["head.2.weight"] = torch.randn_like(weights["head.2.weight"])
    write_weights(project.data / "runs/fuse/weights.safetensors", weights)
    out = predict("fuse", decode="quarter", score="joint")
    head = build_head(weights, "test", {"heatmaps": (5, K, 16, 8)}, system="fuse", **sizes)
    maps = torch.from_numpy(draw_heatmaps("bonn", 0)[:, 1:4].astype(np.float32))
    with torch.no_grad():
        keypoints, scores = decode(head({"heatmaps": maps}).numpy(), "quarter")
    for clip, person in enumerate(people(out, "bonn")):
        slots = np.reshape(person["keypoints"], (17, 3))[JOINT_SLOTS, :2]
        np.testing.assert_allclose(slots, (keypoints[clip] - [3 + clip, -2]) * 2, atol=1e-3)
        np.testing.assert_allclose(np.array(person["scores"])[JOINT_SLOTS], scores[clip], rtol=1e-4)


def test_a_video_is_predicted_again_only_if_its_own_inputs_change(
    project: Project, predict: Callable[..., Path]
) -> None:
    before = (predict() / "bonn.json").read_bytes()
    frames = pd.read_parquet(project.data / "index/frames.parquet")
    frames.loc[(frames.video == "alley") & (frames.frame == 0), "entry"] = -1
    write_table(project.data / "index/frames.parquet", frames, FRAMES)
    result = project.run(app, "--system", "hrnet")
    assert "2 units computed, 4 reused" in result.output
    out = project.data / "predictions/hrnet/val"
    assert (out / "bonn.json").read_bytes() == before
    assert len(document(out, "alley")["annotations"]) == 1


@pytest.mark.parametrize(
    ("system", "changes", "message"),
    [
        ("fuse", {}, "runs/fuse/weights.safetensors"),
        ("hrnet", {"decode": "dork"}, "predict.decode"),
    ],
)
def test_missing_weights_and_invalid_params_give_an_error(
    project: Project, system: str, changes: dict[str, object], message: str
) -> None:
    result = project.run(app, "--system", system, predict=PREDICT | changes)
    assert result.exit_code == 1
    assert message in result.stderr


def test_flip_testing_requires_mirrored_crops(project: Project) -> None:
    write_clips(project.data, "hrnet", "val", clip_frame(1, CLIPS_OF))
    result = project.run(app, "--system", "hrnet", predict=PREDICT | {"flip": True})
    assert result.exit_code == 1
    assert "set crop.mirror to true" in result.stderr


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from stages.predict import app
app(sys.argv[1:])
"""


def test_finished_predictions_are_published_again_without_torch(
    project: Project, predict: Callable[..., Path]
) -> None:
    before = (predict() / "alley.json").read_bytes()
    shutil.rmtree(project.data / "predictions")
    words = ["--system", "hrnet", "--data", str(project.data), "--params", str(project.params)]
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 units computed, 6 reused" in done.stdout
    assert (project.data / "predictions/hrnet/val/alley.json").read_bytes() == before


def test_an_unknown_argument_of_the_head_is_refused(
    project: Project, predict: Callable[..., Path]
) -> None:
    predict()
    result = project.run(app, "--system", "fuse", train_fuse=SECTIONS["train_fuse"] | {"depth": 2})
    assert result.exit_code == 1


def test_the_task_can_be_sent_to_a_worker_process(
    project: Project, predict: Callable[..., Path]
) -> None:
    predict()
    task = plan("hrnet", "", project.data, project.params).make_task
    received = pickle.loads(pickle.dumps(task))  # noqa: S301  our own bytes
    assert isinstance(received, MakePredictTask)
