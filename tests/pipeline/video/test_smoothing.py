"""Smoothed joints: One-Euro as published, Savitzky-Golay, weak joints, rendered and real motion."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.signal import savgol_filter

from pipeline.core.posetrack.reader import read_annotations, read_predictions
from pipeline.core.skeleton import JOINTS
from pipeline.evaluation.metrics.posetrack_pool import VideoPair
from pipeline.maintenance.score import score_pairs
from pipeline.video.pose_files import write_posetrack
from pipeline.video.poses import POSES
from pipeline.video.smoothing import (
    LONGEST_GAP,
    Filter,
    Smoothing,
    bridge,
    choose_smoothing,
    one_euro,
    savgol,
    smooth_poses,
)
from tests.pipeline.video.motions import Motion, real_motions, rendered_motions
from tests.posetrack_documents import add_person, document, write

RATE = 25.0


class LiteralOneEuro:
    """Algorithm 1 of Casiez et al. (CHI 2012) for one coordinate, line by line."""

    def __init__(self, min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
        self.mincutoff, self.beta, self.dcutoff = min_cutoff, beta, derivative_cutoff
        self.first_time = True
        self.hatx = self.hatdx = 0.0

    @staticmethod
    def alpha(rate: float, cutoff: float) -> float:
        tau = 1.0 / (2 * np.pi * cutoff)
        te = 1.0 / rate
        return 1.0 / (1.0 + tau / te)

    def filter(self, x: float, rate: float) -> float:
        if self.first_time:
            self.first_time = False
            self.hatx, self.hatdx = x, 0.0
            return x
        dx = (x - self.hatx) * rate
        a = self.alpha(rate, self.dcutoff)
        self.hatdx = a * dx + (1 - a) * self.hatdx
        cutoff = self.mincutoff + self.beta * abs(self.hatdx)
        a = self.alpha(rate, cutoff)
        self.hatx = a * x + (1 - a) * self.hatx
        return self.hatx


def walk(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return times at a varying rate and joints on random walks, ``(N, 15, 2)``."""
    rng = np.random.default_rng(seed)
    seconds = np.cumsum(rng.uniform(0.02, 0.06, frames))
    return seconds, np.cumsum(rng.normal(0, 4, (frames, 15, 2)), axis=0) + 200


def test_one_euro_is_the_published_algorithm_also_for_a_varying_frame_rate() -> None:
    seconds, joints = walk(40)
    used = np.random.default_rng(1).random((40, 15)) < 0.8
    got = one_euro(seconds, joints, used, beta=0.02, min_cutoff=1.5, derivative_cutoff=0.8)
    for joint in range(15):
        for axis in range(2):
            literal = LiteralOneEuro(1.5, 0.02, 0.8)
            before = np.nan
            for frame in range(40):
                expected = joints[frame, joint, axis]
                if used[frame, joint]:
                    expected = literal.filter(expected, 1 / (seconds[frame] - before))
                    before = seconds[frame]
                assert got[frame, joint, axis] == pytest.approx(expected)


def test_one_euro_leaves_a_joint_at_rest_and_follows_a_fast_one_more_closely() -> None:
    seconds = np.arange(50) / RATE
    every = np.ones((50, 1), bool)
    rest = np.full((50, 1, 2), 7.0)
    assert np.array_equal(one_euro(seconds, rest, every, beta=1.0), rest)
    fast = np.stack([300 * seconds, 0 * seconds], axis=1)[:, None]
    lags = [np.abs(one_euro(seconds, fast, every, beta=b) - fast).max() for b in (0, 0.01, 0.1)]
    assert lags == sorted(lags, reverse=True)
    assert lags[2] < 0.2 * lags[0]


def test_savgol_is_that_of_scipy_and_keeps_a_parabola() -> None:
    _, joints = walk(30)
    every = np.ones((30, 15), bool)
    got = savgol(np.arange(30), joints, every, RATE)
    # 0.3 s at 25 frames per second.
    assert np.allclose(got, savgol_filter(joints, 7, 2, axis=0))
    time = np.arange(30.0)[:, None, None]
    parabola = np.broadcast_to(3 * time**2 - 5 * time + 2, (30, 15, 2))
    assert np.allclose(savgol(np.arange(30), parabola, every, RATE), parabola)
    assert np.array_equal(savgol(np.arange(4), joints[:4], every[:4], RATE), joints[:4])


def test_savgol_takes_a_missing_frame_for_one_on_the_line_between_its_neighbors() -> None:
    line = np.broadcast_to(np.arange(20.0)[:, None, None], (20, 15, 2))
    there = np.delete(np.arange(20), [6, 7, 12])
    got = savgol(there, line[there], np.ones((17, 15), bool), RATE)
    assert np.allclose(got, line[there])


