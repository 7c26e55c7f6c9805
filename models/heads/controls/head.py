"""The controls as heads over cached heatmaps or tokens: built from params and the cache's shape."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.heads.controls.heatmap_controls import Fuse, Refine
from models.heads.controls.vit_controls import FuseViT, ViTDecoder
from models.heads.losses import heatmap_loss
from models.heads.tokens.token_grid import grid_of


def build_control(
    system: str,
    arguments: Mapping[str, Any],
    *,
    joints: int,
    frames: int,
    shapes: Mapping[str, tuple[int, ...]],
    crop_size: tuple[int, int],
) -> nn.Module:
    """Build a control.

    Args:
        system: ``refine``, ``fuse``, ``vit`` or ``fuse_vit``.
        arguments: Arguments of its constructor that params decide.
        joints: Number of joints K.
        frames: Frames T per clip; ``refine`` and ``vit`` look at the middle one.
        shapes: Shape of a clip's row in the cache ``tokens``, ``(frames, N, D)``, for those that
            read it.
        crop_size: Height and width of the crops, pixels.

    Raises:
        ValueError: If the system is no control, or the arguments do not fit together.
    """
    if system == "refine":
        return Refine(joints=joints, **arguments)
    if system == "fuse":
        return Fuse(joints=joints, frames=frames, **arguments)
    if system not in {"vit", "fuse_vit"}:
        raise ValueError(f"control: expected refine, fuse, vit or fuse_vit, got {system!r}")
    _, tokens, embed_dim = shapes["tokens"]
    network: type[nn.Module] = ViTDecoder if system == "vit" else FuseViT
    return network(
        joints=joints,
        frames=frames,
        grid=grid_of(tokens, crop_size),
        embed_dim=embed_dim,
        **arguments,
    )


def control_loss(head: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the loss of a control.

    Args:
        head: The control.
        batch: ``heatmaps`` ``(B, T, K, h, w)`` or ``tokens`` ``(B, T, N, D)``, whichever it reads;
            ``target`` ``(B, K, h, w)``, ``weights`` ``(B, K)``.

    Returns:
        ``heatmap``, a scalar.
    """
    read = batch["tokens"] if "tokens" in batch else batch["heatmaps"]
    return {"heatmap": heatmap_loss(head(read), batch["target"], batch["weights"])}
