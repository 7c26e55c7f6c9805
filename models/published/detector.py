"""Published files of torchvision's detectors, with the tensor names of every release.

Release 0.13 renamed layers that became blocks of convolution and normalization. torchvision renames
the tensors of older files when it loads them (``_load_from_state_dict`` of its modules).
"""

from collections.abc import Mapping

from torch import Tensor

from models.published.rules import (
    BATCH_COUNTER,
    ConversionStep,
    ConvertedWeights,
    NamingScheme,
    Rule,
    apply_rules,
    strip_wrapper,
)

_TENSOR = r"(weight|bias)"
_BEFORE_0_13 = (
    Rule(
        rf"(.+\.fpn\.(?:inner|layer)_blocks\.\d)\.{_TENSOR}",
        (r"\1.0.\2",),
        "feature pyramid, names before torchvision 0.13",
    ),
    Rule(
        rf"rpn\.head\.conv\.{_TENSOR}",
        (r"rpn.head.conv.0.0.\1",),
        "region proposals, names before torchvision 0.13",
    ),
    *(
        Rule(
            rf"roi_heads\.mask_head\.mask_fcn{layer + 1}\.{_TENSOR}",
            (rf"roi_heads.mask_head.{layer}.0.\1",),
            f"mask head, layer {layer}, names before torchvision 0.13",
        )
        for layer in range(4)
    ),
)
_RETINANET_BEFORE_0_13 = tuple(
    Rule(
        # The activations between the convolutions had numbers of their own.
        rf"head\.(classification|regression)_head\.conv\.{2 * layer}\.{_TENSOR}",
        (rf"head.\1_head.conv.{layer}.0.\2",),
        f"RetinaNet's heads, layer {layer}, names before torchvision 0.13",
    )
    for layer in range(4)
)
_WITHOUT_EPSILON = (
    "fasterrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
)
"""Detectors whose COCO_V1 files were trained with frozen batch normalization without epsilon.

torchvision sets epsilon to 0 when it loads these files (``overwrite_eps``).
"""
_EPSILON = 1e-5
"""Value that batch normalization adds to the variance."""


def convert_detector(
    tensors: Mapping[str, Tensor], source: str, *, variant: str
) -> ConvertedWeights:
    """Return the tensors of a torchvision detector under the names of the current release.

    Args:
        tensors: Tensors by their names in the file.
        source: Name of the file in error messages.
        variant: Name of the detector in torchvision.
    """
    converted = apply_rules(strip_wrapper(tensors), _scheme(variant), source)
    variances = [name for name in converted.weights if name.endswith(".running_var")]
    # Batch normalization that was trained, not frozen, has counters and was trained with epsilon.
    frozen = not any(name.endswith(BATCH_COUNTER) for name in converted.weights)
    if variant not in _WITHOUT_EPSILON or not frozen or not variances:
        return converted
    lowered = {name: converted.weights[name] - _EPSILON for name in variances}
    step = ConversionStep(
        "variances of frozen batch normalization: epsilon subtracted, which the network adds",
        "modified",
        len(variances),
        variances[0],
    )
    return converted._replace(weights=converted.weights | lowered, table=(*converted.table, step))


def _scheme(variant: str) -> NamingScheme:
    # FCOS still has the names that RetinaNet's heads had.
    renamed = _RETINANET_BEFORE_0_13 if variant.startswith("retinanet") else ()
    rest = Rule(r"(.+)", (r"\1",), "tensors with unchanged names")
    return NamingScheme("torchvision", (), (*_BEFORE_0_13, *renamed, rest))
