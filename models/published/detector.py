"""Files of the detectors of torchvision, which keep the names they have."""

from collections.abc import Mapping

from torch import Tensor

from models.published.rules import (
    COUNTER,
    Converted,
    Line,
    Naming,
    Rule,
    apply_rules,
    without_wrapper,
)

_EVERYTHING = Naming("torchvision", (), (Rule(r"(.+)", (r"\1",), "whole network"),))
_WITHOUT_EPSILON = (
    "fasterrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
)
"""Detectors whose COCO_V1 files were trained with frozen norms that add nothing to the variance.

torchvision sets their epsilon to 0 when it loads these files itself (``overwrite_eps``).
"""
_EPSILON = 1e-5
"""What batch normalization adds to the variance."""


def convert_detector(tensors: Mapping[str, Tensor], source: str, *, variant: str) -> Converted:
    """Return the tensors of a detector of torchvision, whose names stay as they are.

    Args:
        tensors: Tensor by its name in the file.
        source: What errors call the file.
        variant: torchvision's name of the detector.
    """
    converted = apply_rules(without_wrapper(tensors), _EVERYTHING, source)
    variances = [name for name in converted.weights if name.endswith(".running_var")]
    # Norms that were trained here, not frozen, count their batches, and have their epsilon.
    frozen = not any(name.endswith(COUNTER) for name in converted.weights)
    if variant not in _WITHOUT_EPSILON or not frozen or not variances:
        return converted
    lowered = {name: converted.weights[name] - _EPSILON for name in variances}
    line = Line(
        "variances of the frozen norms: less the epsilon that is added again",
        "changed",
        len(variances),
        variances[0],
    )
    return converted._replace(weights=converted.weights | lowered, table=(*converted.table, line))
