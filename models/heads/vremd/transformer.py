"""Transformer pieces of VREMD: block of attention and feed-forward network, positional embedding.

The blocks normalize after each residual sum, as in the first Transformer (Vaswani et al., 2017,
Sec. 3.1). A pre-norm block would divide every token by its length before attention and so remove
the effect of the masks that VREMD multiplies its tokens by.

Shapes: B sequences, N tokens, D channels.
"""

import torch
from torch import Tensor, nn

from models.head_parts.attention import MultiHeadAttention, feed_forward


def sine_cosine_embedding(grid: tuple[int, int], width: int) -> Tensor:
    """Return a fixed embedding of the places of a grid (Vaswani et al., 2017, Sec. 3.5, in 2D).

    The first half of the channels encodes the row, the second half the column: sines, then
    cosines, of geometrically spaced frequencies from 1 to nearly 1 / 100 per token. Grids have at
    most some tens of rows, so that the original's 1 / 10000 would be constant.

    Args:
        grid: (rows, columns) of the tokens.
        width: Channels D per token.

    Returns:
        ``(N, D)`` in row-major order, values in [-1, 1].

    Raises:
        ValueError: If ``width`` is no multiple of 4.
    """
    if width % 4:
        raise ValueError(f"positional embedding: expected a width that 4 divides, got {width}")
    frequencies = 100.0 ** -(torch.arange(width // 4) / (width // 4))
    down, across = (torch.arange(length)[:, None] * frequencies for length in grid)
    rows = torch.cat([down.sin(), down.cos()], dim=1)[:, None].expand(-1, grid[1], -1)
    columns = torch.cat([across.sin(), across.cos()], dim=1)[None].expand(grid[0], -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


class PostNormBlock(nn.Module):
    """Self-attention, then the feed-forward network, each followed by sum and LayerNorm.

    Args:
        width: Channels D per token.
        heads: Number of attention heads.
        mlp_ratio: Hidden width of the feed-forward network, in units of D.
    """

    def __init__(self, *, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width=width, heads=heads)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp = feed_forward(width, mlp_ratio * width, width)
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``(B, N, D)`` to ``(B, N, D)``, each token with zero mean and unit deviation."""
        tokens = self.attention_norm(tokens + self.attention(tokens, tokens))
        out: Tensor = self.mlp_norm(tokens + self.mlp(tokens))
        return out


def post_norm_blocks(depth: int, *, width: int, heads: int, mlp_ratio: int) -> nn.Sequential:
    """Build ``depth`` post-norm blocks in a row.

    Raises:
        ValueError: If ``depth`` is not positive.
    """
    if depth < 1:
        raise ValueError(f"transformer depth: expected at least 1 block, got {depth}")
    return nn.Sequential(
        *(PostNormBlock(width=width, heads=heads, mlp_ratio=mlp_ratio) for _ in range(depth))
    )
