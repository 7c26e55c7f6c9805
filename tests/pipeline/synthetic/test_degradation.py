"""Faults of single frames: shares, isolation, and blur of one bright pixel."""

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from pipeline.synthetic.degradation import (
    BURST,
    TAGS,
    FaultPattern,
    draw_faults,
    out_of_focus,
    smeared,
)


def test_about_half_of_the_frames_are_bad_and_bad_ones_seldom_meet() -> None:
    faults = draw_faults(np.random.default_rng(0), 20_000)
    tags = np.array([fault.tag for fault in faults])
    assert set(tags) <= set(TAGS)
    for tag in ("blurred", "covered"):
        assert 0.2 <= (tags == tag).mean() <= 0.25
    bad = tags != "clean"
    assert bad[1:][bad[:-1]].mean() < 0.4 < bad.mean() < 0.5


def test_bursts_last_three_frames_and_leave_three_clean_ones() -> None:
    tags = np.array([f.tag for f in draw_faults(np.random.default_rng(0), 20_000, "bursts")])
    for tag in ("blurred", "covered"):
        assert 0.2 <= (tags == tag).mean() <= 0.25
    ends = np.flatnonzero(tags[1:] != tags[:-1]) + 1
    runs = [(tags[start], stop - start) for start, stop in pairwise(ends)]
    assert {length for tag, length in runs if tag != "clean"} == {BURST}
    assert min(length for tag, length in runs if tag == "clean") == BURST


def test_frames_three_away_from_a_bad_one_are_clean_in_bursts() -> None:
    for seed in range(200):
        tags = np.array([f.tag for f in draw_faults(np.random.default_rng(seed), 12, "bursts")])
        bad = np.flatnonzero(tags != "clean")
        for offset in (-3, 3):
            there = bad + offset
            assert (tags[there[(there >= 0) & (there < 12)]] == "clean").all()


def test_any_phase_of_a_burst_begins_a_video() -> None:
    first = [draw_faults(np.random.default_rng(seed), 1, "bursts")[0] for seed in range(400)]
    assert 0.38 <= np.mean([fault.tag != "clean" for fault in first]) <= 0.54
    starts = [draw_faults(np.random.default_rng(seed), 3, "bursts") for seed in range(400)]
    lengths = {sum(f.tag != "clean" for f in fs) for fs in starts if fs[0].tag != "clean"}
    assert lengths == {1, 2, 3}


@pytest.mark.parametrize("pattern", get_args(FaultPattern))
def test_faults_are_what_their_tag_says(pattern: FaultPattern) -> None:
    for fault in draw_faults(np.random.default_rng(1), 500, pattern):
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
