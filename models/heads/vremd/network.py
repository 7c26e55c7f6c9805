"""VREMD (Jiao et al., "Optimizing Human Pose Estimation Through Focused Human and Joint Regions").

Two streams read the tokens of a frozen ViT. The Human-Keypoint Mask Enhanced module (HKME) turns
the tokens of all frames into one enhanced feature and one token per joint; the Bidirectional Motion
Disentanglement module (BMD) gathers motion under the guidance of that feature. Citations of
equations and tables refer to the paper. Choices that it does not specify are named in the code.

Shapes: B clips, T frames with the key frame in the middle (the paper: 3), N = rows x columns tokens
per frame in row-major order, D channels, K joints (the paper's J), h x w cells of a heatmap.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from models.head_parts.argument_types import LayerWidths, NotNegative, Positive, PositiveFloat
from models.head_parts.attention import feed_forward
from models.head_parts.decoder import HeatmapDecoder
from models.head_parts.token_layout import check_tokens, to_map
from models.heads.vremd.human_keypoint_mask import HumanKeypointMaskEnhancement
from models.heads.vremd.motion_disentanglement import (
    AdaptiveDeformableCross,
    BidirectionalMotionDisentanglement,
    MotionSampler,
)
from models.heads.vremd.standardization import TokenStandardization

_BUMP = 1.5
"""Standard deviation of a bump, cells: about that of the targets."""


def bumps(count: int, size: tuple[int, int]) -> Tensor:
    """Return Gaussian bumps of height 1 at evenly spaced places of a heatmap.

    Args:
        count: Number of bumps; the places are a grid of the heatmap's aspect ratio. Places that do
            not fill a row of this grid remain 0.
        size: (h, w) of the heatmap.

    Returns:
        ``(h * w, count)``.
    """
    columns = min(count, max(1, round(math.sqrt(count * size[1] / size[0]))))
    down, across = (
        torch.exp(-(((torch.arange(cells)[:, None] - _centers(places, cells)) / _BUMP) ** 2) / 2)
        for places, cells in zip((count // columns, columns), size, strict=True)
    )
    placed = torch.einsum("yi,xj->yxij", down, across).flatten(2).flatten(0, 1)
    return nn.functional.pad(placed, (0, count - placed.shape[1]))


def _centers(places: int, cells: int) -> Tensor:
    return (torch.arange(places) + 0.5) * (cells / places) - 0.5


class KeypointHead(nn.Module):
    """H_k: LayerNorm and an MLP turn each joint token into its heatmap.

    The paper says "an MLP and reshaping" and gives no sizes. Each hidden unit starts with a small
    bump at a place of its own, so that neighboring cells need not be learned one by one.

    Args:
        width: Channels D per token.
        hidden: Hidden width of the MLP, in units of D.
        heatmap_size: (h, w) of the heatmaps.
    """

    def __init__(self, *, width: int, hidden: int, heatmap_size: tuple[int, int]) -> None:
        super().__init__()
        self.heatmap_size = heatmap_size
        self.norm = nn.LayerNorm(width)
        self.mlp = feed_forward(width, hidden * width, heatmap_size[0] * heatmap_size[1])
        # Heatmaps are 0 almost everywhere: start near 0, like the decoder. Bumps three times as
        # high made H_k worse in one trial. With a deviation of 0.02, F and the joint tokens
        # collapsed.
        last = cast("nn.Linear", self.mlp[-1])
        nn.init.normal_(last.weight, std=0.001)
        nn.init.zeros_(last.bias)
        with torch.no_grad():
            last.weight += 0.1 * bumps(last.in_features, heatmap_size)

    def forward(self, keypoints: Tensor) -> Tensor:
        """Return heatmaps ``(B, K, h, w)`` of joint tokens ``(B, K, D)``."""
        heatmaps: Tensor = self.mlp(self.norm(keypoints))
        return torch.unflatten(heatmaps, -1, self.heatmap_size)


class Streams(NamedTuple):
    """Heatmaps of the two streams, ``(B, K, h, w)`` each."""

    motion: Tensor
    """H_m, decoded from the motion and the key frame's tokens."""
    keypoint: Tensor | None
    """H_k, from the joint tokens; ``None`` without HKME."""

    def combined(self) -> Tensor:
        """Return H, the sum with equal weights."""
        if self.keypoint is None:
            return self.motion
        return 0.5 * self.motion + 0.5 * self.keypoint