def test_a_bridge_is_a_line_over_time_between_known_joints() -> None:
    seconds = np.array([0.0, 0.1, 0.15, 0.3, 0.4])
    joints = np.zeros((5, 2, 2))
    joints[:, 0, 0] = [0, 90, 90, 30, 90]
    joints[:, 1] = 5
    known = np.array([[True, True], [False, True], [False, True], [True, True], [False, True]])
    got = bridge(seconds, joints, known)
    # The last frame has no known joint after it.
    assert got[:, 0, 0] == pytest.approx([0, 10, 15, 30, 90])
    assert np.array_equal(got[:, 1], joints[:, 1])
    slow = bridge(seconds * (LONGEST_GAP + 0.01) / 0.3, joints, known)
    assert np.array_equal(slow, joints)


def table(joints: np.ndarray, scores: np.ndarray, tracks: Iterable[int], step: int = 1) -> Any:  # noqa: ANN401
    """Return rows of POSES of one person per frame."""
    rows = [
        (step * n, step * n / RATE, 0, track, 0.0, 0.0, 60.0, 60.0, 0.9, points.ravel(), score)
        for n, (points, score, track) in enumerate(zip(joints, scores, tracks, strict=True))
    ]
    return pd.DataFrame(rows, columns=POSES.names)


def joints_of(poses: pd.DataFrame) -> np.ndarray:
    return np.stack(poses["keypoints"].tolist()).reshape(len(poses), 15, 2)


@pytest.mark.parametrize("chosen", ["none", "one-euro", "savgol"])
def test_weak_joints_are_bridged_or_left_out_and_disturb_no_other_frame(chosen: Filter) -> None:
    _, joints = walk(20)
    scores = np.full((20, 15), 0.9)
    scores[[8, 9], 3] = 0.1
    far, farther = joints.copy(), joints.copy()
    far[[8, 9], 3] += 1000
    farther[[8, 9], 3] += 3000
    dropped = Smoothing(chosen, "drop", 0.5)
    one, other = (
        joints_of(smooth_poses(table(points, scores, [0] * 20), dropped, RATE))
        for points in (far, farther)
    )
    assert np.isnan(one[[8, 9], 3]).all()
    assert np.isfinite(np.delete(one, 3, axis=1)).all()
    assert np.array_equal(one, other, equal_nan=True)
    bridged = Smoothing(chosen, "bridge", 0.5)
    poses = smooth_poses(table(far, scores, [0] * 20), bridged, RATE)
    assert np.abs(joints_of(poses)[[8, 9], 3] - joints[[8, 9], 3]).max() < 40
    assert np.array_equal(np.stack(poses["scores"].tolist()), scores)
    kept = smooth_poses(table(far, scores, [0] * 20), Smoothing(chosen, "keep", 0.0), RATE)
    assert joints_of(kept)[8, 3, 0] > 500


@pytest.mark.parametrize("chosen", ["one-euro", "savgol"])
def test_every_track_is_smoothed_alone_and_again_after_a_long_gap(chosen: Filter) -> None:
    _, joints = walk(24)
    scores = np.ones((24, 15))
    smoothing = Smoothing(chosen, "keep", 0.0)

    def smooth(points: np.ndarray, tracks: list[int]) -> np.ndarray:
        poses = table(points, scores[: len(points)], tracks, step=2)
        return joints_of(smooth_poses(poses, smoothing, RATE))

    together = smooth(joints, [4, 5] * 12)
    for track in (0, 1):
        rows = np.arange(track, 24, 2)
        poses = table(joints, scores, [4, 5] * 12, step=2).iloc[rows]
        assert np.array_equal(joints_of(smooth_poses(poses, smoothing, RATE)), together[rows])
    assert np.array_equal(smooth(joints, [-1] * 24), joints)
    # 14 frames at 25 per second are 0.56 s.
    parts = [table(joints[:10], scores[:10], [0] * 10), table(joints[10:], scores[10:], [0] * 14)]
    parts[1]["frame"] += 23
    parts[1]["seconds"] += 23 / RATE
    apart = joints_of(smooth_poses(pd.concat(parts), smoothing, RATE))
    alone = [joints_of(smooth_poses(part, smoothing, RATE)) for part in parts]
    assert np.allclose(apart, np.concatenate(alone))


