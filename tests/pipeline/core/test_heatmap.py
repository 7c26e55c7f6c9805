"""Encoding and decoding of heatmaps, compared with literal versions of the official rules."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.heatmap import (
    decode,
    encode,
    flip_back,
    flip_back_heatmaps,
)
from pipeline.core.skeleton import FLIP, JOINTS

K = len(JOINTS)


def _slow_encode(x: float, y: float, size: tuple[int, int], sigma: float) -> np.ndarray:
    """Return a Gaussian around pixel (x, y), computed cell by cell; cell i is at pixel 4 i."""
    heatmap = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            square = (column - x / 4) ** 2 + (row - y / 4) ** 2
            heatmap[row, column] = math.exp(-square / (2 * sigma**2))
    return heatmap


def test_targets_are_gaussians_around_the_exact_position() -> None:
    keypoints = np.array([[13.7, 20.2], [0.0, 0.0], [60.0, 3.3]])
    heatmaps = encode(keypoints, np.array([2, 0, 1]), (24, 18), 2.0)
    assert heatmaps.dtype == np.float32
    np.testing.assert_allclose(heatmaps[0], _slow_encode(13.7, 20.2, (24, 18), 2.0), atol=1e-6)
    np.testing.assert_allclose(heatmaps[2], _slow_encode(60.0, 3.3, (24, 18), 2.0), atol=1e-6)
    assert not heatmaps[1].any()


def test_the_peak_of_a_joint_on_a_cell_is_1() -> None:
    heatmaps = encode(np.array([[32.0, 40.0]]), np.array([2]), (24, 18), 3.0)
    assert heatmaps[0, 10, 8] == 1


def _official_quarter(heatmap: np.ndarray) -> tuple[float, float]:
    """Return HRNet's quarter-offset result for one map, in cells."""
    height, width = heatmap.shape
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    found = [float(x), float(y)]
    if 1 < x < width - 1 and 1 < y < height - 1:
        found[0] += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        found[1] += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return found[0], found[1]


def _official_dark(heatmap: np.ndarray, kernel: int) -> tuple[float, float]:
    """Return DARK's result for one map: blur the full map, rescale, logarithm, Newton step."""
    height, width = heatmap.shape
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    border = (kernel - 1) // 2
    padded = np.pad(heatmap.astype(np.float64), border)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    h = np.log(np.maximum(blurred * heatmap.max() / blurred.max(), 1e-10))
    if not (1 < x < width - 2 and 1 < y < height - 2):
        return float(x), float(y)
    gradient = 0.5 * np.array([h[y, x + 1] - h[y, x - 1], h[y + 1, x] - h[y - 1, x]])
    xx = 0.25 * (h[y, x + 2] - 2 * h[y, x] + h[y, x - 2])
    yy = 0.25 * (h[y + 2, x] - 2 * h[y, x] + h[y - 2, x])
    xy = 0.25 * (h[y + 1, x + 1] - h[y - 1, x + 1] - h[y + 1, x - 1] + h[y - 1, x - 1])
    step = -np.linalg.inv(np.array([[xx, xy], [xy, yy]])) @ gradient
    return x + step[0], y + step[1]


def _noisy(seed: int, count: int = 60, size: tuple[int, int] = (24, 18)) -> np.ndarray:
    """Return heatmaps with one noisy peak each, at any position including the border."""
    random = np.random.default_rng(seed)
    xy = random.uniform(-1, 1, (count, 2)) * [40, 52] + [36, 48]
    maps = encode(xy, np.full(count, 2), size, 2.0)
    noise = cv2.GaussianBlur(random.normal(0, 0.06, maps.shape), (3, 3), 0)
    return np.clip(maps + np.abs(noise), 1e-4, None).astype(np.float32)[None]


def test_quarter_decoding_equals_the_official_rule() -> None:
    maps = _noisy(1)
    keypoints, _ = decode(maps, "quarter")
    expected = [_official_quarter(heatmap) for heatmap in maps[0]]
    np.testing.assert_allclose(keypoints[0] / 4, expected)


def test_dark_decoding_equals_the_official_rule_where_that_rule_finds_a_peak() -> None:
    maps = _noisy(2, count=300)
    keypoints, _ = decode(maps, "dark")
    expected = np.array([_official_dark(heatmap, 11) for heatmap in maps[0]])
    peaks = decode(maps, "argmax")[0][0] / 4
    converged = np.linalg.norm(expected - peaks, axis=1) < 2
    assert converged.mean() > 0.9
    np.testing.assert_allclose(keypoints[0][converged] / 4, expected[converged], atol=2e-3)


def test_the_score_is_the_maximum_before_the_blur() -> None:
    maps = _noisy(3)
    for method in ("argmax", "quarter", "dark"):
        np.testing.assert_array_equal(decode(maps, method)[1][0], maps[0].max(axis=(1, 2)))


