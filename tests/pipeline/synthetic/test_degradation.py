"""Faults of single frames: shares, isolation, and blur of one bright pixel."""

import numpy as np
import pytest

from pipeline.synthetic.degradation import TAGS, draw_faults, out_of_focus, smeared


def test_about_half_of_the_frames_are_bad_and_bad_ones_seldom_meet() -> None:
    faults = draw_faults(np.random.default_rng(0), 20_000)
    tags = np.array([fault.tag for fault in faults])
    assert set(tags) <= set(TAGS)
    for tag in ("blurred", "covered"):
        assert 0.2 <= (tags == tag).mean() <= 0.25
    bad = tags != "clean"
    assert bad[1:][bad[:-1]].mean() < 0.4 < bad.mean() < 0.5


def test_faults_are_what_their_tag_says() -> None:
    for fault in draw_faults(np.random.default_rng(1), 500):
        travel = np.linalg.norm(fault.shake[-1] - fault.shake[0])
        assert len(fault.shake) == len(fault.moments)
        assert np.abs(fault.moments).max() <= 0.5
        blurred = fault.tag == "blurred"
        assert (travel > 0.5 or fault.defocus >= 0.15) == blurred
        assert (fault.covers > 0) == (fault.tag == "covered")


def test_defocus_spreads_one_pixel_evenly_over_a_disk() -> None:
    picture = np.zeros((31, 31, 3), np.float32)
    picture[15, 15] = 1
    spread = out_of_focus(picture, 4.0)
    assert spread.sum(axis=(0, 1)) == pytest.approx(np.ones(3), abs=1e-5)
    rows, columns = np.mgrid[-15:16, -15:16]
    far = np.hypot(rows, columns)
    assert np.ptp(spread[far < 3.4][:, 0]) < 1e-6
    assert (spread[far > 4.6] == 0).all()


def test_smearing_spreads_along_the_step_and_keeps_the_light() -> None:
    picture = np.zeros((21, 21, 3), np.float32)
    picture[10, 10] = 1
    spread = smeared(picture, np.array([6.0, 0.0]))
    assert spread.sum() == pytest.approx(3, abs=1e-5)
    rows, columns = np.nonzero(spread[..., 0])
    assert set(rows.tolist()) == {10}
    assert columns.min() == 7
    assert columns.max() == 13


def test_no_radius_and_no_step_leave_the_picture_alone() -> None:
    picture = np.random.default_rng(0).random((8, 9, 3), np.float32)
    assert out_of_focus(picture, 0.0) is picture
    assert smeared(picture, np.zeros(2)) is picture
