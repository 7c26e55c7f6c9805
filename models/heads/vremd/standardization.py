"""Standardization of backbone tokens by statistics of the train cache.

The tokens of a ViT vary mostly with channel and place, and little from clip to clip. LayerNorm
divides by the length of the entire token and so keeps the part that all clips share.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_FLOOR = 0.01
"""Smallest standard deviation that divides, in units of the deviation of all tokens."""


class TokenStandardization(nn.Module):
    """Subtract the mean of each place and channel and divide by their standard deviation.

    The statistics are buffers, so that weights contain them. Before ``fit`` they are 0 and 1, which
    leaves tokens unchanged.

    Args:
        tokens: Tokens N per frame.
        channels: Channels C per token.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, *, tokens: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tokens, channels))
        self.register_buffer("std", torch.ones(tokens, channels))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Set the statistics to those of all frames of some clips.

        All frames share one mean: a difference between two frames of a still scene remains 0.

        Args:
            batches: Tokens, ``(B, T, N, C)`` each.

        Raises:
            ValueError: If there is no batch or a value is not finite.
        """
        frames = 0
        first, second = (torch.zeros_like(self.mean, dtype=torch.float64) for _ in range(2))
        for tokens in batches:
            values = tokens.flatten(0, 1).double()
            frames += len(values)
            first += values.sum(dim=0)
            second += values.square().sum(dim=0)
        if not frames or not bool(second.isfinite().all()):
            raise ValueError(
                f"token statistics: expected finite tokens of at least one clip, got {frames} "
                "frames; make the token cache again"
            )
        mean = first / frames
        variance = (second / frames - mean.square()).clamp(min=0)
        # A place and channel that is constant here may vary elsewhere; it must not dominate then.
        std = variance.sqrt().clamp(min=_FLOOR * float(variance.mean().sqrt()))
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 0, std, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return standardized tokens, ``(..., N, C)``, of tokens, ``(..., N, C)``."""
        return (tokens - self.mean) / self.std
