"""Cost of a network: parameters and floating-point operations of every submodule."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torchvision  # noqa: F401  registers the operator deform_conv2d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class ModuleCost(NamedTuple):
    """Cost of a direct submodule of a network, or of the complete network."""

    name: str
    parameters: int
    flops: int
    """Floating-point operations of one forward pass; a multiply-add counts as two."""


def _deformable(
    x: Sequence[int],
    weight: Sequence[int],
    *_others: object,
    out_shape: Sequence[int],
) -> int:
    """Return the operations of a deformable convolution, without its sampling."""
    _, _, height, width = out_shape
    out_channels, in_channels, rows, columns = weight
    return 2 * x[0] * height * width * out_channels * in_channels * rows * columns


def module_costs(network: nn.Module, inputs: Mapping[str, object]) -> list[ModuleCost]:
    """Return the cost of each direct submodule, followed by that of the complete network.

    torch counts matrix products, convolutions and attention. Element-wise operations and sampling
    are not counted, as is usual. With network and inputs on the device ``meta`` nothing is
    computed.

    Args:
        network: The network, in evaluation mode.
        inputs: Keyword arguments of its forward pass.
    """
    formulas = {torch.ops.torchvision.deform_conv2d: _deformable}
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    with torch.no_grad(), counter:
        network(**inputs)
    counts = counter.get_flop_counts()
    totals = {name: sum(by_operator.values()) for name, by_operator in counts.items()}
    top = type(network).__name__
    parts = [
        ModuleCost(name, _parameters(child), _flops(child, f"{top}.{name}", totals))
        for name, child in network.named_children()
    ]
    return [*parts, ModuleCost("all", _parameters(network), counter.get_total_flops())]


def _flops(module: nn.Module, name: str, totals: Mapping[str, int]) -> int:
    """Return the operations of a module, or the sum over its parts if its forward is not called."""
    if name in totals:
        return totals[name]
    children = module.named_children()
    return sum(_flops(child, f"{name}.{part}", totals) for part, child in children)


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
