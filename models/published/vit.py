"""Published ViTPose files: official code, mmpose, and folders of transformers.

Only the backbone is converted: VREMD's heads read tokens, not ViTPose's heatmaps.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from models.published.rules import (
    ConversionStep,
    ConvertedWeights,
    NamingScheme,
    Rule,
    apply_rules,
    find_scheme,
    strip_wrapper,
)

_POSITIONS = "backbone.embeddings.position_embeddings"
_HEAD = "ViTPose's heatmap head, unused"

_LAYER = r"backbone.encoder.layer.\1"
_ATTENTION = tuple(rf"{_LAYER}.attention.attention.{part}.\2" for part in ("query", "key", "value"))


def _scheme(title: str, patch: str, block: str, names: tuple[str, ...], norm: str) -> NamingScheme:
    """Return the scheme of a ViT whose attention stores query, key and value in one tensor.

    Args:
        title: Title of the scheme.
        patch: Name of the patch embedding layer.
        block: Name of the list of blocks.
        names: Names within a block of the layers that transformers calls layernorm_before,
            layernorm_after, mlp.fc1 and mlp.fc2.
        norm: Name of the last normalization.
    """
    ours = ("layernorm_before", "layernorm_after", "mlp.fc1", "mlp.fc2")
    at = rf"backbone\.{block}\.(\d+)\."
    return NamingScheme(
        title,
        (f"backbone.{patch}.weight",),
        (
            Rule(
                rf"backbone\.{re.escape(patch)}\.(weight|bias)",
                (r"backbone.embeddings.patch_embeddings.projection.\1",),
                "patch embedding",
            ),
            Rule(r"backbone\.pos_embed", (_POSITIONS,), "position embedding"),
            Rule(rf"{at}attn\.qkv\.(weight|bias)", _ATTENTION, "query, key and value"),
            Rule(
                rf"{at}attn\.proj\.(weight|bias)",
                (rf"{_LAYER}.attention.output.dense.\2",),
                "attention projection",
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


OFFICIAL = _scheme(
    "official", "patch_embed.proj", "blocks", ("norm1", "norm2", "mlp.fc1", "mlp.fc2"), "last_norm"
)
MMPOSE = _scheme(
    "mmpose 1.x",
    "patch_embed.projection",
    "layers",
    ("ln1", "ln2", "ffn.layers.0.0", "ffn.layers.1"),
    "ln1",
)
TRANSFORMERS = NamingScheme(
    "transformers",
    ("backbone.embeddings.patch_embeddings.projection.weight",),
    (
        Rule(r"(backbone\.(?:embeddings|encoder|layernorm)\..+)", (r"\1",), "backbone"),
        Rule(r"head\..+", (), _HEAD),
    ),
)
SCHEMES = (OFFICIAL, MMPOSE, TRANSFORMERS)


def convert_vit(tensors: Mapping[str, Tensor], source: str, *, tokens: int) -> ConvertedWeights:
    """Return the tensors of a published ViTPose under the names of ``ViTBackbone``.

    The position embedding of the network has a slot for a class token, which is added to every
    token. mmpose has no such slot: its files hold one position per token or one more, of which
    mmpose drops the first on loading. In both cases the slot is zero here.

    Args:
        tensors: Tensors by their names in the file.
        source: Name of the file in error messages.
        tokens: Number of tokens N of the network.

    Raises:
        ValueError: If the names match none of ``SCHEMES`` or a name matches no rule.
    """
    plain = strip_wrapper(tensors)
    scheme = find_scheme(plain, SCHEMES, source)
    converted = apply_rules(plain, scheme, source)
    positions = converted.weights.get(_POSITIONS)
    if scheme != MMPOSE or positions is None or positions.shape[1] not in (tokens, tokens + 1):
        return converted
    of_tokens = positions[:, -tokens:]
    slot = torch.zeros_like(of_tokens[:, :1])
    step = ConversionStep("slot of the class token: zero in mmpose", "added", 1, _POSITIONS)
    return converted._replace(
        weights=converted.weights | {_POSITIONS: torch.cat([slot, of_tokens], dim=1)},
        table=(*converted.table, step),
    )
