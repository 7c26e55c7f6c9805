"""Backbone weights per video: out-of-fold for train videos, the full weights otherwise."""

from pathlib import Path

import pytest

from pipeline.core.networks.backbones import read_backbones, write_description
from pipeline.core.splits import assign_folds

VIDEOS = [f"video{i:03d}" for i in range(200)]


def test_train_videos_use_the_weights_trained_without_them(tmp_path: Path) -> None:
    folds = assign_folds(VIDEOS, 3)
    write_description(tmp_path, "w48", folds)
    backbones = read_backbones(tmp_path)
    assert backbones.variant == "w48"
    for video in VIDEOS:
        expected = f"hrnet-fold{folds[video]}.safetensors"
        assert backbones.weights("train", video).name == expected
        assert backbones.weights("val", video).name == "hrnet.safetensors"
    with pytest.raises(ValueError, match="expected a fold for the train video 'unknown'"):
        backbones.weights("train", "unknown")


def test_without_folds_all_videos_use_the_same_weights(tmp_path: Path) -> None:
    write_description(tmp_path, "tiny", {})
    assert not (tmp_path / "folds.json").exists()
    backbones = read_backbones(tmp_path)
    assert backbones.weights("train", "anything") == tmp_path / "hrnet.safetensors"


def test_a_folder_without_backbones_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path}: expected the backbones"):
        read_backbones(tmp_path)
