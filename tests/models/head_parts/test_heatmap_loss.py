"""The heatmap loss against the literal sum, and what it refuses."""

import re

import pytest
import torch

from models.head_parts.heatmap_loss import heatmap_loss
from tests.models.oracle_jmpose import heatmap_loss as literal_heatmap_loss


def test_the_loss_is_the_literal_sum() -> None:
    torch.manual_seed(0)
    prediction, target = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    weights = torch.tensor([[1.0, 0.0, 0.5], [1.0, 1.0, 0.0]])
    expected = literal_heatmap_loss(prediction.tolist(), target.tolist(), weights.tolist())
    assert heatmap_loss(prediction, target, weights).item() == pytest.approx(expected, rel=1e-6)


def test_an_all_zero_prediction_costs_what_methods_measured() -> None:
    # One visible joint of one, sigma 3 cells, 96x72 cells: the scale that alpha was chosen by.
    rows, columns = torch.meshgrid(torch.arange(96.0), torch.arange(72.0), indexing="ij")
    target = torch.exp(-((rows - 48) ** 2 + (columns - 36) ** 2) / (2 * 3.0**2))[None, None]
    loss = heatmap_loss(torch.zeros_like(target), target, torch.ones(1, 1))
    assert loss.item() == pytest.approx(0.00409, abs=1e-5)


def test_a_joint_without_label_gets_no_gradient() -> None:
    prediction = torch.rand(1, 2, 4, 4, requires_grad=True)
    heatmap_loss(prediction, torch.zeros(1, 2, 4, 4), torch.tensor([[1.0, 0.0]])).backward()
    assert prediction.grad is not None
    assert prediction.grad[:, 0].all()
    assert not prediction.grad[:, 1].any()


def test_other_shapes_are_refused() -> None:
    maps = torch.zeros(2, 3, 4, 5)
    with pytest.raises(ValueError, match=re.escape("(2, 3, 4, 5) predicted and (2, 3, 4, 4)")):
        heatmap_loss(maps, maps[..., :4], torch.ones(2, 3))
    with pytest.raises(ValueError, match=re.escape("(2, 3), got (2, 3, 1)")):
        heatmap_loss(maps, maps, torch.ones(2, 3, 1))
