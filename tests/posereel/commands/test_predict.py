"""Command predict: same poses as the DAG, resumable, complete output or none."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from pipeline.core.networks.weights import write_weights
from pipeline.core.posetrack.reader import read_predictions
from pipeline.core.skeleton import JOINT_SLOTS, JOINTS
from pipeline.core.tables.parquet import read_table
from pipeline.core.units.threads import limit_threads
from pipeline.video.poses import POSES, WindowPoseEstimator
from posereel.cli import load
from posereel.configured_head import read_head
from stages import (
    crop,
    detect,
    finetune_backbone,
    flow,
    heatmaps,
    index,
    predict,
    render,
    tokens,
)
from tests.pipeline.small_videos import numbered, write_video
from tests.small_data_set import write_json

app = load("predict")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with the default params, the shipped weights and one short video."""
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    values["render"] |= {"videos": {"train": 0, "val": 1}, "frames": 5}
    values["extract"] |= {"workers": 1, "threads": 1, "device": "cpu"}
    values["crop"]["key_frames"] = "all"
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(values, file)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[cache]\n    type = hardlink\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/weights").symlink_to(ROOT / "data/weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: typer.Typer, *arguments: str) -> Result:
    done = CliRunner().invoke(command, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def set_param(params: Path, section: str, key: str, value: object) -> None:
    values = YAML(typ="safe").load(params.read_text())
    values[section][key] = value
    with params.open("w") as file:
        YAML(typ="safe").dump(values, file)


def random_head(params: Path, out: Path) -> None:
    """Write a head of JM-Pose that reads both heatmaps and flow."""
    configured = read_head(params, "jmpose")
    grid = [side // 4 for side in configured.crop_size]
    torch.manual_seed(1)
    head = configured.network({"heatmaps": (3, 15, *grid), "flow": (2, 2, *grid)})
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    write_weights(out, head.state_dict())


SPLITS = ("val", "val_gt")
CACHES: dict[str, list[tuple[typer.Typer, list[str]]]] = {
    "jmpose": [
        *((crop.app, ["--input", "hrnet", "--split", split]) for split in SPLITS),
        (finetune_backbone.app, []),
        *((heatmaps.app, ["--split", split]) for split in SPLITS),
        *((flow.app, ["--split", split]) for split in SPLITS),
    ],
    "vremd": [
        *((crop.app, ["--input", "vit", "--split", split]) for split in SPLITS),
        *((tokens.app, ["--split", split]) for split in SPLITS),
    ],
}
"""Stages that write the inputs of each head."""


@pytest.mark.slow
@pytest.mark.parametrize(("head", "gap"), [("jmpose", 2), ("vremd", 1)])
def test_predictions_of_a_video_equal_those_of_the_dag(head: str, gap: int, project: Path) -> None:
    set_param(project / "params.yaml", "crop", "gap", gap)
    weights = project / f"data/runs/{head}/weights.safetensors"
    if head == "jmpose":
        random_head(project / "params.yaml", weights)
    else:
        weights.parent.mkdir(parents=True)
        shutil.copy(project / "data/weights/heads/vremd.safetensors", weights)
    stages: list[tuple[typer.Typer, list[str]]] = [
        (render.app, []),
        (index.app, []),
        *((detect.app, ["--split", split]) for split in SPLITS),
        *CACHES[head],
        (predict.app, ["--system", head]),
    ]
    for command, options in stages:
        done = run(command, *options)
        assert done.exit_code == 0, done.output
    dag = pd.read_parquet(f"data/predictions/{head}/val/predictions.parquet")
    (frames,) = Path("data/raw/synthetic/images/val").iterdir()

    words = ["--head", head, "--weights", "data/runs", "--score", "0.2", "--out", "out"]
    done = run(app, str(frames), *words, "--track", "none")

    assert done.exit_code == 0, done.output
    found = read_table(Path("out/predictions.parquet"), POSES)
    # The DAG predicts only the frames that the annotation file lists.
    found = found[found["frame"].isin(dag["frame"])].reset_index(drop=True)
    assert len(found) == len(dag) > 5
    assert list(found["frame"]) == list(dag["frame"])
    for name in ("box_x", "box_y", "box_w", "box_h", "box_score"):
        np.testing.assert_allclose(found[name], dag[name], rtol=1e-5, atol=1e-4)
    joints = [np.stack(table["keypoints"].tolist()) for table in (found, dag)]
    np.testing.assert_allclose(*joints, atol=0.02)
    scores = [np.stack(table["scores"].tolist()) for table in (found, dag)]
    np.testing.assert_allclose(*scores, atol=1e-3)
    assert np.stack(found["scores"].tolist()).std() > 0.01


@pytest.fixture
def video(project: Path) -> Path:
    """Return a video of 20 frames and write the boxes of two people."""
    write_video(project / "video.mp4", numbered(20, (120, 160)), [n / 25 for n in range(20)])
    boxes = [
        {
            "image_id": n,
            "category_id": 1,
            "bbox": [x + n, 10.0, 50.0, 100.0],
            "score": 0.9 - x / 500,
        }
        for n in range(20)
        for x in (5.0, 80.0)
    ]
    write_json(project / "boxes.json", boxes)
    return project / "video.mp4"


OPTIONS = ["--head", "hrnet", "--boxes", "boxes.json", "--out", "out"]


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_one_folder_contains_all_outputs(video: Path) -> None:
    done = run(app, str(video), *OPTIONS, "--json")
    assert done.exit_code == 0, done.output
    assert files(Path("out")) == [
        "coco.json", "meta.json", "overlay.mp4", "posetrack.json", "predictions.parquet",
    ]  # fmt: skip
    assert not list(Path().glob("*.partial"))
    poses = read_table(Path("out/predictions.parquet"), POSES)
    assert list(poses["frame"]) == [n for n in range(20) for _ in range(2)]
    assert list(poses["track_id"]) == [0, 1] * 20
    np.testing.assert_allclose(poses["seconds"], poses["frame"] / 25, atol=1e-3)
    facts = json.loads(Path("out/meta.json").read_text())
    assert json.loads(done.stdout) == facts
    assert (facts["frames"], facts["people"], facts["tracks"]) == (20, 40, 2)
    assert facts["source"] == "video.mp4"
    assert facts["joints"] == list(JOINTS)
    assert set(facts["weights_sha256"]) == {"heatmaps"}
    assert "rendered people only" in done.stderr


def test_the_number_of_threads_is_that_of_the_params(video: Path) -> None:
    set_param(Path("params.yaml"), "extract", "threads", 2)
    try:
        words = [*OPTIONS, "--frames", "0-1", "--no-overlay"]
        assert run(app, str(video), *words).exit_code == 0
        assert torch.get_num_threads() == cv2.getNumThreads() == 2
    finally:
        limit_threads(1)


def test_a_range_of_frames_gets_the_same_poses(video: Path) -> None:
    run(app, str(video), *OPTIONS, "--no-overlay")
    full = read_table(Path("out/predictions.parquet"), POSES)
    words = [*OPTIONS[:-1], "part", "--frames", "3-17", "--no-overlay", "--track", "none"]
    assert run(app, str(video), *words).exit_code == 0
    part = read_table(Path("part/predictions.parquet"), POSES)
    assert not Path("part/overlay.mp4").exists()
    assert set(part["track_id"]) == {-1}
    expected = full[full["frame"].between(3, 17)]
    assert list(part["frame"]) == list(expected["frame"])
    joints = [np.stack(table["keypoints"].tolist()) for table in (part, expected)]
    np.testing.assert_allclose(*joints, atol=0.02)
    images = json.loads(Path("part/posetrack.json").read_text())["images"]
    assert [image["id"] for image in images] == list(range(3, 18))


def test_a_truncated_video_gives_poses_only_with_an_option_and_a_note_of_what_is_missing(
    video: Path,
) -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (120, 160, 3), dtype=np.uint8) for _ in range(20)]
    write_video(video.with_suffix(".mkv"), pictures, [n / 25 for n in range(20)])
    data = video.with_suffix(".mkv").read_bytes()
    Path("cut.mkv").write_bytes(data[: len(data) * 6 // 10])
    done = run(app, "cut.mkv", *OPTIONS, "--no-overlay")
    assert done.exit_code == 1
    assert "expected 0.80 s of video, as in its header, got " in done.stderr
    assert not Path("out").exists()
    done = run(app, "cut.mkv", *OPTIONS, "--incomplete")
    assert done.exit_code == 0, done.output
    assert done.stderr.count("the rest is missing in the results") == 1
    facts = json.loads(Path("out/meta.json").read_text())
    assert facts["frames"] < 16
    assert facts["missing_seconds"] == pytest.approx((20 - facts["frames"]) / 25)


def test_boxes_of_frames_beyond_the_video_are_refused(video: Path) -> None:
    boxes = json.loads(Path("boxes.json").read_text())
    write_json(Path("boxes.json"), [box | {"image_id": 20 + box["image_id"]} for box in boxes])
    done = run(app, str(video), *OPTIONS)
    assert done.exit_code == 1
    assert "expected boxes in frames 0 to 19 of the video, got image_id 20 to 39" in done.stderr
    assert not Path("out").exists()


def test_smoothing_changes_joints_only_and_left_out_joints_are_absent_in_all_files(
    video: Path,
) -> None:
    assert run(app, str(video), *OPTIONS, "--no-overlay").exit_code == 0
    raw = read_table(Path("out/predictions.parquet"), POSES)
    limit = float(np.median(np.stack(raw["scores"].tolist())))
    words = [*OPTIONS[:-1], "smooth", "--smooth", "savgol", "--drop", str(limit)]
    done = run(app, str(video), *words)
    assert done.exit_code == 0, done.output
    smooth = read_table(Path("smooth/predictions.parquet"), POSES)
    same = [name for name in POSES.names if name != "keypoints"]
    pd.testing.assert_frame_equal(smooth[same], raw[same])
    joints, before = (
        np.stack(poses["keypoints"].tolist()).reshape(-1, 15, 2) for poses in (smooth, raw)
    )
    weak = np.stack(raw["scores"].tolist()) < limit
    assert 0.3 < weak.mean() < 0.7
    assert np.isnan(joints[weak]).all()
    assert np.isfinite(joints[~weak]).all()
    assert (joints[~weak] != before[~weak]).mean() > 0.5
    facts = json.loads(Path("smooth/meta.json").read_text())
    assert facts["smoothing"] == {"filter": "savgol", "weak": "drop", "score_min": limit}
    people = read_predictions(Path("smooth/posetrack.json")).people
    assert np.array_equal(people.present[:, JOINT_SLOTS], ~weak)
    coco = json.loads(Path("smooth/coco.json").read_text())["annotations"]
    assert [person["num_keypoints"] for person in coco] == (~weak).sum(axis=1).tolist()


def test_an_interrupted_run_resumes(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    original = WindowPoseEstimator.__call__

    def interrupted(self: WindowPoseEstimator, window: Any) -> pd.DataFrame:  # noqa: ANN401
        computed.append(window.start)
        if len(computed) == 2:
            raise KeyboardInterrupt
        return original(self, window)

    monkeypatch.setattr(WindowPoseEstimator, "__call__", interrupted)
    CliRunner().invoke(app, [str(video), *OPTIONS])
    assert not Path("out").exists()
    assert files(Path("out.partial/parts")) == ["00000000.parquet"]

    assert run(app, str(video), *OPTIONS).exit_code == 0
    assert computed == [0, 16, 16]
    resumed = read_table(Path("out/predictions.parquet"), POSES)
    monkeypatch.setattr(WindowPoseEstimator, "__call__", original)
    assert run(app, str(video), *OPTIONS[:-1], "fresh").exit_code == 0
    pd.testing.assert_frame_equal(resumed, read_table(Path("fresh/predictions.parquet"), POSES))


def test_a_run_with_other_options_does_not_reuse_windows(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr("posereel.video_poses.write_overlay", fail)
    done = run(app, str(video), *OPTIONS)
    assert (done.exit_code, Path("out").exists()) == (1, False)
    assert len(files(Path("out.partial/parts"))) == 2
    monkeypatch.undo()
    monkeypatch.chdir(video.parent)
    assert run(app, str(video), *OPTIONS, "--score", "0.85").exit_code == 0
    assert set(read_table(Path("out/predictions.parquet"), POSES)["track_id"]) == {0}


def peak_memory(work: Callable[[], object]) -> int:
    """Return the peak memory of this process during a call, in bytes (man 5 proc)."""
    Path("/proc/self/clear_refs").write_text("5")
    work()
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(line)


def test_a_longer_video_does_not_need_more_memory(video: Path) -> None:
    lengths, images = (32, 32, 112), numbered(8, (480, 640))
    peaks = []
    for turn, length in enumerate(lengths):
        frames = [images[number % len(images)] for number in range(length)]
        write_video(video, frames, [number / 25 for number in range(length)])
        words = [str(video), *OPTIONS[:-1], f"out{turn}"]
        peaks.append(peak_memory(lambda words=words: run(app, *words)))
        assert Path(f"out{turn}/overlay.mp4").exists()
    # The first run loads the libraries. One byte kept per pixel would exceed the bound.
    assert peaks[2] - peaks[1] < (lengths[2] - lengths[1]) * images[0].nbytes / 3


def _nothing(_: Path) -> None:
    """Change nothing."""


def _out(folder: Path) -> None:
    (folder / "out").mkdir()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (_out, [], "out: expected a new folder"),
        (_nothing, ["--frames", "9-3"], "--frames 9-3: expected FIRST-LAST"),
        (_nothing, ["--frames", "50-60"], "expected frame 50 and more"),
        (_nothing, ["--boxes", "none.json"], "none.json"),
        (_nothing, ["--smooth", "savgol", "--track", "none"], "expected --track iou"),
        (_nothing, ["--bridge", "0.1", "--drop", "0.1"], "expected one of the two"),
        (_nothing, ["--head", "fuse", "--weights", "nowhere"], "nowhere/fuse.safetensors"),
    ],
)
def test_invalid_options_give_a_one_line_error_and_no_output(
    video: Path, change: Callable[[Path], None], options: list[str], message: str
) -> None:
    change(video.parent)
    before = files(video.parent)
    done = run(app, str(video), *OPTIONS, *options)
    assert done.exit_code == 1
    assert message in done.stderr.splitlines()[-1]
    assert files(video.parent) == before
