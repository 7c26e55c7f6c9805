"""VREMD as a head over cached tokens: built from params and the shape of the cache."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.heads.losses import heatmap_loss
from models.heads.tokens.token_grid import grid_of
from models.heads.vremd.network import VREMD


def build_vremd(
    arguments: Mapping[str, Any],
    *,
    joints: int,
    frames: int,
    shapes: Mapping[str, tuple[int, ...]],
    crop_size: tuple[int, int],
) -> nn.Module:
    """Build the head.

    Args:
        arguments: Arguments of ``VREMD`` that params decide.
        joints: Number of joints K.
        frames: Frames T per clip.
        shapes: Shape of a clip's row in the cache ``tokens``, ``(frames, N, D)``.
        crop_size: Height and width of the crops, pixels.

    Raises:
        ValueError: If the arguments do not fit together or the tokens do not tile the crop.
    """
    _, tokens, embed_dim = shapes["tokens"]
    grid = grid_of(tokens, crop_size)
    return VREMD(joints=joints, frames=frames, grid=grid, embed_dim=embed_dim, **arguments)


def token_loss(head: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the loss of a head that maps tokens to heatmaps.

    Args:
        head: The head.
        batch: ``tokens`` ``(B, T, N, D)``, ``target`` ``(B, K, h, w)``, ``weights`` ``(B, K)``.

    Returns:
        ``heatmap``, a scalar.
    """
    return {"heatmap": heatmap_loss(head(batch["tokens"]), batch["target"], batch["weights"])}
