"""VREMD's Human-Keypoint Mask Enhanced module (HKME): masks that focus on body and joints.

Jiao et al., "Optimizing Human Pose Estimation Through Focused Human and Joint Regions"; citations
of equations and tables refer to this paper. All blocks are post-norm: a norm before attention would
divide each token by its length and remove the effect of the mask.

Shapes: B clips, T frames (the paper: 3), N tokens per frame, D channels, K joints (the paper's J).
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from models.head_parts.attention import MultiHeadAttention
from models.heads.vremd.transformer import (
    PostNormBlock,
    post_norm_blocks,
    sine_cosine_embedding,
)

_JOINT_SPREAD = 1.0
"""Standard deviation of the joint tokens at the start: that of standardized visual tokens. The
paper gives none. At the usual 0.02 all joint tokens are nearly the same query."""


_SHARPNESS, _CONTENT = 3.0, 1.7
"""Factors on torch's initial weights of queries and keys, and of values and their projection, in
the blocks of the joint tokens. Without them attention starts as a mean over all visual tokens and
changes a joint token little. In single trials of HKME alone, sharpness 2 and 3 were alike, and 4.5
and a content of 3 were worse. Together with the bumps of H_k's last layer, H_k alone gains 4 points
of AP (two seeds)."""


def human_mask(visual: Tensor, human: Tensor) -> Tensor:
    """Return how much each visual token belongs to the person (the underbraced factor of Eq. 1).

    Eq. 1 multiplies by the product itself, which grows with D. Here it is divided by sqrt(D), as in
    attention, and a sigmoid maps it to (0, 1).

    Args:
        visual: Visual tokens of a frame, ``(..., N, D)``.
        human: Human token of the same frame, ``(..., 1, D)``.

    Returns:
        ``(..., N, 1)``, in (0, 1).
    """
    product = visual @ human.transpose(-1, -2)
    return torch.sigmoid(product / math.sqrt(visual.shape[-1]))


def keypoint_mask(visual: Tensor, keypoints: Tensor) -> Tensor:
    """Return how much the joint tokens attend to each visual token (Eq. 2).

    The softmax is over the visual tokens: over the joints, its sum would be 1 everywhere. Two
    factors are ours: 1 / sqrt(D) in the softmax, without which one token would get all weight, and
    the number of visual tokens per joint token, which makes the mean 1 instead of about 0.1.

    Args:
        visual: Visual tokens of all frames, ``(B, T * N, D)``.
        keypoints: Joint tokens of all frames, ``(B, T * K, D)``.

    Returns:
        ``(B, T * N, 1)``, positive, with mean 1.
    """
    product = keypoints @ visual.transpose(-1, -2) / math.sqrt(visual.shape[-1])
    mask = product.softmax(dim=-1).sum(dim=-2).unsqueeze(-1)
    return mask * (visual.shape[-2] / keypoints.shape[-2])


class TokenMask(nn.Module):
    """A mask as a module, so that forward hooks see it.

    Args:
        compute: Returns the mask of visual tokens and the tokens of human or joints.
    """

    def __init__(self, compute: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, visual: Tensor, others: Tensor) -> Tensor:
        """Return the mask, ``(..., N, 1)``."""
        return self.compute(visual, others)


class HumanMask(nn.Module):
    """Coarse selection: tokens of each frame, weighted by its human token (Eq. 1).

    Args:
        width: Channels D per token.
        frames: Frames T per clip.
        heads: Attention heads per block.
        depth: Transformer blocks.
        mlp_ratio: Hidden width of a block, in units of D.
        enabled: False replaces the mask by 1 (Table 5); the human token remains.
    """

    def __init__(
        self, *, width: int, frames: int, heads: int, depth: int, mlp_ratio: int, enabled: bool
    ) -> None:
        super().__init__()
        self.enabled = enabled
        self.mask = TokenMask(human_mask)
        self.human = _learnable_tokens(frames, 1, width)
        self.blocks = post_norm_blocks(depth, width=width, heads=heads, mlp_ratio=mlp_ratio)

    def forward(self, features: Tensor) -> Tensor:
        """Return the coarsely selected feature F_c, ``(B, T, N, D)``, from ``(B, T, N, D)``."""
        human = self.human.expand(len(features), -1, -1, -1)
        # Each frame is a separate sequence.
        tokens = self.blocks(torch.cat([human, features], dim=2).flatten(0, 1))
        human, visual = tokens.split([1, features.shape[2]], dim=1)
        if self.enabled:
            visual = visual * self.mask(visual, human)
        return torch.unflatten(visual, 0, features.shape[:2])


class KeypointMask(nn.Module):
    """Fine selection: tokens of all frames together, weighted by the joint tokens (Eq. 2).

    Args:
        width: Channels D per token.
        frames: Frames T per clip.
        joints: Number of joints K.
        heads: Attention heads per block.
        depth: Transformer blocks.
        mlp_ratio: Hidden width of a block, in units of D.
        enabled: False replaces the mask by 1 (Table 5); the joint tokens remain.
    """

    def __init__(
        self,
        *,
        width: int,
        frames: int,
        joints: int,
        heads: int,
        depth: int,
        mlp_ratio: int,
        enabled: bool,
    ) -> None:
        super().__init__()
        self.enabled = enabled
        self.mask = TokenMask(keypoint_mask)
        self.keypoints = _learnable_tokens(frames, joints, width, _JOINT_SPREAD)
        self.blocks = post_norm_blocks(depth, width=width, heads=heads, mlp_ratio=mlp_ratio)
        for block in self.blocks:
            _sharpen(cast("PostNormBlock", block).attention)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Refine the tokens and find the joints.

        Args:
            features: Coarsely selected feature F_c, ``(B, T, N, D)``.

        Returns:
            The refined feature F_f, ``(B, T, N, D)``, and the joint tokens, ``(B, T, K, D)``.
        """
        frames, per_frame = features.shape[1:3]
        keypoints = self.keypoints.expand(len(features), -1, -1, -1)
        sequence = [tokens.flatten(1, 2) for tokens in (keypoints, features)]
        tokens = self.blocks(torch.cat(sequence, dim=1))
        # The last block ends in a LayerNorm: the mask scales tokens of equal length.
        keypoints, visual = tokens.split([part.shape[1] for part in sequence], dim=1)
        if self.enabled:
            visual = visual * self.mask(visual, keypoints)
        return (
            torch.unflatten(visual, 1, (frames, per_frame)),
            torch.unflatten(keypoints, 1, (frames, -1)),
        )


