"""Systems by name: right class, strict weights, inputs by the names of the caches."""

from typing import Any

import pytest
import torch
from torch import nn

from models.head_parts.building import (
    build_head,
    build_network,
    build_objective,
    constructor_params,
)
from models.head_parts.token_grid import grid_of
from models.heads.fuse.network import Fuse
from models.heads.fuse_vit.network import FuseViT
from models.heads.jmpose.network import JMPose
from models.heads.refine.network import Refine
from models.heads.vit.network import ViTDecoder
from models.heads.vremd.network import VREMD
from models.heads.warp.network import Warp

MAPS = {"heatmaps": (5, 15, 16, 8), "flow": (4, 2, 16, 8), "features": (5, 24, 16, 8)}
TOKENS = {"tokens": (5, 8, 20)}
CROP = (64, 32)
CONTROL = {"channels": 8, "blocks": 1}
DECODER = {"decoder_channels": [8, 8], "decoder_kernels": [2, 2]}
JMPOSE = {
    "channels": 4, "layers": 1, "offset_groups": 2, "dilation": 1, "attention": "channel",
    "attention_heads": 2, "jmib_mask": "fused", "motion": "flow", "aggregate": "stacked",
    "joint_learner": True,
    "mutual_learning": True, "interaction": True,
}  # fmt: skip
VREMD_SIZES = {
    "width": 16, "heads": 2, "mlp_ratio": 1, "human_depth": 1, "keypoint_depth": 1,
    "spatial_depth": 1, "temporal_depth": 1, "motion_depth": 1, "motion_heads": 2, "points": 2,
    "offset_range": 2.0, "position_scale": 0.5, "keypoint_hidden": 2, "transformer_rate": 0.2,
} | DECODER  # fmt: skip

CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "refine": (CONTROL, ("heatmaps",)),
    "fuse": (CONTROL, ("heatmaps",)),
    "warp": (CONTROL, ("heatmaps", "flow")),
    "jmpose": (JMPOSE, ("heatmaps", "flow")),
    "vit": (DECODER, ("tokens",)),
    "fuse_vit": (DECODER | {"width": 8}, ("tokens",)),
    "vremd": (VREMD_SIZES, ("tokens",)),
}
"""Arguments and caches of every trained system."""


def network_of(system: str) -> nn.Module:
    tokens = {"joints": 15, "frames": 3, "grid": (4, 2), "embed_dim": 20}
    match system:
        case "refine":
            return Refine(joints=15, **CONTROL)
        case "fuse" | "warp":
            return (Fuse if system == "fuse" else Warp)(joints=15, frames=3, **CONTROL)
        case "jmpose":
            return JMPose(joints=15, frames=3, **JMPOSE)
        case "vit":
            return ViTDecoder(**tokens, **DECODER)
        case "fuse_vit":
            return FuseViT(**tokens, width=8, **DECODER)
    return VREMD(**tokens, **VREMD_SIZES)


def batch_of(kinds: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Two clips of 3 frames."""
    generator = torch.Generator().manual_seed(1)
    shapes = {kind: (MAPS | TOKENS)[kind][1:] for kind in kinds}
    return {
        kind: torch.randn(2, 2 if kind == "flow" else 3, *shape, generator=generator)
        for kind, shape in shapes.items()
    }


@pytest.mark.parametrize("system", CASES)
def test_a_system_is_its_network_with_the_weights_given(system: str) -> None:
    arguments, kinds = CASES[system]
    network = network_of(system)
    shapes = {kind: (MAPS | TOKENS)[kind] for kind in kinds}
    sizes = {"joints": 15, "frames": 3, "crop_size": CROP, "arguments": arguments}
    head = build_head(network.state_dict(), "here", shapes, system=system, **sizes)
    assert not head.training
    batch = batch_of(kinds)
    with torch.no_grad():
        out = network.eval()(**batch)
        heatmaps = out if isinstance(out, torch.Tensor) else out.heatmaps
        assert torch.equal(head(batch), heatmaps)
    assert heatmaps.shape == (2, 15, 16, 8)
    weights = dict(network.state_dict())
    lost = weights.popitem()[0]
    with pytest.raises(ValueError, match=f"here: .* 1 missing \\({lost}\\)"):
        build_head(weights, "here", shapes, system=system, **sizes)


def test_hrnet_is_the_key_frame_of_the_cache() -> None:
    sizes: dict[str, Any] = {"joints": 15, "frames": 3, "crop_size": CROP, "arguments": {}}
    head = build_head({}, "nothing", MAPS, system="hrnet", **sizes)
    batch = batch_of(("heatmaps",))
    assert torch.equal(head(batch), batch["heatmaps"][:, 1])


def test_mean_is_the_mean_of_the_frames_of_the_cache() -> None:
    sizes: dict[str, Any] = {"joints": 15, "frames": 3, "crop_size": CROP, "arguments": {}}
    head = build_head({}, "nothing", MAPS, system="mean", **sizes)
    before, key, after = (batch_of(("heatmaps",))["heatmaps"][:, frame] for frame in range(3))
    torch.testing.assert_close(head(batch_of(("heatmaps",))), (before + key + after) / 3)


def test_unknown_systems_are_named() -> None:
    sizes: dict[str, Any] = {"joints": 15, "frames": 3, "crop_size": CROP, "arguments": {}}
    with pytest.raises(ValueError, match="system 'mamba': expected a folder of"):
        build_head({}, "nothing", MAPS, system="mamba", **sizes)


def test_features_tell_jmpose_how_many_channels_they_have() -> None:
    arguments = JMPOSE | {"motion": "features"}
    shapes = {kind: MAPS[kind] for kind in ("heatmaps", "features")}
    head = build_network("jmpose", arguments, joints=15, frames=3, shapes=shapes, crop_size=CROP)
    batch = batch_of(("heatmaps", "features"))
    assert head(**batch).heatmaps.shape == (2, 15, 16, 8)


@pytest.mark.parametrize("system", CASES)
def test_params_are_the_arguments_that_no_cache_decides(system: str) -> None:
    losses = {"jmpose": {"estimator", "alpha"}, "vremd": {"keypoint_loss"}}
    loss = losses.get(system, set())
    switches = {"hkme", "bmd", "human_mask", "keypoint_mask", "sampler", "separation"}
    expected = CASES[system][0].keys() | loss | (switches if system == "vremd" else set())
    assert constructor_params(system).keys() == expected


def test_the_loss_of_a_batch_is_that_of_the_head_it_trains() -> None:
    arguments = CASES["fuse"][0]
    shapes = {"heatmaps": MAPS["heatmaps"]}
    objective = build_objective(
        "fuse", arguments, joints=15, frames=3, shapes=shapes, crop_size=CROP
    ).eval()
    batch = batch_of(("heatmaps",))
    target, weights = torch.rand(2, 15, 16, 8), torch.ones(2, 15)
    found = objective(batch | {"target": target, "weights": weights})
    expected = (objective.head(batch["heatmaps"]) - target).square().mean()
    assert found.keys() == {"heatmap"}
    torch.testing.assert_close(found["heatmap"], expected)


def test_tokens_tile_their_crop() -> None:
    assert grid_of(192, (256, 192)) == (16, 12)
    assert grid_of(48, (128, 96)) == (8, 6)
    for tokens in (0, 47, 191, 10**6):
        with pytest.raises(ValueError, match=f"{tokens} tokens per frame"):
            grid_of(tokens, (256, 192))
