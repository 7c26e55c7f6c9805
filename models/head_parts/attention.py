"""Multi-head attention and the feed-forward network of the heads on tokens.

Shapes: B sequences, N queries, M context tokens, D channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def feed_forward(in_width: int, hidden_width: int, out_width: int) -> nn.Sequential:
    """Build a two-layer network with GELU for single tokens."""
    return nn.Sequential(
        nn.Linear(in_width, hidden_width), nn.GELU(), nn.Linear(hidden_width, out_width)
    )


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention of queries over a context; self-attention if they are the same.

    Args:
        width: Channels D per token.
        heads: Number of attention heads.

    Raises:
        ValueError: If ``heads`` does not divide ``width``.
    """

    def __init__(self, *, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"attention: expected heads that divide the width, got {heads} heads for a width "
                f"of {width}"
            )
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor, blocked: Tensor | None = None) -> Tensor:
        """Return the attention output of every query.

        Args:
            queries: ``(B, N, D)``.
            context: ``(B, M, D)``.
            blocked: Context tokens that a query does not read, ``(B, N, M)``, boolean; a query
                must have at least one that is not blocked. None: all are read.

        Returns:
            ``(B, N, D)``.
        """
        query = self._split(self.query(queries))
        key, value = map(self._split, self.key_value(context).chunk(2, dim=-1))
        read = None if blocked is None else ~blocked[:, None]
        gathered = F.scaled_dot_product_attention(query, key, value, read)
        out: Tensor = self.project(gathered.transpose(1, 2).flatten(2))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        """Reshape ``(B, N, D)`` to ``(B, heads, N, D / heads)``."""
        return torch.unflatten(tokens, -1, (self.heads, -1)).transpose(1, 2)
