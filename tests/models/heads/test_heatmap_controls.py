"""The controls on heatmaps: what they look at, learning, what they refuse."""

import re

import pytest
import torch
from torch import nn

from models.heads.fuse.network import Fuse
from models.heads.refine.network import Refine

CONTROLS: dict[str, type[nn.Module]] = {"refine": Refine, "fuse": Fuse}
each_control = pytest.mark.parametrize("name", CONTROLS)


def control(name: str) -> nn.Module:
    torch.manual_seed(0)
    frames = {"frames": 3} if name == "fuse" else {}
    return CONTROLS[name](joints=4, channels=8, blocks=2, **frames)


@each_control
@pytest.mark.parametrize("shape", [(1, 3, 4, 7, 5), (2, 3, 4, 8, 6)])
def test_heatmaps_keep_their_size(name: str, shape: tuple[int, ...]) -> None:
    heatmaps = control(name)(torch.rand(shape))
    assert heatmaps.shape == (shape[0], *shape[2:])
    assert heatmaps.isfinite().all()


def test_only_fuse_looks_at_neighbors() -> None:
    heatmaps = torch.rand(2, 3, 4, 8, 6)
    others = heatmaps.clone()
    others[:, 0] = 0
    refine, fuse = control("refine").eval(), control("fuse").eval()
    assert torch.equal(refine(heatmaps), refine(others))
    assert not torch.allclose(fuse(heatmaps), fuse(others))
    others[:, 1] = 0
    assert not torch.allclose(refine(heatmaps), refine(others))


def test_refine_looks_at_the_middle_of_any_odd_number_of_frames() -> None:
    refine = control("refine").eval()
    heatmaps = torch.rand(2, 5, 4, 8, 6)
    assert torch.equal(refine(heatmaps), refine(heatmaps[:, 2:3]))


@each_control
def test_order_of_the_batch_does_not_matter(name: str) -> None:
    network = control(name).eval()
    heatmaps = torch.rand(3, 3, 4, 8, 6)
    torch.testing.assert_close(network(heatmaps).flip(0), network(heatmaps.flip(0)))


@each_control
def test_one_batch_can_be_overfitted_and_every_parameter_learns(name: str) -> None:
    network = control(name)
    heatmaps, target = torch.rand(2, 3, 4, 8, 6), torch.rand(2, 4, 8, 6)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(80):
        loss = (network(heatmaps) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("T odd, got (2, 2, 4, 8, 6)")):
        control("refine")(torch.rand(2, 2, 4, 8, 6))
    with pytest.raises(ValueError, match=re.escape("(B, T, 4, H, W) with T odd, got (3, 4, 8, 6)")):
        control("refine")(torch.rand(3, 4, 8, 6))
    with pytest.raises(ValueError, match=re.escape("(B, 3, 4, H, W), got (2, 5, 4, 8, 6)")):
        control("fuse")(torch.rand(2, 5, 4, 8, 6))
    with pytest.raises(ValueError, match="blocks=0"):
        Refine(joints=4, channels=8, blocks=0)
