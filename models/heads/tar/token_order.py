"""What a token of TAR-ViTPose holds, as in the paper and as in the published code.

In the paper, a token holds all channels of one place. The published code turns the maps of a
frame, ``(D, N)``, into ``(N, D)`` by a reshape without a transpose. A "token" then holds all places
of a few channels. The masks of the joints, ``(T, K, N)``, become ``(K, T, N)`` in the same way.

Shapes: B clips, T frames, N = rows x columns tokens, D channels, K joints.
"""

from typing import Literal

from torch import Tensor

from models.head_parts.token_layout import to_map

TokenOrder = Literal["paper", "released"]


def order_tokens(tokens: Tensor, order: TokenOrder) -> Tensor:
    """Return tokens in an order.

    Args:
        tokens: One token per place, ``(B, T, N, D)``.
        order: ``"paper"`` returns them unchanged. In ``"released"``, entry i of token n is number
            n * D + i of the maps of its frame, channel by channel.

    Returns:
        ``(B, T, N, D)``.
    """
    if order == "paper":
        return tokens
    return tokens.transpose(2, 3).reshape(tokens.shape)


def restore_map(tokens: Tensor, grid: tuple[int, int], order: TokenOrder) -> Tensor:
    """Return the map of a frame from its ordered tokens: the inverse of ``order_tokens``.

    Args:
        tokens: ``(B, N, D)``.
        grid: (rows, columns) of the tokens.
        order: Their order.

    Returns:
        ``(B, D, rows, columns)``.
    """
    if order == "paper":
        return to_map(tokens, grid)
    return tokens.reshape(len(tokens), tokens.shape[2], *grid)


def order_masks(masks: Tensor, order: TokenOrder) -> Tensor:
    """Return the masks of every joint over the tokens of all frames.

    Args:
        masks: ``(B, T, K, N)``.
        order: ``"paper"`` keeps each mask with its joint and frame. ``"released"`` regroups frames
            and joints without a transpose, as the published code does.

    Returns:
        ``(B, K, T * N)``.
    """
    clips, frames, joints, tokens = masks.shape
    if order == "paper":
        masks = masks.transpose(1, 2)
    return masks.reshape(clips, joints, frames * tokens)
