"""Jitter of boxes: size, bounds, and that a draw depends on its name alone."""

import numpy as np
import pytest

from pipeline.clips.jitter import Jitter, jitter_box

BOX = np.array([30.0, 50.0, 40.0, 100.0])
PARAMS = Jitter(shift=0.04, scale=0.1)


def draws(params: Jitter, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return shifts of the center and factors, ``(count, 2)`` each, shares of width and height."""
    boxes = np.array([jitter_box(BOX, params, f"clip {i}") for i in range(count)])
    centers = boxes[:, :2] + boxes[:, 2:] / 2
    return (centers - (50.0, 100.0)) / BOX[2:], boxes[:, 2:] / BOX[2:]


def test_shift_and_scale_have_the_given_deviations_and_are_clipped_at_two_of_them() -> None:
    shifts, factors = draws(PARAMS)
    # A normal distribution that is clipped at 2 standard deviations has a deviation of 0.9594.
    np.testing.assert_allclose(shifts.std(axis=0), 0.04 * 0.9594, rtol=0.05)
    np.testing.assert_allclose(factors.std(axis=0), 0.1 * 0.9594, rtol=0.05)
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=0.003)
    np.testing.assert_allclose(factors.mean(axis=0), 1, atol=0.007)
    assert np.abs(shifts).max() == pytest.approx(0.08)
    assert np.abs(factors - 1).max() == pytest.approx(0.2)


def test_the_axes_are_independent() -> None:
    shifts, factors = draws(PARAMS)
    correlation = np.corrcoef(np.hstack([shifts, factors]).T) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(4000)


def test_without_deviations_the_box_is_unchanged() -> None:
    found = jitter_box(BOX, Jitter(shift=0.0, scale=0.0), "clip")
    np.testing.assert_allclose(found, BOX, atol=1e-12)


def test_a_draw_depends_on_its_name() -> None:
    first = jitter_box(BOX, PARAMS, "clip")
    np.testing.assert_array_equal(jitter_box(BOX, PARAMS, "clip"), first)
    assert not np.allclose(jitter_box(BOX, PARAMS, "other"), first)
