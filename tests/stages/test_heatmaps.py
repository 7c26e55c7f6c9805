"""Stage heatmaps: the cache equals the output of HRNet on single frames, with folds or without."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.hrnet.network import HRNetPose, build_hrnet
from pipeline.core.networks.weights import write_weights
from pipeline.core.store.reader import Store
from stages.heatmaps import app
from tests.pipeline.tiny_caches import CLIPS_OF, random_store, values_of
from tests.stages.tiny_project import Project


def network(seed: int) -> HRNetPose:
    torch.manual_seed(seed)
    built = build_hrnet("tiny", 15)
    nn.init.normal_(built.final_layer.weight)
    return built


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "repo")
    random_store(project.data / "crops/hrnet/train", "crops", 1)
    backbones = project.data / "backbones"
    write_weights(backbones / "hrnet.safetensors", network(0).half().state_dict())
    (backbones / "backbone.json").write_text('{"variant": "tiny"}')
    return project


def expected(video: str, built: HRNetPose) -> np.ndarray:
    """Return the heatmaps of the first and last frame of the last clip, ``(2, K, h, w)``."""
    crops = torch.from_numpy(values_of("crops", f"{video}/v0", CLIPS_OF[video]))
    frames = crops[-1, [0, -1]].permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return torch.cat([built(frame[None]).heatmaps for frame in frames]).numpy()


def test_cached_heatmaps_equal_those_of_single_frames(project: Project) -> None:
    result = project.run(app, "--split", "train", heatmaps={"batch": 10})
    assert result.exit_code == 0, result.output
    store = Store(project.data / "heatmaps/train", "heatmaps")
    built = network(0).half().float().eval()
    for video, count in CLIPS_OF.items():
        maps = expected(video, built)
        rows = store.read(f"{video}/v0", range(count))
        assert rows.shape == (count, 5, 15, 16, 8)
        got = rows[-1, [0, -1]]
        assert np.abs(got - maps).max() < 2e-3 * np.abs(maps).max()
    listing = json.loads((project.data / "units/heatmaps/train.json").read_text())
    assert sorted(listing) == sorted(f"{video}/v0" for video in CLIPS_OF)


def test_with_folds_a_train_video_gets_heatmaps_of_the_network_trained_without_it(
    project: Project,
) -> None:
    folds = {"alley": 0, "bonn": 1, "creek": 0}
    (project.data / "backbones/folds.json").write_text(json.dumps(folds))
    for fold in (0, 1):
        path = project.data / f"backbones/hrnet-fold{fold}.safetensors"
        write_weights(path, network(10 + fold).state_dict())
    random_store(project.data / "crops/hrnet/val", "crops", 1, {"bonn": 4})
    for split in ("train", "val"):
        assert project.run(app, "--split", split, heatmaps={"batch": 10}).exit_code == 0
    for split, video, built in (
        ("train", "alley", network(10)),
        ("train", "bonn", network(11)),
        ("val", "bonn", network(0).half().float()),
    ):
        store = Store(project.data / "heatmaps" / split, "heatmaps")
        maps = expected(video, built.eval())
        got = store.read(f"{video}/v0", [CLIPS_OF[video] - 1])[0, [0, -1]]
        assert np.abs(got - maps).max() < 2e-3 * np.abs(maps).max(), (split, video)


def test_weights_that_do_not_match_the_network_give_a_one_line_error(project: Project) -> None:
    tensors = network(0).state_dict()
    del tensors["final_layer.bias"]
    write_weights(project.data / "backbones/hrnet.safetensors", tensors)
    result = project.run(app, "--split", "train", heatmaps={"batch": 10})
    assert result.exit_code == 1
    assert "1 missing (final_layer.bias)" in result.stderr
    assert not (project.data / "heatmaps/train").exists()


def test_an_empty_split_gives_an_empty_store(project: Project) -> None:
    random_store(project.data / "crops/hrnet/val_gt", "crops", 1, {})
    assert project.run(app, "--split", "val_gt", heatmaps={"batch": 10}).exit_code == 0
    assert not Store(project.data / "heatmaps/val_gt", "heatmaps").digests
