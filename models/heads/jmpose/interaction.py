"""Interaction of joint and motion feature in JM-Pose (MM 2024, Sec. 3.2, Eqs. 6 to 10).

Shapes: B clips, C channels, H x W cells.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.blocks import residual_chain


class CrossAttention(nn.Module):
    """One direction of the joint-motion cross-attention, without the residual (Eqs. 7, 8).

    ``channel``: channels attend to channels, C/heads x C/heads numbers per clip and head. Queries
    and keys are of unit length, and the paper's 1 / sqrt(d), "the hyperparameter", is learned per
    head. ``spatial``: cells attend to cells, H*W x H*W numbers; d is the width of a head.

    Args:
        channels: Width C of both features.
        heads: Number of heads.
        kind: ``"channel"`` or ``"spatial"``.
    """

    def __init__(self, *, channels: int, heads: int, kind: str) -> None:
        super().__init__()
        self.heads = heads
        self.kind = kind
        self.query = _projection(channels)
        self.key = _projection(channels)
        self.value = _projection(channels)
        if kind == "channel":
            self.scale = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, query_source: Tensor, context: Tensor) -> Tensor:
        """Return the cross-attention of ``query_source`` to ``context``.

        Args:
            query_source: Feature that makes the queries, ``(B, C, H, W)``.
            context: Feature that makes keys and values, ``(B, C, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        if self.kind == "channel":
            found: Tensor = self.attention(query_source, context) @ self._split(self.value(context))
        else:  # the same without the H*W x H*W matrix in memory
            query, key = self._split(self.query(query_source)), self._split(self.key(context))
            value = self._split(self.value(context))
            found = F.scaled_dot_product_attention(query.mT, key.mT, value.mT).mT
        return found.reshape(query_source.shape)

    def attention(self, query_source: Tensor, context: Tensor) -> Tensor:
        """Return the attention between channels or between cells; rows sum to 1.

        Args:
            query_source: Feature that makes the queries, ``(B, C, H, W)``.
            context: Feature that makes the keys, ``(B, C, H, W)``.

        Returns:
            ``(B, heads, C / heads, C / heads)``, or ``(B, heads, H * W, H * W)`` of cells.
        """
        query, key = self._split(self.query(query_source)), self._split(self.key(context))
        if self.kind == "channel":
            query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
            return (self.scale * query @ key.mT).softmax(-1)
        return (query.mT @ key / math.sqrt(query.shape[2])).softmax(-1)

    def _split(self, x: Tensor) -> Tensor:
        """Split ``(B, C, H, W)`` into heads, ``(B, heads, C / heads, H * W)``."""
        b, _, h, w = x.shape
        return x.reshape(b, self.heads, -1, h * w)


def _projection(channels: int) -> nn.Sequential:
    """Build a 1x1 convolution and a depthwise 3x3 convolution."""
    mix = nn.Conv2d(channels, channels, 1, bias=False)
    spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    return nn.Sequential(mix, spread)


class JointMotionInteraction(nn.Module):
    """Joint-motion interaction block, one layer of the mutual learning (Sec. 3.2, Eqs. 6-10).

    Args:
        channels: Width C of both features.
        attention: ``"channel"`` or ``"spatial"``, see ``CrossAttention``.
        attention_heads: Heads of the attention.
        mask: How Eq. 9 makes the masks. ``"literal"`` applies the sigmoid to the features, so
            that each feature masks itself and no information is exchanged. ``"fused"`` applies
            convolutions to the concatenation first.
    """

    def __init__(self, *, channels: int, attention: str, attention_heads: int, mask: str) -> None:
        super().__init__()
        self.joint_block = residual_chain(channels, channels, blocks=1)
        self.motion_block = residual_chain(channels, channels, blocks=1)
        shape = {"channels": channels, "heads": attention_heads}
        self.joint_attention = CrossAttention(**shape, kind=attention)
        self.motion_attention = CrossAttention(**shape, kind=attention)
        self.mask = _mask_network(channels) if mask == "fused" else nn.Identity()

    def forward(self, joint: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the next layer.

        Args:
            joint: Joint feature, ``(B, C, H, W)``.
            motion: Motion feature, ``(B, C, H, W)``.

        Returns:
            Joint and motion feature, each ``(B, C, H, W)``.
        """
        joint, motion = self.joint_block(joint), self.motion_block(motion)  # Eq. 6
        joint, motion = (  # Eqs. 7 and 8: both from the features of Eq. 6
            self.joint_attention(joint, motion) + joint,
            self.motion_attention(motion, joint) + motion,
        )
        masks = self.mask(torch.cat([joint, motion], dim=1)).sigmoid()  # Eq. 9
        joint_mask, motion_mask = masks.chunk(2, dim=1)
        return joint_mask * joint, motion_mask * motion  # Eq. 10


def _mask_network(channels: int) -> nn.Sequential:
    """Build the convolutions of Eq. 9 that exchange information before the sigmoid."""
    # No ReLU at the end: the sigmoid could not be below 1/2 after it.
    return nn.Sequential(
        residual_chain(2 * channels, channels, blocks=1),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
    )
