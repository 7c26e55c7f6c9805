"""Watch for parts of a network whose output is the same for every clip.

A part has collapsed if its output does not depend on its input. Its share is the standard
deviation across clips over that of all its values: 1 if nothing is common to the clips, 0 if
everything is.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.training.declarations import Part

FLOOR = 0.01
"""A part with a lower share at the end of training is reported as collapsed."""


def across_clip_share(values: Tensor) -> float:
    """Return the standard deviation across clips over that of all values, in [0, 1].

    Args:
        values: Output of a part, ``(B, ...)``.

    Returns:
        The share; NaN for a single clip.
    """
    if len(values) < 2:
        return math.nan
    flat = values.detach().float().flatten(1)
    across = flat.var(dim=0, correction=0).mean().sqrt()
    overall = flat.std(correction=0)
    return float(across / overall) if overall > 0 else 0.0


@contextmanager
def record_parts(parts: Mapping[str, Part]) -> Iterator[dict[str, Tensor]]:
    """Record the output of parts in a forward pass, which remains as it is.

    Args:
        parts: The parts by name.

    Yields:
        Output of every part by name, once the forward pass is done.
    """
    outputs: dict[str, Tensor] = {}

    def watch(name: str, part: Part) -> torch.utils.hooks.RemovableHandle:
        module, read = part

        def record(_module: nn.Module, _arguments: object, output: Any) -> None:  # noqa: ANN401  any network's
            outputs[name] = read(output).detach()

        return module.register_forward_hook(record)

    handles = [watch(name, part) for name, part in parts.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def report_collapse(section: str, shares: Mapping[str, float]) -> None:
    """Print one line on stderr if parts have collapsed.

    Args:
        section: Section of params.yaml of the network.
        shares: Share of every part at the end of training.
    """
    collapsed = [f"{name} {share:.4f}" for name, share in shares.items() if share < FLOOR]
    if collapsed:
        sys.stderr.write(
            f"{section}: collapsed, the same for every clip: {', '.join(collapsed)} (standard "
            f"deviation across clips over that of all values, expected at least {FLOOR}); lower "
            "the learning rate, lengthen the warm-up or clip gradients\n"
        )
