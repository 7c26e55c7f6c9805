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


class ClipSpread:
    """The share of a part, accumulated over batches of clips."""

    def __init__(self) -> None:
        self._clips = 0
        # Differences from the first clip: of equal clips they are exactly 0.
        self._first = self._sum = self._squares = torch.zeros(0, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Add the output of a part for some clips, ``(B, ...)``."""
        flat = values.detach().cpu().double().flatten(1)
        if not self._clips:
            self._first = flat[0]
            self._sum = self._squares = torch.zeros_like(flat[0])
        differences = flat - self._first
        self._clips += len(flat)
        self._sum = self._sum + differences.sum(dim=0)
        self._squares = self._squares + differences.square().sum(dim=0)

    def share(self) -> float:
        """Return the standard deviation across clips over that of all values, in [0, 1].

        Returns:
            The share; NaN for fewer than two clips.
        """
        if self._clips < 2:
            return math.nan
        means = self._sum / self._clips
        across = (self._squares / self._clips - means.square()).clamp(min=0).mean()
        overall = across + (self._first + means).var(correction=0)
        return float((across / overall).sqrt()) if overall > 0 else 0.0


def across_clip_share(values: Tensor) -> float:
    """Return the share of a part from its output for a batch of clips, see ``ClipSpread``.

    Args:
        values: Output of the part, ``(B, ...)``.
    """
    spread = ClipSpread()
    spread.add(values)
    return spread.share()


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
