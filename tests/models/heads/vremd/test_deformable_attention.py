"""Deformable cross attention against Eqs. 3-4, the samplers of table 6 against libraries."""

import math

import pytest
import torch
from torch import Tensor, nn

from models.head_parts.token_layout import to_map, to_tokens
from models.heads.vremd.deformable_attention import (
    DeformableAttention,
    DeformableConvolution,
    DeformableCrossAttention,
    ring,
    sample_bilinear,
    token_centers,
)
from tests.models.oracle_vremd import bilinear, deformable_cross_attention, dot, softmax, times

GRID = (4, 3)
HEADS, POINTS, WIDTH, RANGE = 2, 3, 8, 1.5


def cross_attention(seed: int = 0) -> DeformableCrossAttention:
    torch.manual_seed(seed)
    return DeformableCrossAttention(
        width=WIDTH, heads=HEADS, points=POINTS, grid=GRID, offset_range=RANGE
    )


def inputs(batch: int = 2) -> tuple[Tensor, Tensor]:
    tokens = torch.randn(2, batch, GRID[0] * GRID[1], WIDTH)
    return tokens[0], tokens[1]


def shake(module: nn.Module) -> None:
    """Leave the start, where offsets do not depend on the input yet."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


@pytest.mark.parametrize("grid", [(4, 3), (1, 5), (5, 1)])
def test_bilinear_sampling_equals_the_literal_one(grid: tuple[int, int]) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(1, grid[0] * grid[1], 2, dtype=torch.float64)
    points = torch.rand(1, 20, 2, 2, dtype=torch.float64) * 8 - 2
    sampled = sample_bilinear(to_map(tokens, grid), points)
    for n in range(20):
        for p in range(2):
            expected = bilinear(tokens[0].tolist(), grid, *points[0, n, p].tolist())
            assert sampled[0, :, n, p].tolist() == pytest.approx(expected, abs=1e-12)


def test_sampling_at_the_centers_returns_the_tokens() -> None:
    tokens = torch.randn(2, 12, 5)
    points = token_centers(GRID)[None, :, None].expand(2, -1, -1, -1)
    sampled = sample_bilinear(to_map(tokens, GRID), points)[..., 0]
    assert torch.allclose(sampled.transpose(1, 2), tokens, atol=1e-5)


def test_the_first_centers_run_along_the_row() -> None:
    assert token_centers(GRID)[:4].tolist() == [[0, 0], [1, 0], [2, 0], [0, 1]]


def test_the_ring_gives_each_head_an_angle_and_each_point_a_radius() -> None:
    offsets = ring(8, 4, 3.0)
    angles = torch.atan2(offsets[..., 1], offsets[..., 0]) % (2 * math.pi)
    expected = torch.arange(8)[:, None] * math.pi / 4
    # An angle of -1e-8 is 2 pi here: compare on the circle.
    assert torch.cos(angles - expected).min() > 1 - 1e-6
    radii = torch.tensor([0.6, 1.2, 1.8, 2.4]).expand(8, 4)
    assert torch.allclose(offsets.norm(dim=-1), radii)


def test_a_range_that_is_not_positive_is_named() -> None:
    with pytest.raises(ValueError, match=r"got 0\.0 tokens"):
        ring(8, 4, 0.0)


@pytest.mark.parametrize("shaken", [False, True])
def test_cross_attention_equals_equations_3_and_4(shaken: bool) -> None:
    attention = cross_attention().double()
    if shaken:
        shake(attention)
    motion, enhanced = (tokens.double() for tokens in inputs(batch=2))
    gathered = attention(motion, enhanced)
    points = attention.sampling_points(motion, enhanced)
    for clip in range(2):
        expected, expected_points = deformable_cross_attention(
            motion[clip].tolist(),
            enhanced[clip].tolist(),
            attention.state_dict(),
            grid=GRID,
            heads=HEADS,
            offset_range=RANGE,
        )
        assert torch.allclose(points[clip], torch.tensor(expected_points).double(), atol=1e-6)
        assert torch.allclose(gathered[clip], torch.tensor(expected).double(), atol=1e-6)


def test_points_start_at_the_ring_around_each_token_whatever_the_input() -> None:
    attention = cross_attention()
    points = attention.sampling_points(*inputs())
    expected = token_centers(GRID)[:, None] + ring(HEADS, POINTS, RANGE)[:, None]
    assert torch.allclose(points, expected.expand_as(points), atol=1e-5)


def closest(points: Tensor) -> float:
    """Distance between the two closest points of a head at a token, on average."""
    distances = torch.cdist(points, points) + torch.eye(points.shape[-2]) * 1e3
    return distances.amin(dim=(-2, -1)).mean().item()


def test_points_of_a_head_differ_before_and_after_training_and_move() -> None:
    attention = cross_attention()
    motion, enhanced = inputs(batch=8)
    maps = to_map(motion, GRID)
    # Left and right neighbor: a head has to look at two places at once.
    target = to_tokens(maps.roll(1, dims=3) + maps.roll(-1, dims=3))
    before = attention.sampling_points(motion, enhanced)
    optimizer = torch.optim.AdamW(attention.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = (attention(motion, enhanced) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    after = attention.sampling_points(motion, enhanced)
    assert closest(before) > 0.3
    assert closest(after) > 0.05
    assert (after - before).norm(dim=-1).mean() > 0.1
    assert losses[-1] < 0.6 * losses[0]


def test_the_enhanced_feature_moves_the_points() -> None:
    attention = cross_attention()
    shake(attention)
    motion, enhanced = inputs()
    moved = attention.sampling_points(motion, -enhanced) - attention.sampling_points(
        motion, enhanced
    )
    assert moved.norm(dim=-1).mean() > 0.05


def test_points_stay_within_the_range() -> None:
    attention = cross_attention()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=5.0)
    offsets = attention.sampling_points(*inputs()) - token_centers(GRID)[:, None]
    assert offsets.abs().max() <= RANGE + 1e-5


@pytest.mark.parametrize("shaken", [False, True])
def test_deformable_attention_equals_loops(shaken: bool) -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(
        width=WIDTH, heads=HEADS, points=POINTS, grid=GRID, offset_range=RANGE
    ).double()
    if shaken:
        shake(attention)
    motion = inputs(batch=1)[0].double()
    gathered = attention(motion)[0]
    tokens, weights, per_head = motion[0].tolist(), attention.state_dict(), WIDTH // HEADS
    for head in range(HEADS):
        w_v = weights["value.weight"][head * per_head : (head + 1) * per_head].tolist()
        for n, token in enumerate(tokens):
            rows = range(head * POINTS, (head + 1) * POINTS)
            logits = [
                dot(weights["weights.weight"][r].tolist(), token)
                + weights["weights.bias"][r].item()
                for r in rows
            ]
            expected = [0.0] * per_head
            for p, share in enumerate(softmax(logits)):
                raw = [
                    dot(weights["offsets.weight"][2 * rows[p] + axis].tolist(), token)
                    + weights["places.start"][head, p, axis].item()
                    for axis in (0, 1)
                ]
                place = (
                    n % GRID[1] + RANGE * math.tanh(raw[0]),
                    n // GRID[1] + RANGE * math.tanh(raw[1]),
                )
                value = times(w_v, bilinear(tokens, GRID, *place))
                expected = [e + share * v for e, v in zip(expected, value, strict=True)]
            found = gathered[n, head * per_head : (head + 1) * per_head].tolist()
            assert found == pytest.approx(expected, abs=1e-6)


def test_deformable_convolution_starts_as_an_ordinary_convolution() -> None:
    torch.manual_seed(0)
    deformable = DeformableConvolution(width=WIDTH, groups=HEADS, grid=GRID)
    plain = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
    plain.load_state_dict(deformable.convolve.state_dict())
    motion, _ = inputs()
    assert torch.allclose(deformable(motion), to_tokens(plain(to_map(motion, GRID))), atol=1e-5)


def test_deformable_convolution_follows_a_uniform_offset() -> None:
    """All offsets one column to the right: the ordinary result, one column further."""
    torch.manual_seed(0)
    deformable = DeformableConvolution(width=WIDTH, groups=HEADS, grid=GRID)
    motion, _ = inputs()
    still = to_map(deformable(motion), GRID)
    with torch.no_grad():
        # torchvision orders offsets as (y, x) per kernel cell.
        deformable.offsets.bias[1 : 18 * HEADS : 2] = 1.0
    moved = to_map(deformable(motion), GRID)
    assert torch.allclose(moved[..., :-1], still[..., 1:], atol=1e-5)
