"""Weights are loaded if every tensor fits: name, shape, kind of number and range."""

import re

import pytest
import torch
from torch import Tensor, nn

from models.base.weights import load_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def weights(**changes: Tensor) -> dict[str, Tensor]:
    """Return the weights of the network with other tensors for its linear layer."""
    tensors = {name: torch.ones_like(tensor) for name, tensor in network().state_dict().items()}
    return tensors | {f"0.{name}": tensor for name, tensor in changes.items()}


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(3, dtype=torch.int32), "1 of another kind (0.bias torch.int32, expected torch"),
        (torch.ones(3, dtype=torch.bool), "1 of another kind (0.bias torch.bool, expected torch"),
        (torch.ones(3, dtype=torch.complex64), "1 of another kind (0.bias torch.complex64"),
        (torch.tensor([1.0, 2, torch.nan]), "1 with non-finite values (0.bias)"),
        (torch.ones(4), "1 of another shape (0.bias (4,), expected (3,))"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(tensor: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_weights(network(), weights(bias=tensor), "f.pth")


def test_a_number_beyond_float32_is_refused_before_it_becomes_infinite() -> None:
    large = torch.full((3,), 1e300, dtype=torch.float64)
    assert bool(large.isfinite().all())
    with pytest.raises(ValueError, match=r"f\.pth: .* 1 with non-finite values \(0\.bias\)"):
        load_weights(network(), weights(bias=large), "f.pth")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_cast(dtype: torch.dtype) -> None:
    loaded = network()
    load_weights(loaded, weights(bias=torch.full((3,), 0.5, dtype=dtype)), "f.pth")
    assert loaded.state_dict()["0.bias"].tolist() == [0.5] * 3
    assert loaded.state_dict()["0.bias"].dtype == torch.float32
