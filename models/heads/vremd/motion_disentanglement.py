"""VREMD's Bidirectional Motion Disentanglement module (BMD), made of ADC blocks.

Citations of equations and tables refer to the paper.

Shapes: B clips, T frames with the key frame in the middle, N tokens per frame, D channels.
"""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from models.head_parts.attention import MultiHeadAttention, feed_forward
from models.heads.vremd.deformable_attention import (
    DeformableAttention,
    DeformableConvolution,
    DeformableCrossAttention,
)

MotionSampler = Literal[
    "deformable_cross_attention", "deformable_attention", "deformable_convolution"
]


class AdaptiveDeformableCross(nn.Module):
    """ADC block: a deformable branch and cross attention with F in parallel, then an MLP over both.

    In Table 6 (a) of the paper a deformable convolution replaces the entire block. Here every row
    of that table changes only the deformable branch and keeps the cross attention, so that the
    rows differ only in the sampler.

    Args:
        width: Channels D per token.
        heads: Heads of both branches.
        points: Sampling points per head.
        grid: (rows, columns) of the tokens.
        offset_range: Largest offset per axis, in tokens.
        mlp_ratio: Hidden width of the MLP, in units of D.
        sampler: The deformable branch: ``deformable_cross_attention`` (the method),
            ``deformable_attention`` or ``deformable_convolution`` (Table 6).

    Raises:
        ValueError: If ``sampler`` is none of these.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        points: int,
        grid: tuple[int, int],
        offset_range: float,
        mlp_ratio: int,
        sampler: MotionSampler,
    ) -> None:
        super().__init__()
        if sampler not in get_args(MotionSampler):
            raise ValueError(
                f"VREMD sampler: expected one of {get_args(MotionSampler)}, got {sampler!r}"
            )
        self.cross_attention = MultiHeadAttention(width=width, heads=heads)
        self.constrained = sampler == "deformable_cross_attention"
        self.sampler: nn.Module
        if sampler == "deformable_convolution":
            self.sampler = DeformableConvolution(width=width, groups=heads, grid=grid)
        else:
            attention = DeformableCrossAttention if self.constrained else DeformableAttention
            self.sampler = attention(
                width=width, heads=heads, points=points, grid=grid, offset_range=offset_range
            )
        self.norm = nn.LayerNorm(2 * width)
        self.mlp = feed_forward(2 * width, mlp_ratio * width, width)

    def forward(self, motion: Tensor, enhanced: Tensor) -> Tensor:
        """Return the filtered motion.

        Args:
            motion: Motion tokens, ``(B, N, D)``.
            enhanced: Enhanced feature F, ``(B, N, D)``.

        Returns:
            ``(B, N, D)``.
        """
        sampled = self.sampler(motion, enhanced) if self.constrained else self.sampler(motion)
        crossed = self.cross_attention(motion, enhanced)
        # The sum is not normalized: a token without motion would become as long as one with motion.
        filtered: Tensor = self.mlp(self.norm(torch.cat([sampled, crossed], dim=-1)))
        return motion + filtered


class MotionTrajectory(nn.Module):
    """ADC blocks in a row, all guided by the same enhanced feature.

    Args:
        blocks: The blocks, in order.
    """

    def __init__(self, blocks: Iterable[AdaptiveDeformableCross]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, motion: Tensor, enhanced: Tensor) -> Tensor:
        """Return the filtered motion, ``(B, N, D)``, of motion and feature, ``(B, N, D)`` each."""
        for block in self.blocks:
            motion = block(motion, enhanced)
        return motion


class BidirectionalMotionDisentanglement(nn.Module):
    """BMD: motion between the key frame and its neighbors, filtered by ADC blocks and fused.

    With separation, each direction is a separate trajectory with its own ADC blocks, and a linear
    layer fuses both at the end. Without it (Table 6, a to c), that layer fuses them at the start
    and one trajectory follows. Clips of more than three frames, which the paper does not use, have
    several differences per direction; a linear layer combines them.

    Args:
        frames: Frames T per clip.
        width: Channels D per token.
        depth: ADC blocks per trajectory.
        separation: Whether the two directions have separate trajectories.
        block: Builds an ADC block.
    """

    def __init__(
        self,
        *,
        frames: int,
        width: int,
        depth: int,
        separation: bool,
        block: Callable[[], AdaptiveDeformableCross],
    ) -> None:
        super().__init__()
        neighbors = frames // 2
        self.gather = nn.Linear(neighbors * width, width) if neighbors > 1 else nn.Identity()
        self.separation = separation
        self.trajectories = nn.ModuleList(
            MotionTrajectory(block() for _ in range(depth)) for _ in range(2 if separation else 1)
        )
        self.fuse = nn.Linear(2 * width, width)

    def forward(self, features: Tensor, enhanced: Tensor) -> Tensor:
        """Return the aggregated motion M of a clip.

        Args:
            features: Visual features of all frames, ``(B, T, N, D)``.
            enhanced: Enhanced feature F, ``(B, N, D)``.

        Returns:
            ``(B, N, D)``.
        """
        motions = self._differences(features)
        if not self.separation:
            motions = [self.fuse(torch.cat(motions, dim=-1))]
        filtered: list[Tensor] = [
            trajectory(motion, enhanced)
            for trajectory, motion in zip(self.trajectories, motions, strict=True)
        ]
        return self.fuse(torch.cat(filtered, dim=-1)) if self.separation else filtered[0]

    def _differences(self, features: Tensor) -> list[Tensor]:
        """Return M_f and M_b, ``(B, N, D)`` each: later and earlier minus key frame."""
        middle = features.shape[1] // 2
        motion = features - features[:, middle : middle + 1]
        return [
            self.gather(side.transpose(1, 2).flatten(2))
            for side in (motion[:, middle + 1 :], motion[:, :middle])
        ]