class VREMD(nn.Module):
    """The head of VREMD, from the tokens of a clip to the heatmaps of its key frame.

    H = 0.5 H_k + 0.5 H_m ("equal weights"): H_k from the joint tokens of HKME, H_m decoded from the
    motion M and the key frame's features. The rows of the ablation tables are switches:

        Table 4   (a) ``bmd=False``: H_m is decoded from F instead of M
                  (b) ``hkme=False``: the key frame's features replace F, H = H_m
                  the baseline without both is ``ViTDecoder``
        Table 5   ``human_mask``, ``keypoint_mask``: False replaces the mask by 1
        Table 6   (a) to (c) ``sampler`` with ``separation=False``; (d) the method

    Choices of ours that keep HKME from one output for all clips, where the paper is silent: HKME
    and BMD read standardized tokens (``TokenStandardization``; the decoder reads the backbone's
    own), visual tokens have a positional embedding, joint tokens start far apart and with sharp
    attention, and the transformer parts learn at a rate of their own.

    Args:
        joints: Number of joints K.
        frames: Frames T per clip, odd, at least 3; the paper: 3.
        grid: (rows, columns) of the tokens of a frame.
        embed_dim: Channels of the backbone's tokens.
        width: Channels D of the head; if not ``embed_dim``, a linear layer projects to it.
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
        position_scale: Factor on the sine-cosine values that the positional embedding of the
            visual tokens starts from; standardized tokens have a deviation of about 1.
        keypoint_hidden: Hidden width of the MLP that draws H_k, in units of D.
        transformer_rate: Learning rate of projection, HKME and BMD, in units of ``lr``. H_k's MLP
            and the decoder learn at ``lr``, at which post-norm blocks collapse.
        hkme: Whether to use the Human-Keypoint Mask Enhanced module.
        bmd: Whether to use the Bidirectional Motion Disentanglement module.
        human_mask: Whether the human mask is applied.
        keypoint_mask: Whether the keypoint mask is applied.
        sampler: The deformable branch of an ADC block.
        separation: Whether the two directions of motion have separate trajectories.

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
        position_scale: NotNegative,
        keypoint_hidden: Positive,
        transformer_rate: PositiveFloat,
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
        self.transformer_rate = transformer_rate
        self.standardize = TokenStandardization(tokens=grid[0] * grid[1], channels=embed_dim)
        self.project = nn.Linear(embed_dim, width) if width != embed_dim else nn.Identity()
        self.hkme: HumanKeypointMaskEnhancement | None = None
        self.keypoint_head: nn.Module = nn.Identity()
        self.bmd: BidirectionalMotionDisentanglement | None = None
        if hkme:
            self.hkme = HumanKeypointMaskEnhancement(
                width=width,
                frames=frames,
                grid=grid,
                joints=joints,
                heads=heads,
                mlp_ratio=mlp_ratio,
                human_depth=human_depth,
                keypoint_depth=keypoint_depth,
                spatial_depth=spatial_depth,
                temporal_depth=temporal_depth,
                position_scale=position_scale,
                human_mask=human_mask,
                keypoint_mask=keypoint_mask,
            )
            scale = 2 ** len(decoder_kernels)
            self.keypoint_head = KeypointHead(
                width=width,
                hidden=keypoint_hidden,
                heatmap_size=(grid[0] * scale, grid[1] * scale),
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
        return self.streams(tokens).combined()

    def streams(self, tokens: Tensor) -> Streams:
        """Return the heatmaps of both streams.

        Args:
            tokens: As for ``forward``.

        Raises:
            ValueError: As for ``forward``.
        """
        check_tokens(tokens, frames=self.frames, grid=self.grid, embed_dim=self.embed_dim)
        features, middle = self.project(self.standardize(tokens)), self.frames // 2
        if self.hkme is None:
            motion = self._motion(features, features[:, middle])
            return Streams(self._decode(motion, tokens[:, middle]), None)
        enhanced, keypoints = self.hkme(features)
        from_motion = self._decode(self._motion(features, enhanced), tokens[:, middle])
        return Streams(from_motion, self.keypoint_head(keypoints))

    def fit_statistics(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Compute the statistics of the tokens from batches of the train cache.

        Args:
            batches: ``tokens`` ``(B, T, N, embed_dim)`` in each.
        """
        self.standardize.fit(batch["tokens"] for batch in batches)

    def parameter_groups(self) -> list[tuple[float, list[nn.Parameter]]]:
        """Return groups of all parameters with their learning rate in units of ``lr``."""
        drawing = [*self.decoder.parameters(), *self.keypoint_head.parameters()]
        known = {id(parameter) for parameter in drawing}
        transformers = [each for each in self.parameters() if id(each) not in known]
        return [(1.0, drawing), (self.transformer_rate, transformers)]

    def parts(self) -> dict[str, tuple[nn.Module, Callable[[Any], Tensor]]]:
        """Return the parts that must differ from clip to clip.

        Returns:
            Name to a module and a function that returns the part, ``(B, ...)``, from the module's
            output.
        """
        found: dict[str, tuple[nn.Module, Callable[[Any], Tensor]]] = {}
        if self.hkme is not None:
            found["enhanced"] = (self.hkme, lambda output: output[0])
            found["joint_tokens"] = (self.hkme, lambda output: output[1])
        if self.bmd is not None:
            found["motion"] = (self.bmd, lambda output: output)
        return found

    def _motion(self, features: Tensor, enhanced: Tensor) -> Tensor:
        """Return M, or F without BMD, ``(B, N, D)``."""
        return enhanced if self.bmd is None else self.bmd(features, enhanced)

    def _decode(self, motion: Tensor, key: Tensor) -> Tensor:
        """Return H_m, ``(B, K, h, w)``, of motion and the backbone's tokens of the key frame.

        The first transposed convolution reads both side by side: the aggregation of Sec. "Heatmap
        generation", and the baseline's own path for the key frame, whatever the width D.
        """
        side_by_side = torch.cat([motion, key], dim=-1)
        heatmaps: Tensor = self.decoder(to_map(side_by_side, self.grid))
        return heatmaps