def test_without_smoothing_poses_are_unchanged() -> None:
    poses = table(walk(5)[1], np.ones((5, 15)), [0] * 5)
    assert smooth_poses(poses, Smoothing("none", "keep", 0.0), RATE) is poses
    assert len(smooth_poses(poses.iloc[:0], Smoothing("savgol", "drop", 0.5), RATE)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bridge": 0.2, "drop": 0.1}, "--bridge 0.2 --drop 0.1: expected one of the two"),
        ({"bridge": 0.2, "tracked": False}, "--track none: expected --track iou"),
        ({"chosen": "savgol", "tracked": False}, "--track none: expected --track iou"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose_smoothing(
            **{"chosen": "none", "bridge": None, "drop": None, "tracked": True, **options}
        )


def test_options_become_what_happens_to_weak_joints() -> None:
    def chosen(bridge: float | None, drop: float | None) -> Smoothing:
        return choose_smoothing("none", bridge=bridge, drop=drop, tracked=True)

    assert chosen(0.2, None) == Smoothing("none", "bridge", 0.2)
    assert chosen(None, 0.3) == Smoothing("none", "drop", 0.3)
    assert chosen(None, None) == Smoothing("none", "keep", 0.0)


def estimates(motion: Motion, rng: np.random.Generator) -> pd.DataFrame:
    """Return poses of every person with labels, with noise like that of a pose estimator.

    The standard deviation is 0.1 head sizes; one joint in 50 has an error of half a head size.
    """
    rows = []
    for frame in range(motion.joints.shape[1]):
        for person in np.flatnonzero(motion.labeled[:, frame].any(axis=1)).tolist():
            labeled, head = motion.labeled[person, frame], motion.head[person, frame]
            spread = np.where(rng.random((15, 1)) < 0.02, 0.5, 0.1) * head
            points = motion.joints[person, frame] + rng.normal(0, 1, (15, 2)) * spread
            seen = motion.joints[person, frame][labeled]
            box = (*seen.min(axis=0), *(np.ptp(seen, axis=0) * 1.25 + 1))
            scores = np.where(labeled, rng.uniform(0.5, 1, 15), 0)
            rows.append((frame, frame / RATE, 0, person, *box, 0.9, points.ravel(), scores))
    return pd.DataFrame(rows, columns=POSES.names)


def labels(motion: Motion) -> dict[str, Any]:
    """Return the PoseTrack18 document of a motion."""
    truth = document(motion.joints.shape[1], first_id=0)
    for frame in range(motion.joints.shape[1]):
        for person in np.flatnonzero(motion.labeled[:, frame].any(axis=1)).tolist():
            points = {
                name: (float(x), float(y))
                for name, (x, y), known in zip(
                    JOINTS, motion.joints[person, frame], motion.labeled[person, frame], strict=True
                )
                if known
            }
            # A head box of 3 x 4 has a diagonal of 5 and a head size of 3.
            side = motion.head[person, frame] / 3
            add_person(truth, frame, points, head=(3 * side, 4 * side))
            truth["annotations"][-1]["track_id"] = person
    return truth


def compare(motions: Iterator[Motion], folder: Path) -> Callable[[Filter], dict[str, Any]]:
    """Return a function that scores noisy estimates of all motions after smoothing."""
    rng = np.random.default_rng(0)
    found = [(motion, estimates(motion, rng)) for motion in motions]
    truths = [
        read_annotations(write(folder, {f"t{n}": labels(motion)}) / f"t{n}.json")
        for n, (motion, _) in enumerate(found)
    ]

    def scores(chosen: Filter) -> dict[str, Any]:
        pairs = []
        for n, (motion, poses) in enumerate(found):
            smoothed = smooth_poses(poses, Smoothing(chosen, "drop", 0.1), RATE)
            file = folder / f"p{n}.json"
            write_posetrack(file, smoothed, range(motion.joints.shape[1]), "video")
            pairs.append(VideoPair(str(n), truths[n], read_predictions(file)))
        return score_pairs(pairs, "poseval", oks=False)

    return scores


def check_gain(scores: Callable[[Filter], dict[str, Any]]) -> None:
    """Check that smoothing lowers the acceleration error by a third and AP by 1 point at most."""
    raw = scores("none")
    assert raw["acceleration"]["n_joints"] > 5_000
    assert raw["ap_total"] > 90
    for chosen in ("one-euro", "savgol"):
        smooth = scores(chosen)
        for unit in ("pixels", "heads"):
            before, after = (each["acceleration"][unit]["error"] for each in (raw, smooth))
            assert after < 0.67 * before, (chosen, unit)
        assert smooth["ap_total"] > raw["ap_total"] - 1, chosen


def test_smoothing_lowers_the_acceleration_error_of_rendered_motion_at_equal_ap(
    tmp_path: Path,
) -> None:
    check_gain(compare(rendered_motions(4, 40), tmp_path))


def test_smoothing_lowers_the_acceleration_error_of_real_motion_at_equal_ap(
    shared: Path, tmp_path: Path
) -> None:
    check_gain(compare(real_motions(shared, 6, 40), tmp_path))
