"""Sizes of ViTPose's backbones.

This module does not import torch, which takes seconds: plans need sizes without a network.
"""

from typing import NamedTuple

PATCH = 16
"""Side of a patch in pixels."""


class ViTSize(NamedTuple):
    """Size of one variant."""

    embed_dim: int
    """Channels D per token."""
    depth: int
    """Number of transformer blocks."""
    num_heads: int
    """Number of attention heads per block."""
    mlp_ratio: int
    """Hidden width of a block's MLP, as a multiple of D."""


SIZES = {
    "tiny": ViTSize(embed_dim=160, depth=5, num_heads=5, mlp_ratio=3),
    # Published sizes: ViTPose_{small,base,large,huge}_coco_256x192.py of the official code.
    "vit_small": ViTSize(embed_dim=384, depth=12, num_heads=12, mlp_ratio=4),
    "vit_base": ViTSize(embed_dim=768, depth=12, num_heads=12, mlp_ratio=4),
    "vit_large": ViTSize(embed_dim=1024, depth=24, num_heads=16, mlp_ratio=4),
    "vit_huge": ViTSize(embed_dim=1280, depth=32, num_heads=16, mlp_ratio=4),
}


def embed_dim(variant: str) -> int:
    """Return the number of channels D per token without building the network."""
    return SIZES[variant].embed_dim