@settings(max_examples=50, deadline=None)
@given(st.floats(32, 252), st.floats(32, 348), st.sampled_from([2.0, 3.0]))
def test_dark_locates_a_noise_free_joint_within_0_02_pixels(
    x: float, y: float, sigma: float
) -> None:
    heatmaps = encode(np.array([[x, y]]), np.array([2]), (96, 72), sigma)
    keypoints, _ = decode(heatmaps[None], "dark")
    np.testing.assert_allclose(keypoints[0, 0], [x, y], atol=0.02)


@settings(max_examples=50, deadline=None)
@given(st.floats(10, 180), st.floats(10, 240))
def test_argmax_and_quarter_decoding_reach_their_resolution(x: float, y: float) -> None:
    heatmaps = encode(np.array([[x, y]]), np.array([2]), (64, 48), 2.0)[None]
    assert np.abs(decode(heatmaps, "argmax")[0][0, 0] - [x, y]).max() <= 2 + 1e-3
    assert np.abs(decode(heatmaps, "quarter")[0][0, 0] - [x, y]).max() <= 1 + 1e-3


def test_flat_and_spiky_maps_give_finite_keypoints_near_their_peak() -> None:
    maps = np.zeros((1, 5, 24, 18), np.float32)
    maps[0, 1] = 0.5
    maps[0, 2, 10, 10] = 1e-30
    maps[0, 3, ::2, ::2] = 1
    maps[0, 4] = -1
    for method in ("argmax", "quarter", "dark"):
        keypoints, scores = decode(maps, method)
        assert np.isfinite(keypoints).all()
        np.testing.assert_array_equal(keypoints[0, [0, 4]], 0)
        assert scores[0, 4] == -1
        peaks = decode(maps, "argmax")[0]
        assert np.abs(keypoints - peaks).max() <= 8


def test_half_precision_changes_a_keypoint_by_less_than_0_01_cells() -> None:
    maps = _noisy(5)
    full, half = decode(maps, "dark")[0], decode(maps.astype(np.float16), "dark")[0]
    same_peak = decode(maps, "argmax")[0] == decode(maps.astype(np.float16), "argmax")[0]
    assert same_peak.mean() > 0.95
    assert np.abs(full - half)[same_peak].max() / 4 < 0.01


def test_an_empty_batch_gives_no_keypoints() -> None:
    keypoints, scores = decode(np.zeros((0, K, 24, 18), np.float16), "dark")
    assert keypoints.shape == (0, K, 2)
    assert scores.shape == (0, K)


def test_invalid_heatmaps_raise_an_error() -> None:
    maps = np.zeros((1, 1, 8, 8), np.float32)
    with pytest.raises(ValueError, match="got 'udp'"):
        decode(maps, "udp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got \(1, 8, 8\)"):
        decode(maps[0], "dark")
    with pytest.raises(ValueError, match="NaN"):
        decode(maps * np.nan, "dark")


def test_a_map_of_pixel_coordinates_is_flipped_back_exactly() -> None:
    """The value of each cell of the flipped map is the x of that cell in the unflipped crop."""
    width_cells = 18
    crop_width = 4 * width_cells
    cells = np.arange(width_cells, dtype=np.float32)
    flipped = np.tile(crop_width - 1 - 4 * cells, (3, 1))
    unflipped = flip_back(flipped)
    np.testing.assert_allclose(unflipped[:, 1:], np.tile(4 * cells, (3, 1))[:, 1:], atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.floats(50, 140), st.floats(30, 220))
def test_joints_of_a_flipped_crop_return_to_the_same_position(x: float, y: float) -> None:
    crop_width = 192
    keypoints = np.column_stack([np.linspace(x - 10, x + 10, K), np.full(K, y)])
    flipped = keypoints[FLIP].copy()
    flipped[:, 0] = crop_width - 1 - flipped[:, 0]
    heatmaps = encode(flipped, np.full(K, 2), (64, 48), 2.0)
    unflipped = flip_back_heatmaps(heatmaps)
    expected = encode(keypoints, np.full(K, 2), (64, 48), 2.0)
    np.testing.assert_allclose(unflipped, expected, atol=0.025)
    np.testing.assert_allclose(decode(unflipped[None], "dark")[0][0], keypoints, atol=0.2)


def test_flipped_back_joints_have_no_bias() -> None:
    """A shift by a full cell would move all joints by 1 pixel, no shift by 3 pixels."""
    xs = np.linspace(40, 150, 45).reshape(-1, 1)
    errors = []
    for x in xs:
        flipped = np.column_stack([191 - np.full(K, x), np.full(K, 100.0)])
        heatmaps = encode(flipped, np.full(K, 2), (64, 48), 2.0)
        errors.append(decode(flip_back_heatmaps(heatmaps)[None], "dark")[0][0, :, 0] - x)
    assert abs(np.mean(errors)) < 0.05
