"""The heatmap decoder: sizes for every kernel, ViTPose's own decoder, a start near zero."""

import pytest
import torch
from transformers import VitPoseBackboneConfig, VitPoseConfig
from transformers.models.vitpose.modeling_vitpose import VitPoseClassicDecoder

from models.head_parts.decoder import HeatmapDecoder


@pytest.mark.parametrize("kernels", [(4, 4), (2, 3), (3,), (4, 2, 3)])
def test_each_layer_doubles_an_odd_grid(kernels: tuple[int, ...]) -> None:
    decoder = HeatmapDecoder(in_channels=6, channels=[4] * len(kernels), kernels=kernels, joints=5)
    scale = 2 ** len(kernels)
    assert decoder(torch.randn(2, 6, 5, 3)).shape == (2, 5, 5 * scale, 3 * scale)


def test_the_decoder_equals_the_one_of_transformers() -> None:
    torch.manual_seed(0)
    config = VitPoseConfig(
        backbone_config=VitPoseBackboneConfig(hidden_size=6, num_labels=5), num_labels=5
    )
    reference = VitPoseClassicDecoder(config).eval()
    ours = HeatmapDecoder(in_channels=6, channels=(256, 256), kernels=(4, 4), joints=5).eval()
    (first, first_norm, _), (second, second_norm, _) = ours.upsample
    first.load_state_dict(reference.deconv1.state_dict())
    first_norm.load_state_dict(reference.batchnorm1.state_dict())
    second.load_state_dict(reference.deconv2.state_dict())
    second_norm.load_state_dict(reference.batchnorm2.state_dict())
    last = reference.conv.state_dict()
    ours.heatmaps.load_state_dict(last)
    tokens = torch.randn(2, 6, 5, 3)
    assert torch.allclose(ours(tokens), reference(tokens), atol=1e-6)


def test_heatmaps_start_near_zero() -> None:
    torch.manual_seed(0)
    decoder = HeatmapDecoder(in_channels=6, channels=(8, 8), kernels=(4, 4), joints=5)
    assert decoder(torch.randn(2, 6, 4, 4)).abs().max() < 0.05


def test_a_kernel_that_cannot_double_is_named() -> None:
    with pytest.raises(ValueError, match=r"side \[2, 3, 4\], got 5"):
        HeatmapDecoder(in_channels=6, channels=(8,), kernels=(5,), joints=5)


@pytest.mark.parametrize(("channels", "kernels"), [((8, 8), (4,)), ((), ())])
def test_layers_without_a_kernel_each_are_named(
    channels: tuple[int, ...], kernels: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"got channels \(.*\) and kernels \(.*\)"):
        HeatmapDecoder(in_channels=6, channels=channels, kernels=kernels, joints=5)
