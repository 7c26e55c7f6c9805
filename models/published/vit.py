"""ViTPose's published files: the official code's, mmpose's, and folders of transformers.

Only the backbone is taken over: VREMD's heads read tokens, never ViTPose's heatmaps.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from models.published.rules import (
    Converted,
    Line,
    Naming,
    Rule,
    apply_rules,
    recognize,
    without_wrapper,
)

_POSITIONS = "backbone.embeddings.position_embeddings"
_HEAD = "ViTPose's heatmap head, which no head here reads"


_LAYER = r"backbone.encoder.layer.\1"
_ATTENTION = tuple(rf"{_LAYER}.attention.attention.{part}.\2" for part in ("query", "key", "value"))


def _naming(title: str, patch: str, block: str, names: tuple[str, ...], norm: str) -> Naming:
    """Return the naming of a ViT whose attention keeps query, key and value in one tensor.

    Args:
        title: What the naming is called.
        patch: Name of the layer that cuts patches.
        block: Name of the list of blocks.
        names: Names, within a block, of what transformers calls layernorm_before,
            layernorm_after, mlp.fc1 and mlp.fc2.
        norm: Name of the last normalization.
    """
    ours = ("layernorm_before", "layernorm_after", "mlp.fc1", "mlp.fc2")
    at = rf"backbone\.{block}\.(\d+)\."
    return Naming(
        title,
        (f"backbone.{patch}.weight",),
        (
            Rule(
                rf"backbone\.{re.escape(patch)}\.(weight|bias)",
                (r"backbone.embeddings.patch_embeddings.projection.\1",),
                "patches",
            ),
            Rule(r"backbone\.pos_embed", (_POSITIONS,), "positions"),
            Rule(rf"{at}attn\.qkv\.(weight|bias)", _ATTENTION, "query, key and value"),
            Rule(
                rf"{at}attn\.proj\.(weight|bias)",
                (rf"{_LAYER}.attention.output.dense.\2",),
                "projection of the attention",
            ),
            *(
                Rule(
                    rf"{at}{re.escape(theirs)}\.(weight|bias)",
                    (rf"{_LAYER}.{name}.\2",),
                    name,
                )
                for theirs, name in zip(names, ours, strict=True)
            ),
            Rule(
                rf"backbone\.{norm}\.(weight|bias)",
                (r"backbone.layernorm.\1",),
                "last normalization",
            ),
            Rule(r"(keypoint_head|head)\..+", (), _HEAD),
        ),
    )


OFFICIAL = _naming(
    "official", "patch_embed.proj", "blocks", ("norm1", "norm2", "mlp.fc1", "mlp.fc2"), "last_norm"
)
MMPOSE = _naming(
    "mmpose 1.x",
    "patch_embed.projection",
    "layers",
    ("ln1", "ln2", "ffn.layers.0.0", "ffn.layers.1"),
    "ln1",
)
TRANSFORMERS = Naming(
    "transformers",
    ("backbone.embeddings.patch_embeddings.projection.weight",),
    (
        Rule(r"(backbone\.(?:embeddings|encoder|layernorm)\..+)", (r"\1",), "backbone"),
        Rule(r"head\..+", (), _HEAD),
    ),
)
NAMINGS = (OFFICIAL, MMPOSE, TRANSFORMERS)


def convert_vit(tensors: Mapping[str, Tensor], source: str, *, tokens: int) -> Converted:
    """Return the tensors of a published ViTPose under the names of ``ViTBackbone``.

    The network has a slot for a class token among its positions, whose values are added to every
    token. mmpose has none: its files hold one position per token, and where they hold one more,
    mmpose drops the first as it loads them. Either way the slot is zero here.

    Args:
        tensors: Tensor by its name in the file.
        source: What errors call the file.
        tokens: Number of tokens N of the network.

    Raises:
        ValueError: If the names are none of ``NAMINGS``, or one falls under no rule.
    """
    plain = without_wrapper(tensors)
    naming = recognize(plain, NAMINGS, source)
    converted = apply_rules(plain, naming, source)
    positions = converted.weights.get(_POSITIONS)
    if naming != MMPOSE or positions is None or positions.shape[1] not in (tokens, tokens + 1):
        return converted
    own = positions[:, -tokens:]
    slot = torch.zeros_like(own[:, :1])
    line = Line("slot of the class token: zero, mmpose has none", "made up", 1, _POSITIONS)
    return converted._replace(
        weights=converted.weights | {_POSITIONS: torch.cat([slot, own], dim=1)},
        table=(*converted.table, line),
    )
