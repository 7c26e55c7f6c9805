"""Stage features: the cache equals the output of HRNet, or is empty if disabled."""

from pathlib import Path

import numpy as np
import torch

from models.hrnet.network import build_hrnet, feature_channels
from pipeline.core.networks.weights import write_weights
from pipeline.core.store.reader import Store
from stages.features import app
from tests.pipeline.tiny_caches import random_store, values_of
from tests.stages.tiny_project import Project

CLIPS = {"alley": 3, "bonn": 1}


def test_features_are_those_of_hrnet_if_enabled_and_an_empty_store_otherwise(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path / "repo")
    random_store(project.data / "crops/hrnet/val", "crops", 1, CLIPS)
    torch.manual_seed(0)
    built = build_hrnet("tiny", 15)
    write_weights(project.data / "backbones/hrnet.safetensors", built.state_dict())
    (project.data / "backbones/backbone.json").write_text('{"variant": "tiny"}')
    out = project.data / "features/val"
    for enabled, units in ((False, []), (True, ["alley/v0", "bonn/v0"]), (False, [])):
        result = project.run(app, "--split", "val", features={"enabled": enabled, "batch": 10})
        assert result.exit_code == 0, result.output
        assert list(Store(out, "features").digests) == units
        if enabled:
            crops = torch.from_numpy(values_of("crops", "alley/v0", 3))
            with torch.no_grad():
                expected = (
                    built(crops[2, 4].permute(2, 0, 1)[None].float() / 255).features[0].numpy()
                )
            got = Store(out, "features").read("alley/v0", [2])[0, 4]
            assert got.shape == (feature_channels("tiny"), 16, 8)
            assert np.abs(got - expected).max() < 2e-3 * np.abs(expected).max()