class TokenReduction(nn.Module):
    """MLP over the token axis that reduces the tokens of all frames to those of one frame.

    It starts as the mean over frames at each place: with rows (A, -A) before GELU and (1, -1)
    after it, gelu(x) - gelu(-x) = x. With random weights it would first have to learn the places of
    the tokens.

    Args:
        frames: Frames T per clip.
        tokens: Tokens N per frame; the hidden layer has 2 N.
    """

    def __init__(self, *, frames: int, tokens: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(frames * tokens, 2 * tokens)
        self.activation = nn.GELU()
        self.out = nn.Linear(2 * tokens, tokens)
        same_place = torch.eye(tokens)
        mean = same_place.repeat(1, frames) / frames
        with torch.no_grad():
            for layer in (self.hidden, self.out):
                layer.bias.zero_()
            self.hidden.weight.copy_(torch.cat([mean, -mean]))
            self.out.weight.copy_(torch.cat([same_place, -same_place], dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Return ``(B, N, D)`` of ``(B, T, N, D)``."""
        along_tokens = features.flatten(1, 2).transpose(1, 2)
        reduced: Tensor = self.out(self.activation(self.hidden(along_tokens)))
        return reduced.transpose(1, 2)


class SpatioTemporalAggregation(nn.Module):
    """Blocks within each frame, blocks along time at each place, then the token reduction.

    Args:
        width: Channels D per token.
        frames: Frames T per clip.
        tokens: Tokens N per frame.
        heads: Attention heads per block.
        mlp_ratio: Hidden width of a block, in units of D.
        spatial_depth: Blocks within each frame.
        temporal_depth: Blocks along time.
    """

    def __init__(
        self,
        *,
        width: int,
        frames: int,
        tokens: int,
        heads: int,
        mlp_ratio: int,
        spatial_depth: int,
        temporal_depth: int,
    ) -> None:
        super().__init__()
        sizes = {"width": width, "heads": heads, "mlp_ratio": mlp_ratio}
        self.spatial = post_norm_blocks(spatial_depth, **sizes)
        self.temporal = post_norm_blocks(temporal_depth, **sizes)
        self.reduce = TokenReduction(frames=frames, tokens=tokens)

    def forward(self, features: Tensor) -> Tensor:
        """Return the enhanced feature F, ``(B, N, D)``, from ``(B, T, N, D)``."""
        clips, frames, tokens = features.shape[:3]
        features = torch.unflatten(self.spatial(features.flatten(0, 1)), 0, (clips, frames))
        along_time = features.transpose(1, 2).flatten(0, 1)
        features = torch.unflatten(self.temporal(along_time), 0, (clips, tokens)).transpose(1, 2)
        enhanced: Tensor = self.reduce(features)
        return enhanced


class HumanKeypointMaskEnhancement(nn.Module):
    """HKME: human mask, keypoint mask and spatio-temporal aggregation, in this order.

    A learned embedding per frame and one per place are added first: attention sees no order of its
    own. The paper mentions neither; without the one per place, a joint token cannot tell where the
    visual tokens that it attends to lie, and H_k remains the same for every clip.

    Args:
        width: Channels D per token.
        frames: Frames T per clip.
        grid: (rows, columns) of the tokens of a frame.
        joints: Number of joints K.
        heads: Attention heads per block.
        mlp_ratio: Hidden width of a block, in units of D.
        human_depth: Blocks before the human mask.
        keypoint_depth: Blocks before the keypoint mask.
        spatial_depth: Blocks within each frame after the masks.
        temporal_depth: Blocks along time after these.
        position_scale: Factor on the sine-cosine values that the embedding per place starts from.
        human_mask: Whether the human mask is applied.
        keypoint_mask: Whether the keypoint mask is applied.
    """

    def __init__(
        self,
        *,
        width: int,
        frames: int,
        grid: tuple[int, int],
        joints: int,
        heads: int,
        mlp_ratio: int,
        human_depth: int,
        keypoint_depth: int,
        spatial_depth: int,
        temporal_depth: int,
        position_scale: float,
        human_mask: bool,
        keypoint_mask: bool,
    ) -> None:
        super().__init__()
        sizes = {"width": width, "frames": frames, "heads": heads, "mlp_ratio": mlp_ratio}
        self.frame_embedding = _learnable_tokens(frames, 1, width)
        self.position_embedding = nn.Parameter(position_scale * sine_cosine_embedding(grid, width))
        self.human_mask = HumanMask(depth=human_depth, enabled=human_mask, **sizes)
        self.keypoint_mask = KeypointMask(
            joints=joints, depth=keypoint_depth, enabled=keypoint_mask, **sizes
        )
        self.aggregate = SpatioTemporalAggregation(
            tokens=grid[0] * grid[1],
            spatial_depth=spatial_depth,
            temporal_depth=temporal_depth,
            **sizes,
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Enhance the features of a clip.

        Args:
            features: Visual features of all frames, ``(B, T, N, D)``.

        Returns:
            The enhanced feature F, ``(B, N, D)``, and the joint tokens of the key frame,
            ``(B, K, D)``.
        """
        coarse = self.human_mask(features + self.frame_embedding + self.position_embedding)
        refined, keypoints = self.keypoint_mask(coarse)
        return self.aggregate(refined), keypoints[:, keypoints.shape[1] // 2]


@torch.no_grad()
def _sharpen(attention: MultiHeadAttention) -> None:
    key, value = attention.key_value.weight.chunk(2)
    for weight in (attention.query.weight, key):
        weight.mul_(_SHARPNESS)
    for weight in (value, attention.project.weight):
        weight.mul_(_CONTENT)


def _learnable_tokens(frames: int, tokens: int, width: int, std: float = 0.02) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(frames, tokens, width), std=std))
