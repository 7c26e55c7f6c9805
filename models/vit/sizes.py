"""Sizes of ViTPose's backbones, for those who plan without a network.

No other module of models/ does without torch, which takes seconds to load.
"""

from typing import NamedTuple

PATCH = 16
"""Side of a patch in pixels."""


class ViTSize(NamedTuple):
    """What makes one variant differ from another."""

    embed_dim: int
    """Channels D per token."""
    depth: int
    """Transformer blocks."""
    num_heads: int
    """Attention heads per block."""
    mlp_ratio: int
    """Width of a block's hidden layer, in units of D."""


SIZES = {
    "tiny": ViTSize(embed_dim=160, depth=5, num_heads=5, mlp_ratio=3),
    # Published sizes: ViTPose_{small,base,large,huge}_coco_256x192.py of the official code.
    "vit_small": ViTSize(embed_dim=384, depth=12, num_heads=12, mlp_ratio=4),
    "vit_base": ViTSize(embed_dim=768, depth=12, num_heads=12, mlp_ratio=4),
    "vit_large": ViTSize(embed_dim=1024, depth=24, num_heads=16, mlp_ratio=4),
    "vit_huge": ViTSize(embed_dim=1280, depth=32, num_heads=16, mlp_ratio=4),
}


def embed_dim(variant: str) -> int:
    """Return D, the channels per token, without building the network."""
    return SIZES[variant].embed_dim
