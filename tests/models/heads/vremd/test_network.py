"""VREMD as a whole: the paper's data flow, its switches, learning, what it refuses."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.head_parts.token_layout import to_map
from models.heads.vremd.deformable_attention import DeformableAttention, DeformableConvolution
from models.heads.vremd.motion_disentanglement import AdaptiveDeformableCross
from models.heads.vremd.network import VREMD, bumps

SMALL: dict[str, Any] = {
    "joints": 5,
    "frames": 3,
    "grid": (4, 3),
    "embed_dim": 16,
    "width": 16,
    "heads": 2,
    "mlp_ratio": 2,
    "human_depth": 2,
    "keypoint_depth": 2,
    "spatial_depth": 1,
    "temporal_depth": 1,
    "motion_depth": 2,
    "motion_heads": 4,
    "points": 3,
    "offset_range": 2.0,
    "decoder_channels": (8, 8),
    "decoder_kernels": (4, 4),
    "position_scale": 0.5,
    "keypoint_hidden": 2,
    "transformer_rate": 0.2,
}
SWITCHES: list[dict[str, Any]] = [
    {"hkme": False},
    {"bmd": False},
    {"human_mask": False},
    {"keypoint_mask": False},
    {"separation": False},
    {"sampler": "deformable_attention"},
    {"sampler": "deformable_convolution"},
]
each_switch = pytest.mark.parametrize("switch", SWITCHES, ids=str)


def vremd(**changes: object) -> VREMD:
    torch.manual_seed(0)
    return VREMD(**{**SMALL, **changes})


def clips(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 12, 16)


def learn(network: nn.Module, tokens: Tensor, targets: Tensor, steps: int) -> list[float]:
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    losses = []
    for _ in range(steps):
        loss = (network(tokens) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("grid", [(4, 3), (5, 1), (1, 7)])
def test_heatmaps_are_four_times_the_grid(batch: int, grid: tuple[int, int]) -> None:
    tokens = torch.randn(batch, 3, grid[0] * grid[1], 16)
    assert vremd(grid=grid)(tokens).shape == (batch, 5, 4 * grid[0], 4 * grid[1])


def test_a_width_of_its_own_and_more_frames_are_possible() -> None:
    network = vremd(width=24, frames=5)
    assert network(torch.randn(2, 5, 12, 16)).shape == (2, 5, 16, 12)


def test_the_two_heatmaps_have_equal_weights() -> None:
    network, tokens = vremd().eval(), clips()
    enhanced, joints = network.hkme(tokens)
    motion = network.bmd(tokens, enhanced)
    combined = torch.cat([motion, tokens[:, 1]], dim=-1)
    from_motion = network.decoder(to_map(combined, (4, 3)))
    from_joints = network.keypoint_head.mlp(network.keypoint_head.norm(joints))
    expected = (from_joints.view(2, 5, 16, 12) + from_motion) / 2
    assert torch.allclose(network(tokens), expected, atol=1e-6)


class Recorder(nn.Module):
    """Keeps what a trajectory was given."""

    def __init__(self, trajectory: nn.Module) -> None:
        super().__init__()
        self.trajectory = trajectory

    def forward(self, motion: Tensor, enhanced: Tensor) -> Tensor:
        self.motion, self.enhanced = motion, enhanced
        self.returned = self.trajectory(motion, enhanced)
        return self.returned


def record(network: VREMD) -> list[Recorder]:
    recorders = [Recorder(trajectory) for trajectory in network.bmd.trajectories]
    network.bmd.trajectories = nn.ModuleList(recorders)
    return recorders


def test_trajectories_start_at_the_differences_to_the_key_frame() -> None:
    network, tokens = vremd(), clips()
    forward, backward = record(network)
    network(tokens)
    assert torch.equal(forward.motion, tokens[:, 2] - tokens[:, 1])
    assert torch.equal(backward.motion, tokens[:, 0] - tokens[:, 1])
    for recorder in (forward, backward):
        assert torch.equal(recorder.enhanced, network.hkme(tokens)[0])


def test_directions_stay_apart_until_the_fusion() -> None:
    network, tokens = vremd(hkme=False), clips()
    forward, backward = record(network)
    network(tokens)
    before = forward.returned, backward.returned
    changed = tokens.clone()
    changed[:, 2] += torch.randn(12, 16)
    network(changed)
    assert not torch.allclose(forward.returned, before[0], atol=1e-3)
    assert torch.equal(backward.returned, before[1])


def test_without_separation_one_trajectory_follows_both_directions() -> None:
    network, tokens = vremd(separation=False), clips()
    (recorder,) = record(network)
    network(tokens)
    both = torch.cat([tokens[:, 2] - tokens[:, 1], tokens[:, 0] - tokens[:, 1]], dim=-1)
    assert torch.allclose(recorder.motion, network.bmd.fuse(both), atol=1e-6)


def test_without_hkme_the_key_frame_guides_the_motion() -> None:
    network, tokens = vremd(hkme=False), clips()
    recorders = record(network)
    network(tokens)
    assert all(torch.equal(recorder.enhanced, tokens[:, 1]) for recorder in recorders)


def test_without_bmd_the_enhanced_feature_is_decoded() -> None:
    network, tokens = vremd(bmd=False).eval(), clips()
    enhanced, joints = network.hkme(tokens)
    combined = torch.cat([enhanced, tokens[:, 1]], dim=-1)
    expected = (network.decoder(to_map(combined, (4, 3))) + network.keypoint_head(joints)) / 2
    assert torch.allclose(network(tokens), expected, atol=1e-6)


def test_an_adc_block_joins_both_branches() -> None:
    torch.manual_seed(0)
    block = AdaptiveDeformableCross(
        width=16,
        heads=4,
        points=3,
        grid=(4, 3),
        offset_range=2.0,
        mlp_ratio=2,
        sampler="deformable_cross_attention",
    )
    motion, enhanced = torch.randn(2, 2, 12, 16)
    branches = [block.sampler(motion, enhanced), block.cross_attention(motion, enhanced)]
    expected = motion + block.mlp(block.norm(torch.cat(branches, dim=-1)))
    assert torch.allclose(block(motion, enhanced), expected)


def aligned(switch: dict[str, Any]) -> tuple[VREMD, VREMD]:
    """The method and its ablation, with equal weights wherever both have them."""
    whole, without = vremd().eval(), vremd(**switch).eval()
    with torch.no_grad():
        # Leave the start, at which some layers are zero.
        for parameter in whole.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    ours = whole.state_dict()
    kept = {
        k: ours[k]
        for k, v in without.state_dict().items()
        if k in ours and ours[k].shape == v.shape
    }
    without.load_state_dict(kept, strict=False)
    return whole, without


@each_switch
def test_every_switch_moves_the_output(switch: dict[str, Any]) -> None:
    whole, without = aligned(switch)
    tokens = clips()
    assert (whole(tokens) - without(tokens)).abs().max() > 1e-3


@each_switch
def test_every_switch_takes_its_parameters_away(switch: dict[str, Any]) -> None:
    whole, without = (set(network.state_dict()) for network in aligned(switch))
    gone = {
        "hkme": ("hkme.", "keypoint_head."),
        "bmd": ("bmd.",),
        "human_mask": (),
        "keypoint_mask": (),
        "separation": ("bmd.trajectories.1.",),
        "sampler": tuple(
            f"bmd.trajectories.{t}.blocks.{b}.sampler." for t in (0, 1) for b in (0, 1)
        ),
    }[next(iter(switch))]
    expected = {name for name in whole if name.startswith(gone)}
    kept = {name for name in without if name.startswith(gone)}
    assert bool(expected) == bool(gone)
    assert whole - without == expected - kept
    assert bool(expected - kept) == bool(gone)


def test_the_samplers_of_table_6_are_built() -> None:
    for sampler, kind in (
        ("deformable_attention", DeformableAttention),
        ("deformable_convolution", DeformableConvolution),
    ):
        network = vremd(sampler=sampler, separation=False)
        assert isinstance(network.bmd.trajectories[0].blocks[0].sampler, kind)


@pytest.mark.parametrize("switch", [{}, *SWITCHES], ids=str)
def test_gradients_reach_every_parameter_after_one_step(switch: dict[str, Any]) -> None:
    """Not before: offset layers start at zero and pass nothing back in the first step."""
    network, tokens = vremd(**switch), clips(4)
    learn(network, tokens, torch.rand(4, 5, 16, 12), steps=2)
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_one_batch_can_be_learned() -> None:
    network, tokens = vremd(), clips(4)
    losses = learn(network, tokens, torch.rand(4, 5, 16, 12), steps=80)
    assert losses[-1] < 0.3 * losses[0]


def test_sampling_points_differ_and_move_in_training() -> None:
    network, tokens = vremd(), clips(4)

    def points() -> list[Tensor]:
        enhanced, _ = network.hkme(tokens)
        return [
            trajectory.blocks[0].sampler.sampling_points(tokens[:, t] - tokens[:, 1], enhanced)
            for trajectory, t in zip(network.bmd.trajectories, (2, 0), strict=True)
        ]

    before = points()
    learn(network, tokens, torch.rand(4, 5, 16, 12), steps=30)
    for start, end in zip(before, points(), strict=True):
        assert (end - start).norm(dim=-1).mean() > 0.01
        apart = torch.cdist(end, end) + torch.eye(3) * 1e3
        assert apart.amin(dim=(-2, -1)).mean() > 0.1


def test_the_order_of_clips_does_not_matter() -> None:
    network, tokens = vremd().eval(), clips(4)
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(network(tokens[order]), network(tokens)[order], atol=1e-5)


def test_evaluation_is_deterministic() -> None:
    network, tokens = vremd().eval(), clips()
    assert torch.equal(network(tokens), network(tokens))


@pytest.mark.parametrize("shape", [(2, 5, 12, 16), (2, 3, 13, 16), (2, 3, 12, 8), (3, 12, 16)])
def test_tokens_of_another_shape_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"(any, 3, 12, 16), got {shape}")):
        vremd()(torch.zeros(shape))


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_clip_without_a_middle_frame_and_two_neighbors_is_named(frames: int) -> None:
    with pytest.raises(ValueError, match=f"from 3 on, got {frames}"):
        vremd(frames=frames)


def test_a_head_without_both_modules_is_named() -> None:
    with pytest.raises(ValueError, match="hkme=False, bmd=False"):
        vremd(hkme=False, bmd=False)


def test_motion_heads_that_do_not_divide_the_width_are_named() -> None:
    with pytest.raises(ValueError, match="got 5 heads for a width of 16"):
        vremd(motion_heads=5)


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(ValueError, match=r"'deformable_cross_attention'.*got 'rigid'"):
        vremd(sampler="rigid")


@pytest.mark.parametrize(
    ("count", "size"), [(12, (8, 6)), (256, (32, 24)), (7, (4, 4)), (1, (8, 6))]
)
def test_bumps_have_height_1_at_places_of_their_own(count: int, size: tuple[int, int]) -> None:
    drawn = bumps(count, size).T.reshape(count, *size)
    columns = min(count, max(1, round((count * size[1] / size[0]) ** 0.5)))
    rows = count // columns
    down, across = torch.arange(size[0]), torch.arange(size[1])
    for index in range(rows * columns):
        y = (index // columns + 0.5) * size[0] / rows - 0.5
        x = (index % columns + 0.5) * size[1] / columns - 0.5
        squares = (down[:, None] - y) ** 2 + (across - x) ** 2
        torch.testing.assert_close(drawn[index], torch.exp(-squares / (2 * 1.5**2)))
    assert not drawn[rows * columns :].any()
