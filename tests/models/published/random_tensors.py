"""Random weights, and a check that a forward pass depends on every tensor."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def fill_randomly(network: nn.Module, seed: int, dtype: torch.dtype = torch.float64) -> Weights:
    """Fill all parameters and buffers of a network with random values and return them by name.

    With float64, rounding does not hide a difference.
    """
    generator = torch.Generator().manual_seed(seed)
    network.to(dtype)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1, generator=generator)
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def unused_tensors(
    forward: Callable[[Weights], Tensor], tensors: Mapping[str, Tensor]
) -> list[str]:
    """Return the names of floating-point tensors that a forward pass does not depend on."""
    inputs = {
        name: tensor.clone().requires_grad_() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    # Random weights, so that no symmetry hides a tensor.
    out = forward(inputs)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
    (out * weights).sum().backward()
    return [
        name
        for name, tensor in inputs.items()
        if tensor.is_floating_point() and (tensor.grad is None or not tensor.grad.any())
    ]
