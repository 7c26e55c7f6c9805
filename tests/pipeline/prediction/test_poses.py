"""Decoding of heatmaps to people in image pixels, compared with explicit arithmetic."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.heatmap import encode
from pipeline.core.tables.schemas import CLIPS
from pipeline.prediction.poses import DecodeConfig, VideoClips, decode_poses
from tests.pipeline.tiny_caches import clip_frame


def video_of(clips: pd.DataFrame) -> VideoClips:
    return VideoClips(Path("truth.json"), clips, np.arange(len(clips)))


def config(score: str = "product") -> DecodeConfig:
    return DecodeConfig(decoding="argmax", blur=1.0, score=score, flip=False, batch=4)


@settings(deadline=None, max_examples=20)
@given(angle=st.floats(-3, 3), scale=st.floats(0.2, 3), shift=st.tuples(*[st.floats(-50, 50)] * 2))
def test_joints_are_mapped_by_the_inverse_of_the_crop_matrix(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    clips = clip_frame(1, {"alley": 1})
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, shift])
    clips.at[0, "to_crop"] = matrix.ravel().tolist()
    cells = np.random.default_rng(0).integers([0, 0], [8, 16], (15, 2))
    maps = encode(cells * 4.0, np.full(15, 2), (16, 8), 1.5)[None]
    poses = decode_poses(maps, video_of(clips), config())
    back = poses.keypoints[0] @ turn.T + shift
    np.testing.assert_allclose(back, cells * 4.0, atol=1e-6)


def test_joint_scores_follow_the_rule_and_a_person_has_their_mean() -> None:
    clips = clip_frame(1, {"alley": 3})
    maps = np.random.default_rng(1).uniform(0, 1, (3, 15, 16, 8)).astype(np.float32)
    peaks = maps.max(axis=(2, 3)).astype(np.float64)
    product = decode_poses(maps, video_of(clips), config())
    np.testing.assert_allclose(product.scores, peaks * np.array([[1], [0.9], [0.8]]))
    joint = decode_poses(maps, video_of(clips), config("joint"))
    np.testing.assert_array_equal(joint.scores, peaks)
    np.testing.assert_allclose(joint.person_scores, peaks.mean(axis=1))


def test_a_video_without_clips_has_no_people() -> None:
    empty = pd.DataFrame(columns=CLIPS.names)
    poses = decode_poses(np.zeros((0, 1, 1, 1), np.float32), video_of(empty), config())
    assert poses.keypoints.shape == (0, 15, 2)


def test_heatmaps_that_are_not_finite_are_refused() -> None:
    maps = np.full((1, 15, 16, 8), np.nan, np.float32)
    with pytest.raises(ValueError, match="NaN or infinity"):
        decode_poses(maps, video_of(clip_frame(1, {"alley": 1})), config())
