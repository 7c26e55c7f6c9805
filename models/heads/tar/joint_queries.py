"""Joint-centric aggregation and global restoration of TAR-ViTPose.

All sums are followed by their LayerNorm (post-norm).

Shapes: B clips, K joints, M = T * N tokens of all frames, N tokens per frame, D channels,
h x w cells.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.head_parts.attention import MultiHeadAttention, feed_forward

_QUERY_SPREAD = 1.0
"""Standard deviation of the learned features and positions at the start, as of nn.Embedding."""
_FLOOR = 1e-6
"""Smallest range that divides a heatmap; a constant heatmap becomes 0."""


def blocked_tokens(heatmaps: Tensor, grid: tuple[int, int], threshold: float) -> Tensor:
    """Return which tokens a joint does not attend to.

    Each heatmap is scaled to [0, 1] by its own minimum and maximum and resized bilinearly to the
    grid of the tokens. Tokens below the threshold are blocked.

    Args:
        heatmaps: ``(B, T, K, h, w)``.
        grid: (rows, columns) of the tokens.
        threshold: The paper's is 0.2.

    Returns:
        ``(B, T, K, N)``, boolean, without gradient.
    """
    heatmaps = heatmaps.detach()
    low, high = heatmaps.amin(dim=(3, 4), keepdim=True), heatmaps.amax(dim=(3, 4), keepdim=True)
    scaled = (heatmaps - low) / (high - low + _FLOOR)
    resized = F.interpolate(scaled.flatten(0, 1), size=grid, mode="bilinear", align_corners=False)
    return torch.unflatten((resized < threshold).flatten(2), 0, heatmaps.shape[:2])


def free_blocked_rows(blocked: Tensor) -> Tensor:
    """Unblock all tokens of a query that has none left: its softmax would have no term.

    Args:
        blocked: ``(..., M)``, boolean.
    """
    return blocked & ~blocked.all(dim=-1, keepdim=True)


class AttentionSum(nn.Module):
    """Attention, residual sum and LayerNorm.

    Args:
        width: Channels D.
        heads: Attention heads.
    """

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width=width, heads=heads)
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, context: Tensor, blocked: Tensor | None = None) -> Tensor:
        """Return LN(queries + MHA(queries, context)); see ``MultiHeadAttention``."""
        out: Tensor = self.norm(queries + self.attention(queries, context, blocked))
        return out


class FeedForwardSum(nn.Module):
    """Feed-forward network, residual sum and LayerNorm.

    Args:
        width: Channels D.
        mlp_ratio: Hidden width in units of D; the paper: 2.
    """

    def __init__(self, *, width: int, mlp_ratio: int) -> None:
        super().__init__()
        self.mlp = feed_forward(width, mlp_ratio * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``(B, N, D)`` to ``(B, N, D)``."""
        out: Tensor = self.norm(tokens + self.mlp(tokens))
        return out


class QueryLayer(nn.Module):
    """Masked cross-attention to the tokens, self-attention of the queries, feed-forward network.

    Args:
        width: Channels D.
        heads: Attention heads.
        mlp_ratio: Hidden width of the feed-forward network in units of D.
    """

    def __init__(self, *, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.cross = AttentionSum(width=width, heads=heads)
        self.own = AttentionSum(width=width, heads=heads)
        self.feed = FeedForwardSum(width=width, mlp_ratio=mlp_ratio)

    def forward(self, queries: Tensor, tokens: Tensor, blocked: Tensor | None) -> Tensor:
        """Return the queries ``(B, K, D)`` after reading tokens ``(B, M, D)``."""
        queries = self.cross(queries, tokens, blocked)
        out: Tensor = self.feed(self.own(queries, queries))
        return out


class JointQueries(nn.Module):
    """One query per joint that gathers what the tokens of all frames say about it.

    Args:
        joints: Number of joints K.
        layers: Layers; the paper: 6.
        width: Channels D.
        heads: Attention heads; the paper: 4.
        mlp_ratio: Hidden width of the feed-forward network in units of D; the paper: 2.
    """

    def __init__(self, *, joints: int, layers: int, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.feature = nn.Parameter(_QUERY_SPREAD * torch.randn(joints, width))
        self.position = nn.Parameter(_QUERY_SPREAD * torch.randn(joints, width))
        self.layers = nn.ModuleList(
            QueryLayer(width=width, heads=heads, mlp_ratio=mlp_ratio) for _ in range(layers)
        )

    def forward(self, tokens: Tensor, blocked: Tensor | None) -> Tensor:
        """Return the queries after the last layer.

        Args:
            tokens: Tokens of all frames, ``(B, M, D)``.
            blocked: Tokens that a joint does not attend to, ``(B, K, M)``; None: no mask.

        Returns:
            ``(B, K, D)``.
        """
        queries = (self.feature + self.position).expand(len(tokens), -1, -1)
        for layer in self.layers:
            queries = layer(queries, tokens, blocked)
        return queries


class FullSelfAttention(nn.Module):
    """Self-attention of all tokens of all frames, the row of the ablation table.

    Args:
        layers: Layers of attention and feed-forward network.
        width: Channels D.
        heads: Attention heads.
        mlp_ratio: Hidden width of the feed-forward network in units of D.
    """

    def __init__(self, *, layers: int, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.attention = nn.ModuleList(
            AttentionSum(width=width, heads=heads) for _ in range(layers)
        )
        self.feed = nn.ModuleList(
            FeedForwardSum(width=width, mlp_ratio=mlp_ratio) for _ in range(layers)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens of all frames ``(B, M, D)`` to ``(B, M, D)``."""
        for attention, feed in zip(self.attention, self.feed, strict=True):
            tokens = feed(attention(tokens, tokens))
        return tokens
