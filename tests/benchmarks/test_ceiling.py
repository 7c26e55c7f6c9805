"""Means of heatmaps: unmoved, moved by the true motion, and moved by the cached flow."""

import numpy as np
import pytest

from benchmarks.ceiling import MEANS, mean_heatmaps
from pipeline.core.heatmap import encode

STEP = np.array([3.0, -2.0])


@pytest.mark.parametrize("frames", [3, 5])
def test_a_clip_with_exact_motion_has_its_peak_in_the_key_frame(frames: int) -> None:
    """All joints move by the same step; only the mean of unmoved heatmaps is spread out."""
    first = np.random.default_rng(0).uniform((12, 24), (14, 28), (15, 2))
    joints = first + STEP * np.arange(frames)[:, None, None]
    visible = np.full(15, 2)
    maps = np.stack([encode(4 * place, visible, (40, 40), 1.5) for place in joints])
    flow = np.broadcast_to(STEP[:, None, None], (frames - 1, 2, 40, 40)).astype(np.float32)

    means = mean_heatmaps(maps.astype(np.float32), flow.copy(), joints)

    assert means.shape == (3, 15, 40, 40)
    found = dict(zip(MEANS, means, strict=True))
    np.testing.assert_allclose(found["mean, no motion"], maps.mean(axis=0), atol=1e-6)
    key = maps[frames // 2]
    for name in ("mean, true motion", "mean, cached flow"):
        np.testing.assert_allclose(found[name], key, atol=1e-4)
    assert np.abs(found["mean, no motion"] - key).max() > 0.4


def test_each_joint_is_moved_by_its_own_motion() -> None:
    joints = np.zeros((3, 15, 2))
    joints[:] = (12.0, 16.0)
    joints[0, 3] = (7.0, 16.0)
    maps = np.stack([encode(4 * place, np.full(15, 2), (32, 24), 1.5) for place in joints]).astype(
        np.float32
    )

    means = mean_heatmaps(maps, np.zeros((2, 2, 32, 24), np.float32), joints)

    found = dict(zip(MEANS, means, strict=True))
    np.testing.assert_allclose(found["mean, true motion"], maps[1], atol=1e-4)
    np.testing.assert_allclose(found["mean, cached flow"][0], maps[1, 0], atol=1e-4)
    assert found["mean, cached flow"][3, 16, 12] == pytest.approx(2 / 3, abs=0.01)
