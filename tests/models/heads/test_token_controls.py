"""The controls on ViT tokens: what they read, what they refuse, that they learn."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.heads.fuse_vit.network import FuseViT
from models.heads.vit.network import ViTDecoder


def decoder(grid: tuple[int, int] = (4, 3)) -> nn.Module:
    return ViTDecoder(
        joints=5, frames=3, grid=grid, embed_dim=8, decoder_channels=(8, 8), decoder_kernels=(4, 4)
    )


def fuse(grid: tuple[int, int] = (4, 3)) -> nn.Module:
    return FuseViT(
        joints=5,
        frames=3,
        grid=grid,
        embed_dim=8,
        width=12,
        decoder_channels=(8, 8),
        decoder_kernels=(4, 4),
    )


both = pytest.mark.parametrize("build", [decoder, fuse])
Build = Callable[..., nn.Module]


def tokens(batch: int, grid: tuple[int, int] = (4, 3)) -> Tensor:
    return torch.randn(batch, 3, grid[0] * grid[1], 8)


@both
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("grid", [(4, 3), (5, 1)])
def test_heatmaps_are_four_times_the_grid(build: Build, batch: int, grid: tuple[int, int]) -> None:
    assert build(grid)(tokens(batch, grid)).shape == (batch, 5, 4 * grid[0], 4 * grid[1])


def moves(network: nn.Module, frame: int) -> bool:
    torch.manual_seed(0)
    before = tokens(1)
    after = before.clone()
    after[:, frame] += 1
    network.eval()
    return not torch.equal(network(before), network(after))


def test_the_baseline_reads_the_key_frame_alone() -> None:
    assert [moves(decoder(), frame) for frame in range(3)] == [False, True, False]


def test_the_fusion_reads_every_frame() -> None:
    assert [moves(fuse(), frame) for frame in range(3)] == [True, True, True]


def test_the_fusion_is_a_convolution_over_stacked_maps() -> None:
    torch.manual_seed(0)
    network = fuse().eval()
    clips = tokens(2)
    maps = [clips[:, t, n].view(2, 8, 1, 1) for t in range(3) for n in range(12)]
    stacked = torch.cat(
        [
            torch.cat([torch.cat(maps[t * 12 + r * 3 :][:3], 3) for r in range(4)], 2)
            for t in range(3)
        ],
        dim=1,
    )
    expected = network.decoder(network.fuse(stacked))
    assert torch.allclose(network(clips), expected, atol=1e-6)


@both
def test_the_order_of_clips_does_not_matter(build: Build) -> None:
    torch.manual_seed(0)
    network = build().eval()
    clips, order = tokens(4), torch.tensor([2, 0, 3, 1])
    assert torch.allclose(network(clips[order]), network(clips)[order], atol=1e-6)


@both
def test_one_batch_can_be_learned_and_every_parameter_gets_a_gradient(build: Build) -> None:
    torch.manual_seed(0)
    network = build()
    clips, targets = tokens(4), torch.rand(4, 5, 16, 12)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(120):
        loss = (network(clips) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if len(losses) == 2:
            assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    assert losses[-1] < 0.3 * losses[0]


@both
def test_tokens_of_another_shape_are_named(build: Build) -> None:
    with pytest.raises(ValueError, match=re.escape("got (2, 3, 11, 8)")):
        build()(tokens(2)[:, :, :11])
