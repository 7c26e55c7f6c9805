"""VREMD (Jiao et al., "Optimizing Human Pose Estimation Through Focused Human and Joint Regions").

Two streams read the tokens of a frozen ViT. The Human-Keypoint Mask Enhanced module (HKME) turns
the tokens of all frames into one enhanced feature and one token per joint; the Bidirectional Motion
Disentanglement module (BMD) gathers motion under the guidance of that feature. Equations and tables
are cited as numbered in the paper. Where it leaves a choice open, the choice is named where it
is made.

Shapes: B clips, T frames with the key frame in the middle (the paper: 3), N = rows x columns tokens
per frame in row-major order, D channels, K joints (the paper's J), h x w cells of a heatmap.
"""

from collections.abc import Callable, Iterable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from models.head_parts.argument_types import LayerWidths, Positive, PositiveFloat
from models.head_parts.decoder import HeatmapDecoder
from models.head_parts.token_layout import check_tokens, to_map
from models.heads.vremd.deformable_attention import (
    DeformableAttention,
    DeformableConvolution,
    DeformableCrossAttention,
)
from models.heads.vremd.human_keypoint_mask import HumanKeypointMaskEnhancement
from models.heads.vremd.transformer import MultiHeadAttention, feed_forward

MotionSampler = Literal[
    "deformable_cross_attention", "deformable_attention", "deformable_convolution"
]


