"""Published files of torchvision's detectors, which keep their tensor names."""

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

_TORCHVISION = NamingScheme("torchvision", (), (Rule(r"(.+)", (r"\1",), "complete network"),))
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
    """Return the tensors of a torchvision detector under their own names.

    Args:
        tensors: Tensors by their names in the file.
        source: Name of the file in error messages.
        variant: Name of the detector in torchvision.
    """
    converted = apply_rules(strip_wrapper(tensors), _TORCHVISION, source)
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
