"""HRNet: equality with a literal HRNet and with timm; official shapes and names."""

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.hrnet import cfg_cls

from models.base.weights import load_weights
from models.hrnet.network import HRNetPose, build_hrnet, feature_channels
from tests.models.hrnet.oracle_hrnet import literal_hrnet


def randomize(network: torch.nn.Module, seed: int) -> None:
    """Fill normalization statistics and the final layer with random values."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2, generator=generator)
        elif name.endswith("running_mean") or "final_layer" in name:
            tensor.normal_(0, 0.3, generator=generator)


def test_the_output_equals_that_of_a_literal_hrnet() -> None:
    network = build_hrnet("tiny", joints=15).double()
    randomize(network, seed=0)
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    modules = tuple(len(getattr(network.backbone, f"stage{s}")) for s in (2, 3, 4))

    with torch.no_grad():
        maps = network(images)
        weights = {k.removeprefix("backbone."): v for k, v in network.state_dict().items()}
        features = literal_hrnet(images, weights, modules)
        heatmaps = F.conv2d(features, network.final_layer.weight, network.final_layer.bias)

    assert maps.heatmaps.shape == (2, 15, 16, 24)
    assert maps.features.std() > 0.1
    torch.testing.assert_close(maps.features, features, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(maps.heatmaps, heatmaps, rtol=1e-5, atol=1e-6)


def test_features_are_the_quarter_resolution_branch_and_not_timms_default() -> None:
    ours = HRNetPose(config=cfg_cls["hrnet_w18_small"], joints=3).eval()
    randomize(ours, seed=2)
    theirs = timm.create_model(
        "hrnet_w18_small", features_only=True, feature_location="", pretrained=False
    ).eval()
    weights = {k.removeprefix("backbone."): v for k, v in ours.state_dict().items()}
    extra = theirs.load_state_dict(weights, strict=False)
    assert sorted(extra.unexpected_keys) == ["final_layer.bias", "final_layer.weight"]
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))

    with torch.no_grad():
        quarter = theirs(ours.normalize(images))[1]
        features = ours(images).features

    assert torch.equal(features, quarter)
    with torch.device("meta"):
        default = timm.create_model("hrnet_w18_small", features_only=True, pretrained=False)
    assert default.feature_info.channels()[1] == 128 != features.shape[1] == 16


def test_w48_has_the_official_parameters_and_shapes() -> None:
    with torch.device("meta"):
        network = build_hrnet("w48", joints=17)
        maps = network(torch.empty(1, 3, 384, 288))

    state = network.state_dict()
    # Counted in pose_hrnet_w48_384x288.pth, the official file of 17 COCO joints.
    assert len(state) == 1754
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 63.6
    assert state["final_layer.weight"].shape == (17, 48, 1, 1)
    assert {k for k in state if k.startswith("backbone.stage4.2.fuse_layers.")} == {
        k for k in state if k.startswith("backbone.stage4.2.fuse_layers.0.")
    }
    assert maps.heatmaps.shape == (1, 17, 96, 72)
    assert maps.features.shape == (1, 48, 96, 72)


@pytest.mark.parametrize("variant", ["tiny", "w32", "w48"])
def test_feature_channels_equal_those_of_the_network(variant: str) -> None:
    with torch.device("meta"):
        network = build_hrnet(variant, joints=15)
        maps = network(torch.empty(1, 3, 64, 64))

    assert maps.features.shape[1] == feature_channels(variant)


def test_weights_load_strictly_and_differences_are_named() -> None:
    first, second = build_hrnet("tiny", joints=15), build_hrnet("tiny", joints=15)
    half = {name: tensor.half() for name, tensor in first.state_dict().items()}

    load_weights(second, half, "a.safetensors")

    assert second.final_layer.weight.dtype == torch.float32
    assert torch.equal(second.final_layer.weight, first.final_layer.weight.half().float())
    missing = {k: v for k, v in half.items() if k != "final_layer.bias"}
    with pytest.raises(ValueError, match=r"a\.safetensors: .* 1 missing \(final_layer\.bias\)"):
        load_weights(second, missing, "a.safetensors")
    with pytest.raises(ValueError, match=r"1 unexpected \(classifier\.weight\)"):
        load_weights(second, {**half, "classifier.weight": torch.zeros(1)}, "a")
    with pytest.raises(
        ValueError, match=r"final_layer\.weight \(17, 32, 1, 1\), expected \(15, 32"
    ):
        load_weights(second, {**half, "final_layer.weight": torch.zeros(17, 32, 1, 1)}, "a")
    with pytest.raises(ValueError, match=r"non-finite values \(final_layer\.bias\)"):
        load_weights(second, {**half, "final_layer.bias": torch.full((15,), torch.nan)}, "a")


def test_wrong_variants_sizes_and_ranges_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"\['tiny', 'w32', 'w48'\], got 'w64'"):
        build_hrnet("w64", joints=15)
    network = build_hrnet("tiny", joints=15)
    with pytest.raises(ValueError, match="multiples of 32, got 100x96"):
        network(torch.zeros(1, 3, 100, 96))
    with pytest.raises(ValueError, match=r"torch\.uint8; divide uint8 crops by 255"):
        network(torch.zeros(1, 3, 64, 96, dtype=torch.uint8))
