"""Modulated deformable convolution: the literal sum, torchvision's operator, its special cases."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import deform_conv2d

from models.head_parts.deform import modulated_deform_conv
from tests.models.oracle_jmpose import modulated_deformable_convolution

Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def inputs(groups: int, height: int, width: int, spread: float = 1.5) -> Inputs:
    torch.manual_seed(0)
    x = torch.randn(2, 4, height, width)
    offsets = spread * torch.randn(2, 18 * groups, height, width)
    masks = torch.rand(2, 9 * groups, height, width)
    return x, offsets, masks, torch.randn(3, 4, 3, 3)


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_convolution_is_the_literal_sum(groups: int, dilation: int) -> None:
    x, offsets, masks, weight = inputs(groups, 5, 4)
    out = modulated_deform_conv(x, offsets, masks, weight, dilation=dilation)
    for clip in range(2):
        expected = modulated_deformable_convolution(
            x[clip].tolist(),
            offsets[clip].tolist(),
            masks[clip].tolist(),
            weight.tolist(),
            dilation,
        )
        torch.testing.assert_close(out[clip], torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5), (1, 6), (5, 1)])
def test_values_and_gradients_are_those_of_torchvision(height: int, width: int) -> None:
    tensors = [tensor.double().requires_grad_() for tensor in inputs(2, height, width)]
    x, offsets, masks, weight = tensors
    ours = modulated_deform_conv(x, offsets, masks, weight, dilation=2)
    theirs = deform_conv2d(x, offsets, weight, padding=2, dilation=2, mask=masks)
    torch.testing.assert_close(ours, theirs)
    got = torch.autograd.grad(ours.square().sum(), tensors)
    expected = torch.autograd.grad(theirs.square().sum(), tensors)
    torch.testing.assert_close(got, expected)


def test_without_offsets_and_with_masks_of_one_it_is_a_convolution() -> None:
    x, offsets, masks, weight = inputs(2, 7, 5)
    out = modulated_deform_conv(
        x, torch.zeros_like(offsets), torch.ones_like(masks), weight, dilation=2
    )
    torch.testing.assert_close(out, F.conv2d(x, weight, padding=2, dilation=2))


def test_a_shift_of_all_taps_shifts_the_map() -> None:
    x, offsets, masks, weight = inputs(1, 9, 8)
    down_and_left = torch.tensor([1.0, -2.0]).repeat(9)[None, :, None, None]
    masks = torch.ones_like(masks)
    moved = modulated_deform_conv(x, down_and_left.expand_as(offsets), masks, weight, dilation=1)
    still = F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(moved[:, :, 1:-2, 3:-1], still[:, :, 2:-1, 1:-3])
