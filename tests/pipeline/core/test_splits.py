"""Splits of videos by name are stable and balanced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.splits import assign_folds, video_share

VIDEOS = [f"video{i:03d}" for i in range(200)]


@given(st.sets(st.sampled_from(VIDEOS), min_size=20), st.sampled_from(VIDEOS))
def test_the_fold_of_a_video_depends_only_on_its_name(videos: set[str], added: str) -> None:
    before = assign_folds(videos, 2)
    after = assign_folds(videos | {added}, 2)
    assert all(after[video] == fold for video, fold in before.items())


def test_folds_and_shares_are_balanced() -> None:
    folds = list(assign_folds(VIDEOS, 4).values())
    assert all(30 <= folds.count(fold) <= 70 for fold in range(4))
    assert all(0 <= video_share(video) < 1 for video in VIDEOS)
    assert 0.4 < sum(map(video_share, VIDEOS)) / len(VIDEOS) < 0.6


def test_an_empty_fold_raises_an_error() -> None:
    with pytest.raises(ValueError, match=r"folds: expected videos in each of 5 folds"):
        assign_folds(VIDEOS[:3], 5)