class AdaptiveDeformableCross(nn.Module):
    """ADC block: a deformable branch beside cross attention with F, then an MLP over both.

    The paper's Table 6 (a) puts a deformable convolution in place of the whole block. Here every
    row of that table changes the deformable branch alone and keeps the cross attention, so that
    the rows differ in what their names say.

    Args:
        width: Channels D per token.
        heads: Heads of both branches.
        points: Sampling points per head.
        grid: (rows, columns) of the tokens.
        offset_range: Largest offset per axis, in tokens.
        mlp_ratio: Hidden width of the MLP, in units of D.
        sampler: What the deformable branch is: ``deformable_cross_attention`` (the method),
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
        # The sum is not normalized: a still token would become as long as one that moves.
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

    With separation, each direction is a trajectory apart with ADC blocks of its own, and a linear
    layer fuses both at the end. Without (Table 6, a to c), that layer joins them at the start and
    one trajectory follows. Clips of more than three frames, which the paper does not have, bring
    several differences per direction; a linear layer gathers them.

    Args:
        frames: Frames T per clip.
        width: Channels D per token.
        depth: ADC blocks per trajectory.
        separation: Whether the two directions stay apart.
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


class KeypointHead(nn.Module):
    """H_k: LayerNorm and one linear layer turn each joint token into its heatmap.

    Args:
        width: Channels D per token.
        heatmap_size: (h, w) of the heatmaps.
    """

    def __init__(self, *, width: int, heatmap_size: tuple[int, int]) -> None:
        super().__init__()
        self.heatmap_size = heatmap_size
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, heatmap_size[0] * heatmap_size[1])
        # Heatmaps are almost everywhere 0: start there, like the decoder.
        for parameter in self.linear.parameters():
            nn.init.normal_(parameter, std=0.001)

    def forward(self, keypoints: Tensor) -> Tensor:
        """Return heatmaps ``(B, K, h, w)`` of joint tokens ``(B, K, D)``."""
        heatmaps: Tensor = self.linear(self.norm(keypoints))
        return torch.unflatten(heatmaps, -1, self.heatmap_size)


class VREMD(nn.Module):
    """The whole head: tokens of a clip in, heatmaps of its key frame out.

    H = 0.5 H_k + 0.5 H_m ("equal weights"): H_k from the joint tokens of HKME, H_m decoded from the
    motion M and the key frame's features. The rows of the ablation tables are switches:

        Table 4   (a) ``bmd=False``: H_m is decoded from F in place of M
                  (b) ``hkme=False``: the key frame's features take the place of F, H = H_m
                  the baseline, with neither, is ``ViTDecoder``
        Table 5   ``human_mask``, ``keypoint_mask``: False puts 1 in place of the mask
        Table 6   (a) to (c) ``sampler`` with ``separation=False``; (d) the method

    Args:
        joints: Number of joints K.
        frames: Frames T per clip, odd, at least 3; the paper: 3.
        grid: (rows, columns) of the tokens of a frame.
        embed_dim: Channels of the backbone's tokens.
        width: Channels D inside; other than ``embed_dim``, a linear layer projects first.
        heads: Attention heads of HKME.
        mlp_ratio: Hidden width of every MLP over channels, in units of D.
        human_depth: Blocks before the human mask.
        keypoint_depth: Blocks before the keypoint mask.
        spatial_depth: Blocks within each frame after the masks.
        temporal_depth: Blocks along time after these.
        motion_depth: ADC blocks per trajectory.
        motion_heads: Heads of an ADC block.
        points: Sampling points per head.
        offset_range: Largest sampling offset per axis, in tokens.
        decoder_channels: Channels of each transposed convolution.
        decoder_kernels: Kernel side of each transposed convolution, 2, 3 or 4.
        hkme: Whether the Human-Keypoint Mask Enhanced module takes part.
        bmd: Whether the Bidirectional Motion Disentanglement module takes part.
        human_mask: Whether the human mask is applied.
        keypoint_mask: Whether the keypoint mask is applied.
        sampler: What the deformable branch of an ADC block is.
        separation: Whether the two directions of motion stay apart.

    Raises:
        ValueError: If ``frames`` is even or below 3, or both modules are switched off.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,
        grid: tuple[int, int],
        embed_dim: int,
        width: Positive,
        heads: Positive,
        mlp_ratio: Positive,
        human_depth: Positive,
        keypoint_depth: Positive,
        spatial_depth: Positive,
        temporal_depth: Positive,
        motion_depth: Positive,
        motion_heads: Positive,
        points: Positive,
        offset_range: PositiveFloat,
        decoder_channels: LayerWidths,
        decoder_kernels: LayerWidths,
        hkme: bool = True,
        bmd: bool = True,
        human_mask: bool = True,
        keypoint_mask: bool = True,
        sampler: MotionSampler = "deformable_cross_attention",
        separation: bool = True,
    ) -> None:
        super().__init__()
        if frames < 3 or frames % 2 == 0:
            raise ValueError(f"VREMD: expected an odd number of frames from 3 on, got {frames}")
        if not (hkme or bmd):
            raise ValueError(
                f"VREMD: expected hkme or bmd, got hkme={hkme}, bmd={bmd}; the baseline without "
                "either is ViTDecoder"
            )
        self.frames, self.grid, self.embed_dim = frames, grid, embed_dim
        self.project = nn.Linear(embed_dim, width) if width != embed_dim else nn.Identity()
        self.hkme: HumanKeypointMaskEnhancement | None = None
        self.keypoint_head: nn.Module = nn.Identity()
        self.bmd: BidirectionalMotionDisentanglement | None = None
        if hkme:
            self.hkme = HumanKeypointMaskEnhancement(
                width=width,
                frames=frames,
                tokens=grid[0] * grid[1],
                joints=joints,
                heads=heads,
                mlp_ratio=mlp_ratio,
                human_depth=human_depth,
                keypoint_depth=keypoint_depth,
                spatial_depth=spatial_depth,
                temporal_depth=temporal_depth,
                human_mask=human_mask,
                keypoint_mask=keypoint_mask,
            )
            scale = 2 ** len(decoder_kernels)
            self.keypoint_head = KeypointHead(
                width=width, heatmap_size=(grid[0] * scale, grid[1] * scale)
            )
        if bmd:
            self.bmd = BidirectionalMotionDisentanglement(
                frames=frames,
                width=width,
                depth=motion_depth,
                separation=separation,
                block=lambda: AdaptiveDeformableCross(
                    width=width,
                    heads=motion_heads,
                    points=points,
                    grid=grid,
                    offset_range=offset_range,
                    mlp_ratio=mlp_ratio,
                    sampler=sampler,
                ),
            )
        self.decoder = HeatmapDecoder(
            in_channels=width + embed_dim,
            channels=decoder_channels,
            kernels=decoder_kernels,
            joints=joints,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the heatmaps of the key frame.

        Args:
            tokens: Backbone tokens of all frames, ``(B, T, N, embed_dim)``.

        Returns:
            Heatmaps, ``(B, K, rows * 2 ** layers, columns * 2 ** layers)``.

        Raises:
            ValueError: If T, N or embed_dim is not what the head was built for.
        """
        check_tokens(tokens, frames=self.frames, grid=self.grid, embed_dim=self.embed_dim)
        features, middle = self.project(tokens), self.frames // 2
        if self.hkme is None:
            return self._decode(self._motion(features, features[:, middle]), tokens[:, middle])
        enhanced, keypoints = self.hkme(features)
        from_motion = self._decode(self._motion(features, enhanced), tokens[:, middle])
        heatmaps: Tensor = 0.5 * from_motion + 0.5 * self.keypoint_head(keypoints)
        return heatmaps

    def _motion(self, features: Tensor, enhanced: Tensor) -> Tensor:
        """Return M, or F in its place without BMD, ``(B, N, D)``."""
        return enhanced if self.bmd is None else self.bmd(features, enhanced)

    def _decode(self, motion: Tensor, key: Tensor) -> Tensor:
        """Return H_m, ``(B, K, h, w)``, of motion and the backbone's tokens of the key frame.

        The first transposed convolution reads both side by side: the aggregation of Sec. "Heatmap
        generation", and the baseline's own path for the key frame, whatever the width D.
        """
        side_by_side = torch.cat([motion, key], dim=-1)
        heatmaps: Tensor = self.decoder(to_map(side_by_side, self.grid))
        return heatmaps
