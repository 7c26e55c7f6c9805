"""DCPose: every module against its definition written out, gradients, learning, refusals."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.heads.dcpose.network import (
    DCPose,
    PoseCorrection,
    PoseResidualFusion,
    PoseTemporalMerger,
    pose_residuals,
)
from models.heads.dcpose.residual_steps import ResidualStepsBlock
from tests.models.learning import learn_one_batch
from tests.models.oracle_jmpose import modulated_deformable_convolution

K = 4


def dcpose(dilations: tuple[int, ...] = (1, 3)) -> DCPose:
    torch.manual_seed(0)
    return DCPose(joints=K, frames=3, channels=8, dilations=dilations)


def clips(batch: int = 2, height: int = 8, width: int = 6) -> Tensor:
    return torch.rand(batch, 3, K, height, width, generator=torch.Generator().manual_seed(1))


def stirred(network: nn.Module) -> nn.Module:
    """Replace initial zeros, so that every part takes part."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def unit_of(conv: nn.Module, x: Tensor) -> Tensor:
    """Convolution without bias, norm in evaluation, ReLU, from the stored tensors."""
    weight, scale, shift, mean, variance, _ = conv.state_dict().values()
    x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    x = (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    return (scale[:, None, None] * x + shift[:, None, None]).clamp(min=0)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(12, 6), (8, 8)])
def test_a_residual_steps_block_is_its_equations(in_channels: int, out_channels: int) -> None:
    torch.manual_seed(0)
    block = stirred(ResidualStepsBlock(in_channels, out_channels))
    x = torch.randn(2, in_channels, 5, 4)
    width = in_channels * 26 // 64
    parts = unit_of(block.split, x).split(width, dim=1)
    y: dict[tuple[int, int], Tensor] = {}
    for i in range(1, 5):
        y[i, 0] = parts[i - 1]
        for j in range(1, i + 1):
            read = y[i, j - 1] + (y[i - 1, j] if j <= i - 1 else 0)
            y[i, j] = unit_of(block.branches[i - 1][j - 1], read)
    expected = block.norm(block.mix(torch.cat([y[1, 1], y[2, 2], y[3, 3], y[4, 4]], dim=1)))
    expected = (expected + block.shortcut(x)).clamp(min=0)
    torch.testing.assert_close(block(x), expected)
    assert len(parts) == 4
    assert sum(len(branch) for branch in block.branches) == 10


def test_a_branch_of_the_paper_has_24_channels_for_15_joints() -> None:
    assert ResidualStepsBlock(4 * 15, 2 * 15).split[0].out_channels == 4 * 24


def test_residuals_lie_side_by_side_for_each_joint() -> None:
    heatmaps = clips()
    previous, current, following = 4, 5, 6
    weights = (
        (following - current) / (following - previous),
        (current - previous) / (following - previous),
    )
    found = pose_residuals(heatmaps)
    assert found.shape == (2, 4 * K, 8, 6)
    for joint in range(K):
        before, now, after = heatmaps[:, :, joint].unbind(1)
        steps = (now - before, after - now)
        expected = [
            steps[0], weights[0] * steps[0], steps[1], weights[1] * steps[1],
        ]  # fmt: skip
        torch.testing.assert_close(found[:, 4 * joint : 4 * joint + 4], torch.stack(expected, 1))


def test_the_fusion_of_a_person_who_does_not_move_is_that_of_any_other_such_person() -> None:
    fusion = stirred(PoseResidualFusion(joints=K))
    still = clips()[:, 1:2].expand(-1, 3, -1, -1, -1)
    torch.testing.assert_close(fusion(still), fusion(still.flip(0)))
    assert not torch.allclose(fusion(clips()), fusion(clips().flip(0)))


def test_the_merger_reads_the_key_frame_and_the_halved_neighbors() -> None:
    merger = stirred(PoseTemporalMerger(joints=K))
    before, now, after = clips().unbind(1)
    stacked = torch.cat([now, before / 2, after / 2], dim=1)
    torch.testing.assert_close(merger(clips()), merger.body(stacked))


def test_the_merged_map_starts_as_the_heatmap_of_the_key_frame_above_its_mean() -> None:
    torch.manual_seed(0)
    merger = PoseTemporalMerger(joints=K)
    heatmaps = clips(batch=16)
    now = heatmaps[:, 1]
    mean = now.mean(dim=(0, 2, 3), keepdim=True)
    deviation = now.std(dim=(0, 2, 3), keepdim=True, correction=0)
    expected = (0.1 * (now - mean) / deviation).clamp(min=0)
    torch.testing.assert_close(merger(heatmaps), expected, atol=1e-4, rtol=1e-3)


def test_the_correction_is_the_mean_of_literal_deformable_convolutions() -> None:
    torch.manual_seed(0)
    correction = stirred(PoseCorrection(joints=K, channels=5, dilations=(1, 2)))
    with torch.no_grad():
        for conv in correction.offsets:
            conv.weight.mul_(5)
    merged, fused = torch.rand(2, K, 5, 4), torch.randn(2, 5, 5, 4)
    found = correction(merged, fused)
    for clip in range(2):
        branches = []
        for branch, dilation in enumerate((1, 2)):
            offsets = F.conv2d(
                fused, correction.offsets[branch].weight, padding=dilation, dilation=dilation
            )
            masks = F.conv2d(
                fused, correction.masks[branch].weight, padding=dilation, dilation=dilation
            )
            assert offsets.shape[1] == 18 * K
            assert masks.shape[1] == 9 * K
            branches.append(
                modulated_deformable_convolution(
                    merged[clip].tolist(),
                    offsets[clip].tolist(),
                    masks[clip].sigmoid().tolist(),
                    correction.kernels[branch].tolist(),
                    dilation,
                )
            )
        expected = torch.tensor(branches).mean(dim=0)
        torch.testing.assert_close(found[clip], expected, atol=1e-4, rtol=1e-4)


def test_the_correction_starts_as_the_merged_map() -> None:
    torch.manual_seed(0)
    correction = PoseCorrection(joints=K, channels=5, dilations=(1, 3))
    merged = torch.rand(2, K, 9, 7)
    found = correction(merged, torch.zeros(2, 5, 9, 7))
    torch.testing.assert_close(found, merged)


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_every_frame_is_read(frame: int) -> None:
    head = stirred(dcpose())
    changed = clips()
    changed[:, frame] = 0
    assert not torch.allclose(head(clips()), head(changed))


def test_the_order_of_clips_does_not_matter() -> None:
    head = stirred(dcpose())
    torch.testing.assert_close(head(clips(3)).flip(0), head(clips(3).flip(0)))


def test_one_batch_can_be_learned_and_every_parameter_gets_a_gradient() -> None:
    head, heatmaps = dcpose(), clips()
    target = torch.rand(2, K, 8, 6, generator=torch.Generator().manual_seed(3))

    def loss() -> dict[str, Tensor]:
        return {"heatmap": (head(heatmaps) - target).square().mean()}

    losses, reached = learn_one_batch(head, loss, steps=70)
    assert losses[-1] < 0.2 * losses[0]
    assert reached == dict(head.named_parameters()).keys()


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("(B, 3, 4, H, W), got (2, 5, 4, 8, 6)")):
        dcpose()(torch.rand(2, 5, 4, 8, 6))
    with pytest.raises(ValueError, match=r"clips of 3 frames \(delta 1\), got 5 frames"):
        DCPose(joints=K, frames=5, channels=8, dilations=(1,))
    with pytest.raises(ValueError, match="3 or more channels, got 2"):
        ResidualStepsBlock(2, 2)
