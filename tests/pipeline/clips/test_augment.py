"""Augmentation: ranges, frequencies, independence, and HRNet's half-body crop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clips.augment import (
    LOWER_BODY,
    NO_AUGMENTATION,
    UPPER_BODY,
    Augment,
    Augmentation,
    augmented_region,
    sample_augmentation,
)
from pipeline.core.geometry.boxes import Region
from pipeline.core.skeleton import JOINTS

PARAMS = Augment(
    seed=3,
    rotation=45.0,
    rotation_limit=45.0,
    rotation_chance=0.6,
    scale=0.35,
    half_body_chance=0.3,
    flip_chance=0.5,
)
REGION = Region((50.0, 80.0), 160, 120)
ALL_LABELED = np.ones(len(JOINTS), bool)


def _samples(count: int = 4000) -> list[Augmentation]:
    return [sample_augmentation(PARAMS, f"video/{i}/0", 1) for i in range(count)]


def test_the_first_variant_is_never_augmented() -> None:
    assert all(sample_augmentation(PARAMS, f"clip {i}", 0) == NO_AUGMENTATION for i in range(50))


def test_augmentation_depends_only_on_seed_clip_and_variant() -> None:
    first = sample_augmentation(PARAMS, "a/1/0", 2)
    for i in range(20):
        sample_augmentation(PARAMS, f"other {i}", 1 + i)
    assert sample_augmentation(PARAMS, "a/1/0", 2) == first
    changed = [
        sample_augmentation(PARAMS, "a/1/0", 3),
        sample_augmentation(PARAMS, "a/1/1", 2),
        sample_augmentation(PARAMS.model_copy(update={"seed": 4}), "a/1/0", 2),
    ]
    assert len({first.scale, *(other.scale for other in changed)}) == 4


def test_rotation_and_scale_stay_within_the_papers_ranges() -> None:
    samples = _samples()
    scales = np.array([d.scale for d in samples])
    rotations = np.array([d.rotation for d in samples])
    assert scales.min() == pytest.approx(0.65)
    assert scales.max() == pytest.approx(1.35)
    assert np.abs(rotations).max() == pytest.approx(45)


def test_frequencies_equal_those_of_the_public_code() -> None:
    """Frequencies within 4 standard errors of the binomial distribution."""
    samples = _samples()
    expected = {"half_body": 0.3, "upper": 0.6915, "flip": 0.5}
    for name, probability in expected.items():
        seen = np.mean([getattr(d, name) for d in samples])
        variance = probability * (1 - probability)
        assert abs(seen - probability) < 4 * np.sqrt(variance / len(samples)), name
    rotated = np.mean([d.rotation != 0 for d in samples])
    assert abs(rotated - 0.6) < 4 * np.sqrt(0.24 / len(samples))
    # The bound is one standard deviation, so 31.73 % of the normal values are clipped.
    clipped = np.mean([np.isclose(abs(d.scale - 1), 0.35) for d in samples])
    assert abs(clipped - 0.3173) < 4 * np.sqrt(0.2166 / len(samples))


def _person() -> np.ndarray:
    """Return joints with the upper body in x 0..90, y 0..30 and the legs in y 100..150."""
    keypoints = np.zeros((len(JOINTS), 2))
    keypoints[UPPER_BODY] = np.column_stack([np.linspace(0, 90, 9), np.linspace(30, 0, 9)])
    keypoints[LOWER_BODY] = np.column_stack([np.full(6, 40.0), np.linspace(100, 150, 6)])
    return keypoints


def _half(upper: bool, labeled: np.ndarray) -> Region:
    augmentation = Augmentation(half_body=True, upper=upper, scale=1.0, rotation=0.0, flip=False)
    return augmented_region(REGION, augmentation, _person(), labeled)


def test_the_upper_half_is_the_extent_of_its_joints_enlarged_by_50_percent() -> None:
    region = _half(upper=True, labeled=ALL_LABELED)
    assert region.center == pytest.approx((45, 15))
    assert region.width == pytest.approx(90 * 1.5)
    assert region.height == pytest.approx(90 / 0.75 * 1.5)


def test_the_lower_half_is_used_if_sampled_and_labeled() -> None:
    region = _half(upper=False, labeled=ALL_LABELED)
    assert region.center == pytest.approx((40, 125))
    assert region.height == pytest.approx(50 * 1.5)
    assert region.width == pytest.approx(50 * 0.75 * 1.5)


def test_two_labeled_legs_are_too_few_for_a_lower_half() -> None:
    labeled = ALL_LABELED.copy()
    labeled[LOWER_BODY[2:]] = False
    assert _half(upper=False, labeled=labeled).center == pytest.approx((45, 15))


def test_eight_labeled_joints_are_too_few_for_a_half_body() -> None:
    labeled = np.arange(len(JOINTS)) < 8
    assert _half(upper=True, labeled=labeled) == REGION


def test_coinciding_joints_leave_the_region_unchanged() -> None:
    augmentation = Augmentation(half_body=True, upper=True, scale=1.0, rotation=0.0, flip=False)
    assert augmented_region(REGION, augmentation, np.zeros((len(JOINTS), 2)), ALL_LABELED) == REGION


@given(st.floats(0.65, 1.35), st.booleans())
def test_scale_preserves_center_and_aspect_ratio(scale: float, flip: bool) -> None:
    augmentation = Augmentation(half_body=False, upper=True, scale=scale, rotation=10.0, flip=flip)
    region = augmented_region(REGION, augmentation, _person(), ALL_LABELED)
    assert region.center == REGION.center
    assert region.width == pytest.approx(120 * scale)
    assert region.height == pytest.approx(160 * scale)
