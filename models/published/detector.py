"""Files of the detectors of torchvision, which keep the names they have."""

from collections.abc import Mapping

from torch import Tensor

from models.published.rules import Converted, Naming, Rule, apply_rules, without_wrapper

_EVERYTHING = Naming("torchvision", (), (Rule(r"(.+)", (r"\1",), "whole network"),))


def convert_detector(tensors: Mapping[str, Tensor], source: str) -> Converted:
    """Return the tensors of a detector of torchvision, whose names stay as they are.

    Args:
        tensors: Tensor by its name in the file.
        source: What errors call the file.
    """
    return apply_rules(without_wrapper(tensors), _EVERYTHING, source)
