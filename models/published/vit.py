"""Published ViTPose files: official code, mmpose, folders of transformers, ViTPose+ and Poseidon.

Only the backbone is converted: VREMD's heads read tokens, not ViTPose's heatmaps.

ViTPose+ (Xu et al., "ViTPose++", TPAMI 2023) has one expert per training data set in every block:
the expert computes the last rows of the MLP's output. ``select_expert`` makes a plain ViTPose of
one of them, as the official tools/model_split.py does.
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
from models.vit.sizes import PATCH

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
            Rule(r"backbone\.cls_token", (), "class token of the pretraining, unused"),
            Rule(r"(keypoint_head|associate_keypoint_heads|head)\..+", (), _HEAD),
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
_EPSILONS = {OFFICIAL.title: 1e-6, MMPOSE.title: 1e-6, TRANSFORMERS.title: 1e-12}
"""What the LayerNorms of each code base add to the variance: ``vit.py`` of the official code and of
mmpretrain; the default of ``VitPoseBackboneConfig``."""

EXPERTS = ("coco", "aic", "mpii", "ap10k", "apt36k", "wholebody")
"""Training data sets of ViTPose+ in the order of its experts (tools/model_split.py)."""
_EXPERT = re.compile(r"(?P<mlp>.+\.mlp)\.experts\.(?P<number>\d+)\.(?P<kind>weight|bias)")


def select_expert(
    tensors: Mapping[str, Tensor], expert: str | None, source: str
) -> tuple[dict[str, Tensor], list[ConversionStep]]:
    """Return the tensors of a plain ViTPose with one expert of ViTPose+.

    Args:
        tensors: Tensors by their names in the file.
        expert: One of ``EXPERTS``; None for a file without experts.
        source: Name of the file in error messages.

    Returns:
        The tensors, in which the rows of the expert follow those of its MLP's second layer, and the
        steps of the conversion. Both are empty of experts.

    Raises:
        ValueError: If the file has experts and none is chosen, if it lacks the chosen expert, or if
            a file without experts is given with one.
    """
    matches = {name: match for name in tensors if (match := _EXPERT.fullmatch(name))}
    plain = {name: tensor for name, tensor in tensors.items() if name not in matches}
    if not matches and expert is None:
        return plain, []
    numbers = {int(match["number"]) for match in matches.values()}
    found = [name for number, name in enumerate(EXPERTS) if number in numbers]
    if expert not in found:
        raise ValueError(
            f"{source}: expected an expert, one of {found}, because this is a ViTPose+, got "
            f"{expert}; choose it with --expert"
            if matches
            else f"{source}: expected a ViTPose+ for the expert {expert}, found no experts in the "
            "file; omit --expert"
        )
    merged = 0
    for name, match in matches.items():
        shared = f"{match['mlp']}.fc2.{match['kind']}"
        up = tensors.get(f"{match['mlp']}.fc1.weight")
        if int(match["number"]) != EXPERTS.index(expert) or shared not in plain or up is None:
            continue
        # Split files of the official tool have the rows of COCO's expert in fc2 already.
        if len(plain[shared]) < up.shape[1]:
            plain[shared] = torch.cat([plain[shared], tensors[name]])
            merged += 1
    steps = [ConversionStep(f"rows of the expert {expert}", "merged", merged, "")]
    rest = len(matches) - merged
    return plain, [*steps, ConversionStep("other experts", "skipped", rest, "")]


def convert_vit(
    tensors: Mapping[str, Tensor], source: str, *, input_size: tuple[int, int]
) -> ConvertedWeights:
    """Return the tensors of a published ViTPose under the names of ``ViTBackbone``.

    The position embedding of the network has a slot for a class token, which is added to every
    token. mmpose has no such slot: its files hold one position per token or one more, of which
    mmpose drops the first on loading. In both cases the slot is zero here.

    Args:
        tensors: Tensors by their names in the file; those of ViTPose+ after ``select_expert``.
        source: Name of the file in error messages.
        input_size: (height, width) of the crops that the network takes.

    Raises:
        ValueError: If the names match none of ``SCHEMES``, a name matches no rule, or the file was
            trained on crops of another size.
    """
    plain, steps = _without_video_model(strip_wrapper(tensors))
    scheme = find_scheme(plain, SCHEMES, source)
    converted = apply_rules(plain, scheme, source)
    positions = converted.weights.get(_POSITIONS)
    if positions is not None:
        _check_positions(positions, input_size, source, slots=(0, 1) if scheme == MMPOSE else (1,))
        if scheme == MMPOSE:
            of_tokens = positions[:, -_count_tokens(input_size) :]
            slot = torch.zeros_like(of_tokens[:, :1])
            converted.weights[_POSITIONS] = torch.cat([slot, of_tokens], dim=1)
            what = "slot of the class token: zero in mmpose"
            steps = [*steps, ConversionStep(what, "added", 1, _POSITIONS)]
    return converted._replace(
        table=(*converted.table, *steps), layer_norm_epsilon=_EPSILONS[scheme.title]
    )


def _count_tokens(input_size: tuple[int, int]) -> int:
    return (input_size[0] // PATCH) * (input_size[1] // PATCH)


def _check_positions(
    positions: Tensor, input_size: tuple[int, int], source: str, *, slots: tuple[int, ...]
) -> None:
    tokens = _count_tokens(input_size)
    if positions.ndim != 3 or positions.shape[1] - tokens not in slots:
        height, width = input_size
        raise ValueError(
            f"{source}: expected positions of {tokens} tokens, those of {height} x {width} crops "
            f"(height x width), got shape {tuple(positions.shape)}; import a file that was trained "
            "on crops of this size"
        )


def _without_video_model(
    tensors: dict[str, Tensor],
) -> tuple[dict[str, Tensor], list[ConversionStep]]:
    """Return the tensors of the pose network inside Poseidon, and the steps of the conversion.

    Poseidon keeps mmpose's network as ``model`` and stores its backbone and its head under other
    names again (models/best/Poseidon.py).
    """
    inside = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    if not any(name.startswith("backbone.") for name in inside):
        return tensors, []
    rest = len(tensors) - len(inside)
    step = ConversionStep(
        "video model around the pose network, and copies of it", "skipped", rest, ""
    )
    return inside, [step]
