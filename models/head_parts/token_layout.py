"""The layout of backbone tokens: a shape check, and conversion to maps and back.

Shapes: B clips, T frames, N = rows x columns tokens in row-major order, D channels.
"""

import torch
from torch import Tensor


def to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Reshape tokens ``(B, N, D)`` to a map ``(B, D, rows, columns)``."""
    return torch.unflatten(tokens.transpose(1, 2), 2, grid)


def to_tokens(token_map: Tensor) -> Tensor:
    """Reshape a map ``(B, D, rows, columns)`` to tokens ``(B, N, D)``."""
    return token_map.flatten(2).transpose(1, 2)


def check_tokens(tokens: Tensor, *, frames: int, grid: tuple[int, int], embed_dim: int) -> None:
    """Check that tokens have the shape that a head was built for.

    Args:
        tokens: Backbone tokens of all frames, expected as ``(B, T, N, D)``.
        frames: Frames T per clip.
        grid: (rows, columns) of the tokens of a frame, N in all.
        embed_dim: Channels D per token.

    Raises:
        ValueError: If T, N or D differ.
    """
    expected = (frames, grid[0] * grid[1], embed_dim)
    if tokens.ndim != 4 or tuple(tokens.shape[1:]) != expected:
        raise ValueError(
            f"head input: expected tokens (B, T, N, D) = (any, {', '.join(map(str, expected))}), "
            f"got {tuple(tokens.shape)}; the store holds other frames, another crop size or "
            "another backbone than the head was built for"
        )
