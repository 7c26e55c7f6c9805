"""Acceleration error: a literal slow oracle, known motions, spacing, people who are not counted."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.metrics.acceleration import NO_RUN, acceleration
from pipeline.evaluation.metrics.posetrack_ap import match
from pipeline.evaluation.metrics.posetrack_pool import VideoPair, pool
from tests.posetrack_documents import (
    Document,
    add_person,
    add_prediction,
    document,
    everywhere,
    pair,
)

Path2D = Callable[[int], tuple[float, float]]
HEAD = 0.6 * 50
"""Head size of ``add_person``'s default head box of 30 x 40 pixels."""


def measure(*pairs: VideoPair) -> dict[str, Any]:
    return acceleration(match(pool(pairs, "poseval")))


def video(
    truth_path: Path2D, predicted_path: Path2D, frames: int = 6, track: int = 7
) -> tuple[Document, Document]:
    """Return one person who moves along a path, and the predictions along another."""
    truth, predicted = document(frames), document(frames)
    for frame in range(frames):
        add_person(truth, frame, everywhere(*truth_path(frame)))
        truth["annotations"][-1]["track_id"] = track
        add_prediction(predicted, frame, everywhere(*predicted_path(frame)))
    return truth, predicted


def straight(frame: int) -> tuple[float, float]:
    return 100 + 3.0 * frame, 200 - 2.0 * frame


def shifted(frame: int) -> tuple[float, float]:
    return 104 + 3.5 * frame, 197 - 2.0 * frame


def test_an_offset_that_changes_linearly_is_no_error() -> None:
    values = measure(pair(*video(straight, shifted)))
    assert values["n_joints"] == 4 * 15
    assert list(values["pixels"].values()) == pytest.approx([0, 0], abs=1e-9)
    assert values["reason"] is None


def test_a_parabola_has_the_acceleration_of_its_second_derivative() -> None:
    def parabola(frame: int) -> tuple[float, float]:
        # The second derivative is (3, 4): 5 pixels per frame squared.
        return 100 + 1.5 * frame**2, 200 + 2.0 * frame**2

    values = measure(pair(*video(parabola, parabola)))
    assert values["pixels"] == {"error": pytest.approx(0), "truth": pytest.approx(5)}
    assert values["heads"]["truth"] == pytest.approx(5 / HEAD)


