"""The weighted curves of the bootstrap agree with pooled copies of videos."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.skeleton import SLOTS
from pipeline.evaluation.metrics.posetrack_ap import Matches, match, score
from pipeline.evaluation.metrics.posetrack_pool import pool, read_pairs
from pipeline.report.bootstrap import (
    Gain,
    draw_ap,
    draw_videos,
    mean_ap_of_draws,
    paired_gain,
    paired_gains,
)

VIDEOS = 4


def video(rng: np.random.Generator, noise: float) -> tuple[dict[str, object], dict[str, object]]:
    images = [{"id": i, "file_name": f"images/val/v/{i:06d}.jpg"} for i in range(3)]
    people, guesses = [], []
    for frame in range(3):
        for person in range(2):
            joints = rng.uniform(10, 200, (17, 2))
            keypoints = np.concatenate([joints, np.ones((17, 1))], axis=1)
            moved = np.concatenate([joints + rng.normal(0, noise, (17, 2)), np.ones((17, 1))], 1)
            shared = {"image_id": frame, "track_id": person, "id": 2 * frame + person}
            head = {"bbox_head": [0, 0, 20, 20], "bbox": [0, 0, 200, 200]}
            people.append(shared | head | {"keypoints": keypoints.ravel().tolist()})
            scores = rng.uniform(0, 1, 17).tolist()
            guesses.append(shared | {"keypoints": moved.ravel().tolist(), "scores": scores})
    categories = [{"id": 1, "name": "person", "keypoints": list(SLOTS)}]
    truth = {"images": images, "annotations": people, "categories": categories}
    return truth, {"images": images, "annotations": guesses, "categories": categories}


def matched(folder: Path, noise: float, copies: list[int]) -> Matches:
    for side in ("gt", "pred"):
        (folder / side).mkdir(parents=True)
    name = 0
    for index, times in enumerate(copies):
        truth, guess = video(np.random.default_rng(index), noise)
        for _ in range(times):
            (folder / "gt" / f"{name:03d}.json").write_text(json.dumps(truth))
            (folder / "pred" / f"{name:03d}.json").write_text(json.dumps(guess))
            name += 1
    return match(pool(read_pairs(folder / "gt", folder / "pred"), "poseval"))


def test_every_resample_has_as_many_videos_as_the_data_set() -> None:
    counts = draw_videos(7, draws=50, seed=3)
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


@pytest.mark.parametrize("copies", [[1, 1, 1, 1], [0, 3, 1, 0], [2, 0, 0, 2]])
def test_a_resample_has_the_ap_of_copies_of_its_videos(tmp_path: Path, copies: list[int]) -> None:
    all_videos = matched(tmp_path / "once", 8.0, [1] * VIDEOS)
    literal = score(matched(tmp_path / "copies", 8.0, copies))["ap_total"]
    drawn = mean_ap_of_draws(all_videos, np.array([copies]))
    assert 5 < literal < 95
    assert drawn[0] == pytest.approx(literal, abs=1e-9)


def test_the_gain_over_itself_is_zero_and_over_a_worse_system_positive(tmp_path: Path) -> None:
    good = matched(tmp_path / "good", 2.0, [1] * VIDEOS)
    bad = matched(tmp_path / "bad", 9.0, [1] * VIDEOS)
    same = paired_gain(draw_ap(good), draw_ap(good))
    better = paired_gain(draw_ap(good), draw_ap(bad))
    assert same == Gain(0, (0, 0))
    assert better is not None
    assert better.interval is not None
    low, high = better.interval
    assert 0 < low < better.mean < high


def first_video(folder: Path, noise: float) -> Matches:
    return matched(folder, noise, [1] + [0] * (VIDEOS - 1))


def test_one_video_has_a_gain_without_an_interval(tmp_path: Path) -> None:
    good, bad = first_video(tmp_path / "good", 2.0), first_video(tmp_path / "bad", 9.0)
    difference = score(good)["ap_total"] - score(bad)["ap_total"]
    gain = paired_gain(draw_ap(good), draw_ap(bad))
    assert gain is not None
    assert gain.mean == pytest.approx(difference, abs=1e-9)
    assert gain.interval is None


def test_there_is_a_gain_for_every_split_head_and_comparison(tmp_path: Path) -> None:
    good, bad = first_video(tmp_path / "good", 2.0), first_video(tmp_path / "bad", 9.0)
    nothing = match(pool([], "poseval"))
    matches = {
        "val": {"baseline": bad, "control": good, "head": good},
        "val_gt": dict.fromkeys(("baseline", "control", "head"), nothing),
    }
    gains = paired_gains(matches, {"head": ("baseline", "control")})
    assert gains == {
        ("val", "head", "baseline"): paired_gain(draw_ap(good), draw_ap(bad)),
        ("val", "head", "control"): Gain(0, None),
        ("val_gt", "head", "baseline"): None,
        ("val_gt", "head", "control"): None,
    }
