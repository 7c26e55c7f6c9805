"""Stage tokens: the cache equals the output of the vision transformer on single frames."""

from pathlib import Path

import numpy as np
import torch

from models.vit.network import build_vit
from models.vit.sizes import embed_dim
from pipeline.core.networks.weights import write_weights
from pipeline.core.store.reader import Store
from stages.tokens import app
from tests.pipeline.tiny_caches import CROP, random_store, values_of
from tests.stages.tiny_project import Project


def test_cached_tokens_equal_those_of_single_frames(tmp_path: Path) -> None:
    project = Project(tmp_path / "repo")
    random_store(project.data / "crops/vit/val", "crops", 2, {"alley": 3})
    torch.manual_seed(0)
    built = build_vit("tiny", CROP)
    weights = project.folder / "vit.safetensors"
    write_weights(weights, built.state_dict())
    section = {"variant": "tiny", "weights": str(weights), "batch": 7}
    result = project.run(app, "--split", "val", tokens=section)
    assert result.exit_code == 0, result.output
    store = Store(project.data / "tokens/val", "tokens")
    for unit in ("alley/v0", "alley/v1"):
        crops = torch.from_numpy(values_of("crops", unit, 3))
        got = store.read(unit, range(3))
        assert got.shape == (3, 5, 8, embed_dim("tiny"))
        for clip, frame in ((0, 0), (2, 4)):
            with torch.no_grad():
                expected = built(crops[clip, frame].permute(2, 0, 1)[None].float() / 255)[0].numpy()
            assert np.abs(got[clip, frame] - expected).max() < 5e-3 * np.abs(expected).max()
