"""RAFT's published files: those of the official code (princeton-vl/RAFT) and torchvision's.

The networks are the same; the key map was checked by loading official weights into torchvision's
network, whose flow was then equal bit for bit.
"""

from collections.abc import Mapping

from torch import Tensor

from models.published.rules import (
    Converted,
    Naming,
    Rule,
    apply_rules,
    recognize,
    without_wrapper,
)


def _encoder(theirs: str, ours: str) -> tuple[Rule, ...]:
    at = rf"{theirs}\."
    return (
        Rule(rf"{at}conv1\.(.+)", (rf"network.{ours}.convnormrelu.0.\1",), f"{ours}: stem"),
        Rule(rf"{at}norm1\.(.+)", (rf"network.{ours}.convnormrelu.1.\1",), f"{ours}: stem's norm"),
        Rule(rf"{at}conv2\.(.+)", (rf"network.{ours}.conv.\1",), f"{ours}: last convolution"),
        Rule(
            rf"{at}(layer\d\.\d)\.conv(\d)\.(.+)",
            (rf"network.{ours}.\1.convnormrelu\2.0.\3",),
            f"{ours}: convolutions of the blocks",
        ),
        Rule(
            rf"{at}(layer\d\.\d)\.norm(\d)\.(.+)",
            (rf"network.{ours}.\1.convnormrelu\2.1.\3",),
            f"{ours}: norms of the blocks",
        ),
        Rule(
            rf"{at}(layer\d\.\d\.downsample\.[01])\.(.+)",
            (rf"network.{ours}.\1.\2",),
            f"{ours}: shortcuts",
        ),
    )


_UPDATE = r"update_block\."
OFFICIAL = Naming(
    "official",
    ("fnet.conv1.weight",),
    (
        # The official blocks hold the norm of their shortcut under two names; `convert_raft` makes
        # sure that it is the same one. Only the large network's has tensors.
        Rule(
            r"cnet\.layer[23]\.0\.norm3\..+",
            (),
            "context_encoder: norms of the shortcuts, which are in the file twice",
        ),
        *_encoder("fnet", "feature_encoder"),
        *_encoder("cnet", "context_encoder"),
        Rule(
            rf"{_UPDATE}encoder\.convc(\d)\.(.+)",
            (r"network.update_block.motion_encoder.convcorr\1.0.\2",),
            "motion encoder: correlation",
        ),
        Rule(
            rf"{_UPDATE}encoder\.convf(\d)\.(.+)",
            (r"network.update_block.motion_encoder.convflow\1.0.\2",),
            "motion encoder: flow",
        ),
        Rule(
            rf"{_UPDATE}encoder\.conv\.(.+)",
            (r"network.update_block.motion_encoder.conv.0.\1",),
            "motion encoder: last convolution",
        ),
        Rule(
            rf"{_UPDATE}gru\.conv([zrq])([12])\.(.+)",
            (r"network.update_block.recurrent_block.convgru\2.conv\1.\3",),
            "recurrent block, in two directions",
        ),
        Rule(
            rf"{_UPDATE}gru\.conv([zrq])\.(.+)",
            (r"network.update_block.recurrent_block.convgru1.conv\1.\2",),
            "recurrent block",
        ),
        Rule(
            rf"{_UPDATE}flow_head\.(.+)",
            (r"network.update_block.flow_head.\1",),
            "flow head",
        ),
        Rule(
            rf"{_UPDATE}mask\.0\.(.+)",
            (r"network.mask_predictor.convrelu.0.\1",),
            "mask of the upsampling: first convolution",
        ),
        Rule(
            rf"{_UPDATE}mask\.2\.(.+)",
            (r"network.mask_predictor.conv.\1",),
            "mask of the upsampling: second convolution",
        ),
    ),
)
TORCHVISION = Naming(
    "torchvision",
    ("feature_encoder.convnormrelu.0.weight",),
    (
        Rule(
            r"((?:feature_encoder|context_encoder|update_block|mask_predictor)\..+)",
            (r"network.\1",),
            "whole network",
        ),
    ),
)
NAMINGS = (OFFICIAL, TORCHVISION)


def convert_raft(tensors: Mapping[str, Tensor], source: str) -> Converted:
    """Return the tensors of a published RAFT under the names of ``RAFTFlow``.

    Args:
        tensors: Tensor by its name in the file.
        source: What errors call the file.

    Raises:
        ValueError: If the names are none of ``NAMINGS``, one falls under no rule, or a norm that is
            in the file twice is not the same both times.
    """
    plain = without_wrapper(tensors)
    for name, tensor in plain.items():
        block, _, rest = name.partition(".norm3.")
        twin = plain.get(f"{block}.downsample.1.{rest}")
        if twin is not None and not tensor.equal(twin):
            raise ValueError(
                f"{source}: expected {name} and {block}.downsample.1.{rest} to be one tensor, got "
                "two that differ; the file is damaged, fetch it again"
            )
    return apply_rules(plain, recognize(plain, NAMINGS, source), source)
