"""Published RAFT files: official code (princeton-vl/RAFT) and torchvision.

Both networks are the same. The mapping was verified by loading official weights into torchvision's
network: the flow is identical bit for bit.
"""

from collections.abc import Mapping

from torch import Tensor

from models.published.rules import (
    ConvertedWeights,
    NamingScheme,
    Rule,
    apply_rules,
    find_scheme,
    strip_wrapper,
)


def _encoder(prefix: str, encoder: str) -> tuple[Rule, ...]:
    at = rf"{prefix}\."
    return (
        Rule(rf"{at}conv1\.(.+)", (rf"network.{encoder}.convnormrelu.0.\1",), f"{encoder}: stem"),
        Rule(
            rf"{at}norm1\.(.+)",
            (rf"network.{encoder}.convnormrelu.1.\1",),
            f"{encoder}: stem normalization",
        ),
        Rule(rf"{at}conv2\.(.+)", (rf"network.{encoder}.conv.\1",), f"{encoder}: last convolution"),
        Rule(
            rf"{at}(layer\d\.\d)\.conv(\d)\.(.+)",
            (rf"network.{encoder}.\1.convnormrelu\2.0.\3",),
            f"{encoder}: block convolutions",
        ),
        Rule(
            rf"{at}(layer\d\.\d)\.norm(\d)\.(.+)",
            (rf"network.{encoder}.\1.convnormrelu\2.1.\3",),
            f"{encoder}: block normalizations",
        ),
        Rule(
            rf"{at}(layer\d\.\d\.downsample\.[01])\.(.+)",
            (rf"network.{encoder}.\1.\2",),
            f"{encoder}: shortcuts",
        ),
    )


_UPDATE = r"update_block\."
OFFICIAL = NamingScheme(
    "official",
    ("fnet.conv1.weight",),
    (
        # The official blocks store the normalization of their shortcut under two names;
        # `convert_raft` checks that both are equal. It has tensors in the large network only.
        Rule(
            r"cnet\.layer[23]\.0\.norm3\..+",
            (),
            "context_encoder: shortcut normalizations, stored twice",
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
            "recurrent block, two directions",
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
            "upsampling mask: first convolution",
        ),
        Rule(
            rf"{_UPDATE}mask\.2\.(.+)",
            (r"network.mask_predictor.conv.\1",),
            "upsampling mask: second convolution",
        ),
    ),
)
TORCHVISION = NamingScheme(
    "torchvision",
    ("feature_encoder.convnormrelu.0.weight",),
    (
        Rule(
            r"((?:feature_encoder|context_encoder|update_block|mask_predictor)\..+)",
            (r"network.\1",),
            "complete network",
        ),
    ),
)
SCHEMES = (OFFICIAL, TORCHVISION)


def convert_raft(tensors: Mapping[str, Tensor], source: str) -> ConvertedWeights:
    """Return the tensors of a published RAFT under the names of ``RAFTFlow``.

    Args:
        tensors: Tensors by their names in the file.
        source: Name of the file in error messages.

    Raises:
        ValueError: If the names match none of ``SCHEMES``, a name matches no rule, or the two
            copies of a normalization differ.
    """
    plain = strip_wrapper(tensors)
    for name, tensor in plain.items():
        block, _, rest = name.partition(".norm3.")
        copy = plain.get(f"{block}.downsample.1.{rest}")
        if copy is not None and not tensor.equal(copy):
            raise ValueError(
                f"{source}: expected {name} and {block}.downsample.1.{rest} to be equal, got "
                "different values; the file is damaged, download it again"
            )
    return apply_rules(plain, find_scheme(plain, SCHEMES, source), source)
