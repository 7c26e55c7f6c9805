"""Which copy of the backbone may see which video."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.backbones import assign_folds, read_backbones, write_description
from pipeline.splits import share_of

VIDEOS = [f"video{i:03d}" for i in range(200)]


def test_train_videos_are_seen_by_the_copy_that_was_trained_without_them(tmp_path: Path) -> None:
    folds = assign_folds(VIDEOS, 3)
    write_description(tmp_path, "w48", folds)
    backbones = read_backbones(tmp_path)
    assert backbones.variant == "w48"
    for video in VIDEOS:
        expected = f"hrnet-fold{folds[video]}.safetensors"
        assert backbones.weights("train", video).name == expected
        assert backbones.weights("val", video).name == "hrnet.safetensors"
    with pytest.raises(ValueError, match="expected a fold for the train video 'stranger'"):
        backbones.weights("train", "stranger")


def test_without_folds_there_is_one_copy_for_all(tmp_path: Path) -> None:
    write_description(tmp_path, "tiny", {})
    assert not (tmp_path / "folds.json").exists()
    backbones = read_backbones(tmp_path)
    assert backbones.weights("train", "anything") == tmp_path / "hrnet.safetensors"


@given(st.sets(st.sampled_from(VIDEOS), min_size=20), st.sampled_from(VIDEOS))
def test_a_videos_fold_depends_on_its_name_alone(videos: set[str], added: str) -> None:
    before = assign_folds(videos, 2)
    after = assign_folds(videos | {added}, 2)
    assert all(after[video] == fold for video, fold in before.items())


def test_folds_and_shares_are_about_even() -> None:
    folds = list(assign_folds(VIDEOS, 4).values())
    assert all(30 <= folds.count(fold) <= 70 for fold in range(4))
    assert all(0 <= share_of(video) < 1 for video in VIDEOS)
    assert 0.4 < sum(map(share_of, VIDEOS)) / len(VIDEOS) < 0.6


def test_an_empty_fold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"folds: expected videos in each of 5 folds"):
        assign_folds(VIDEOS[:3], 5)


def test_a_folder_without_backbones_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: expected the backbones"):
        read_backbones(tmp_path)
