"""The convolution blocks against the sums written out, and how they begin."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.blocks import (
    ResidualBlock,
    conv_norm,
    heatmap_layer,
    init_identity_channels_,
    initialize,
    residual_chain,
)


def settled(module: nn.Module) -> nn.Module:
    """Give a module random statistics and factors, as after training, for evaluation."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module.eval()


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
    scaled = (x - mean) / (variance + norm.eps).sqrt()
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_a_convolution_is_normed_then_cut_at_zero(kernel_size: int) -> None:
    block = settled(conv_norm(3, 4, kernel_size=kernel_size))
    conv, norm = block[0], block[1]
    x = torch.randn(2, 3, 7, 5)
    expected = normed(F.conv2d(x, conv.weight, padding=kernel_size // 2), norm).clamp(min=0)
    torch.testing.assert_close(block(x), expected)


def test_without_activation_values_may_be_negative() -> None:
    block = settled(conv_norm(3, 4, activation=False))
    assert (block(torch.randn(2, 3, 7, 5)) < 0).any()


@pytest.mark.parametrize("out_channels", [3, 4])
def test_a_residual_block_is_body_plus_shortcut(out_channels: int) -> None:
    block = settled(ResidualBlock(3, out_channels))
    x = torch.randn(2, 3, 7, 5)
    inner = normed(F.conv2d(x, block.first[0].weight, padding=1), block.first[1]).clamp(min=0)
    body = normed(F.conv2d(inner, block.second.weight, padding=1), block.norm)
    shortcut = x
    if out_channels != 3:
        shortcut = normed(F.conv2d(x, block.shortcut[0].weight), block.shortcut[1])
    torch.testing.assert_close(block(x), (body + shortcut).clamp(min=0))


def test_a_chain_changes_the_width_in_its_first_block() -> None:
    chain = residual_chain(3, 8, blocks=3)
    widths = [(part.first[0].in_channels, part.first[0].out_channels) for part in chain]
    assert widths == [(3, 8), (8, 8), (8, 8)]
    assert chain(torch.randn(1, 3, 5, 7)).shape == (1, 8, 5, 7)


def test_a_chain_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="blocks=0"):
        residual_chain(3, 8, blocks=0)


def test_a_fresh_residual_block_passes_its_input_on() -> None:
    block = ResidualBlock(4, 4)
    initialize(block)
    x = torch.rand(2, 4, 7, 5)
    assert torch.equal(block(x), x)


def test_fresh_convolutions_keep_the_spread_of_what_they_read() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(32, 64, 3, padding=1)
    initialize(conv)
    # Kaiming: unit second moment in and, after ReLU, out.
    out = conv(torch.randn(4, 32, 20, 20)).relu()
    assert out[:, :, 1:-1, 1:-1].square().mean().item() == pytest.approx(1, rel=0.1)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_heatmaps_begin_near_zero() -> None:
    torch.manual_seed(0)
    layer = heatmap_layer(32, 5)
    heatmaps = layer(torch.randn(2, 32, 7, 5))
    assert heatmaps.shape == (2, 5, 7, 5)
    # 32 * 9 numbers of spread 1, each times 0.001.
    assert heatmaps.abs().max() < 0.1
    assert heatmaps.std().item() == pytest.approx(0.001 * (32 * 9) ** 0.5, rel=0.3)


def test_a_fresh_chain_passes_the_peaks_of_the_chosen_inputs_on() -> None:
    chain = residual_chain(9, 5, blocks=1)
    initialize(chain)
    init_identity_channels_(chain, 2, 4)
    maps = torch.zeros(6, 9, 8, 6)
    cells = torch.randint(48, (6, 9))
    maps.flatten(2).scatter_(2, cells[:, :, None], 1.0)
    peaks = chain(maps).flatten(2).argmax(-1)
    assert torch.equal(peaks[:, :4], cells[:, 2:6])
