"""Literal ViTPose backbone after its official code, on the tensor names of two code bases."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.base.normalization import MEAN, STD
from tests.models.published.random_tensors import Weights


class Names(NamedTuple):
    """Tensor names of a code base."""

    patch: str
    block: str
    parts: tuple[str, str, str, str]
    """First and second normalization, first and second layer of the MLP."""
    last: str
    slot: bool
    """Whether the position embedding has a slot for a class token."""


OFFICIAL = Names(
    "backbone.patch_embed.proj",
    "backbone.blocks",
    ("norm1", "norm2", "mlp.fc1", "mlp.fc2"),
    "backbone.last_norm",
    slot=True,
)
MMPOSE = Names(
    "backbone.patch_embed.projection",
    "backbone.layers",
    ("ln1", "ln2", "ffn.layers.0.0", "ffn.layers.1"),
    "backbone.ln1",
    slot=False,
)


def tokens(images: Tensor, w: Weights, names: Names, heads: int) -> Tensor:
    """Return the tokens ``(B, N, D)`` of images in [0, 1]."""

    def linear(x: Tensor, name: str) -> Tensor:
        return torch.einsum("bnc,dc->bnd", x, w[f"{name}.weight"]) + w[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        centered = x - x.mean(-1, keepdim=True)
        # eps=1e-6 in the official vit.py and in mmpretrain's VisionTransformer.
        scale = (centered.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()
        return centered / scale * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    kernel = w[f"{names.patch}.weight"]
    x = F.conv2d(x, kernel, w[f"{names.patch}.bias"], stride=16, padding=2)
    x = x.flatten(2).transpose(1, 2)
    positions = w["backbone.pos_embed"]
    x = x + (positions[:, 1:] + positions[:, :1] if names.slot else positions)
    first, second, up, down = names.parts
    depth = sum(name.endswith("attn.qkv.bias") for name in w)
    for i in range(depth):
        at = f"{names.block}.{i}"
        query, key, value = linear(norm(x, f"{at}.{first}"), f"{at}.attn.qkv").chunk(3, dim=-1)
        width = query.shape[-1] // heads
        mixed = []
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            scores = query[..., part] @ key[..., part].transpose(1, 2) / width**0.5
            mixed.append(scores.softmax(-1) @ value[..., part])
        x = x + linear(torch.cat(mixed, dim=-1), f"{at}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{at}.{second}"), f"{at}.{up}")), f"{at}.{down}")
    return norm(x, names.last)