def test_one_joint_that_jumps_by_4_pixels_in_one_frame() -> None:
    def jump(frame: int) -> tuple[float, float]:
        x, y = straight(frame)
        return x, y + 4.0 * (frame == 2)

    values = measure(pair(*video(straight, jump, frames=5)))
    # Second differences around the jump: 4, -8, 4.
    assert values["pixels"]["error"] == pytest.approx((4 + 8 + 4) / 3)
    assert values["heads"]["error"] == pytest.approx((4 + 8 + 4) / 3 / HEAD)
    assert values["pixels"]["truth"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_three_frames_are_needed(missing: int) -> None:
    truth, predicted = video(straight, shifted, frames=3)
    assert measure(pair(truth, predicted))["n_joints"] == 15
    for file in (truth, predicted):
        kept = [person for i, person in enumerate(file["annotations"]) if i != missing]
        shorter = {**file, "annotations": kept}
        pairs = (shorter, predicted) if file is truth else (truth, shorter)
        values = measure(pair(*pairs))
        assert values["reason"] == NO_RUN
        assert values["n_joints"] == 0
        assert values["pixels"] == values["heads"] == {"error": None, "truth": None}


def test_a_change_of_track_or_video_ends_a_run() -> None:
    truth, predicted = video(straight, shifted, frames=4)
    truth["annotations"][2]["track_id"] = 8
    assert measure(pair(truth, predicted))["n_joints"] == 0
    truth["annotations"][2]["track_id"] = 7
    assert measure(pair(truth, predicted))["n_joints"] == 2 * 15
    short = [pair(*video(straight, shifted, frames=2), name) for name in "ab"]
    assert measure(*short)["n_joints"] == 0


def labeled_only(files: tuple[Document, Document], kept: tuple[int, ...]) -> VideoPair:
    """Return a video whose people are in some frames only."""
    few = [
        {**file, "annotations": [file["annotations"][frame] for frame in kept]} for file in files
    ]
    return pair(*few)


def test_frames_with_the_smallest_equal_distance_are_used_if_none_are_consecutive() -> None:
    def parabola(frame: int) -> tuple[float, float]:
        return 100 + 1.5 * frame**2, 200 + 2.0 * frame**2

    files = video(parabola, parabola, frames=13)
    values = measure(labeled_only(files, (0, 3, 6, 9, 12)))
    # x[f-3] - 2 x[f] + x[f+3] of a parabola is 3 squared times its second derivative.
    assert (values["step"], values["n_joints"]) == (3, 3 * 15)
    assert values["pixels"]["truth"] == pytest.approx(9 * 5)
    consecutive = measure(labeled_only(files, (0, 3, 6, 7, 8, 9, 12)))
    assert (consecutive["step"], consecutive["n_joints"]) == (1, 2 * 15)
    assert consecutive["pixels"]["truth"] == pytest.approx(5)
    unequal = measure(labeled_only(files, (0, 1, 3, 7)))
    assert (unequal["step"], unequal["reason"]) == (None, NO_RUN)


def test_the_step_is_that_of_the_labels_not_of_the_predictions() -> None:
    truth, predicted = video(straight, shifted, frames=7)
    few = {**predicted, "annotations": predicted["annotations"][::3]}
    values = measure(pair(truth, few))
    assert (values["step"], values["n_joints"], values["reason"]) == (1, 0, NO_RUN)


def test_two_people_with_one_track_id_are_not_counted_in_that_frame() -> None:
    truth, predicted = video(straight, shifted, frames=5)
    add_person(truth, 3, everywhere(900, 900))
    truth["annotations"][-1]["track_id"] = 7
    assert measure(pair(truth, predicted))["n_joints"] == 15


def test_a_joint_without_label_in_one_of_the_frames_is_not_counted() -> None:
    truth, predicted = video(straight, shifted, frames=3)
    truth["annotations"][1]["keypoints"][:3] = [0, 0, 0]
    predicted["annotations"][2]["keypoints"][-3:] = [0, 0, 0]
    assert measure(pair(truth, predicted))["n_joints"] == 13


def random_walks(seed: int) -> tuple[Document, Document]:
    """Return three people on random walks, with missing labels, predictions and joints."""
    rng = np.random.default_rng(seed)
    truth, predicted = document(9), document(9)
    for track in range(3):
        position = rng.uniform(100, 400, 2) + 600 * track
        for frame in range(9):
            position = position + rng.normal(0, 5, 2)
            if rng.random() < 0.85:
                height, width = rng.uniform(20, 60, 2)
                points = everywhere(*position)
                points = {name: xy for name, xy in points.items() if rng.random() < 0.9}
                add_person(truth, frame, points, head=(height, width))
                truth["annotations"][-1]["track_id"] = track
            if rng.random() < 0.9:
                add_prediction(predicted, frame, everywhere(*(position + rng.normal(0, 3, 2))))
    return truth, predicted


def slow(pairs: list[VideoPair]) -> dict[str, Any]:
    """Compute the metric by loops over videos, tracks, frames and joints."""
    matches = match(pool(pairs, "poseval"))
    people: dict[tuple[int, int, int], tuple[int, int]] = {}
    truth, predicted = matches.pool.truth, matches.pool.predicted
    for p, g in enumerate(matches.partner):
        if g >= 0:
            frame = truth.frame[g]
            place = int(matches.pool.video[frame]), int(matches.pool.entry[frame])
            people[*place, int(truth.track[g])] = (int(g), p)
    errors, levels, heads = [], [], []
    for (name, frame, track), (middle, _) in people.items():
        run = [people.get((name, frame + step, track)) for step in (-1, 0, 1)]
        for joint in range(15):
            rows = [
                one
                for one in run
                if one and truth.exists[one[0], joint] and predicted.exists[one[1], joint]
            ]
            if len(rows) < 3:
                continue
            t = [truth.joints[g, joint] for g, _ in rows]
            q = [predicted.joints[p, joint] for _, p in rows]
            true = [t[0][i] - 2 * t[1][i] + t[2][i] for i in (0, 1)]
            made = [q[0][i] - 2 * q[1][i] + q[2][i] for i in (0, 1)]
            errors.append(math.hypot(made[0] - true[0], made[1] - true[1]))
            levels.append(math.hypot(*true))
            heads.append(truth.head[middle])
    return {
        "n_joints": len(errors),
        "pixels": {"error": np.mean(errors), "truth": np.mean(levels)},
        "heads": {
            "error": np.mean(np.array(errors) / heads),
            "truth": np.mean(np.array(levels) / heads),
        },
    }


@pytest.mark.parametrize("seed", range(5))
def test_random_walks_have_the_values_of_a_literal_oracle(seed: int) -> None:
    pairs = [pair(*random_walks(10 * seed + i), str(i)) for i in range(3)]
    got, expected = measure(*pairs), slow(pairs)
    assert got["n_joints"] == expected["n_joints"] > 50
    for unit in ("pixels", "heads"):
        assert got[unit] == pytest.approx(expected[unit])


def test_without_videos_there_is_a_reason() -> None:
    assert measure()["reason"] == NO_RUN
