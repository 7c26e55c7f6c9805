"""The controls on heatmaps: what they look at, learning, what they refuse."""

import re
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from models.heads.fuse.network import Fuse
from models.heads.mean.network import Mean
from models.heads.refine.network import Refine
from models.heads.warp.network import Warp

CONTROLS: dict[str, type[nn.Module]] = {"refine": Refine, "fuse": Fuse, "warp": Warp}
each_control = pytest.mark.parametrize("name", CONTROLS)


def control(name: str) -> nn.Module:
    torch.manual_seed(0)
    frames = {} if name == "refine" else {"frames": 3}
    return CONTROLS[name](joints=4, channels=8, blocks=2, **frames)


def run(name: str, network: nn.Module, heatmaps: Tensor) -> Tensor:
    """Return the heatmaps of a control; people move by half a cell to the right per frame."""
    batch, frames, _, *size = heatmaps.shape
    flow = torch.tensor([0.5, 0.0]).view(1, 1, 2, 1, 1).expand(batch, frames - 1, 2, *size)
    out: Tensor = network(heatmaps, flow) if name == "warp" else network(heatmaps)
    return out


@each_control
@pytest.mark.parametrize("shape", [(1, 3, 4, 7, 5), (2, 3, 4, 8, 6)])
def test_heatmaps_keep_their_size(name: str, shape: tuple[int, ...]) -> None:
    heatmaps = run(name, control(name), torch.rand(shape))
    assert heatmaps.shape == (shape[0], *shape[2:])
    assert heatmaps.isfinite().all()


def test_fuse_looks_at_neighbors_and_refine_does_not() -> None:
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


def test_mean_is_the_sum_of_all_frames_over_their_number() -> None:
    heatmaps = torch.rand(2, 5, 4, 8, 6)
    expected = sum(heatmaps[:, frame] for frame in range(5)) / 5
    torch.testing.assert_close(Mean()(heatmaps), expected)
    assert not list(Mean().parameters())


def test_warp_without_motion_is_fuse() -> None:
    fuse, warp = control("fuse").eval(), control("warp").eval()
    warp.get_submodule("stacked").load_state_dict(fuse.state_dict())
    heatmaps = torch.rand(2, 3, 4, 8, 6)
    still = torch.zeros(2, 2, 2, 8, 6)
    torch.testing.assert_close(warp(heatmaps, still), fuse(heatmaps))
    assert not torch.allclose(warp(heatmaps, still + 1), fuse(heatmaps))


def test_the_layers_of_warp_see_a_moving_peak_in_its_cell_of_the_key_frame() -> None:
    """One cell per frame is lit; it moves by another whole step between each pair of frames."""
    warp = Warp(joints=1, frames=5, channels=8, blocks=1)
    seen: list[Tensor] = []
    warp.stacked.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    steps = [(2, -1), (-1, 3), (1, 1), (-3, 2)]
    places = [(4, 3)]
    for dx, dy in steps:
        places.append((places[-1][0] + dx, places[-1][1] + dy))
    heatmaps = torch.zeros(1, 5, 1, 12, 9)
    for frame, (x, y) in enumerate(places):
        heatmaps[0, frame, 0, y, x] = 1
    flow = torch.tensor(steps).float().view(1, 4, 2, 1, 1).expand(1, 4, 2, 12, 9)

    warp(heatmaps, flow)

    key_x, key_y = places[2]
    expected = torch.zeros(12, 9)
    expected[key_y, key_x] = 1
    for frame in range(5):
        torch.testing.assert_close(seen[0][0, frame, 0], expected, atol=1e-5, rtol=0)


@each_control
def test_order_of_the_batch_does_not_matter(name: str) -> None:
    network = control(name).eval()
    heatmaps = torch.rand(3, 3, 4, 8, 6)
    there = partial(run, name, network)
    torch.testing.assert_close(there(heatmaps).flip(0), there(heatmaps.flip(0)))


@each_control
def test_one_batch_can_be_overfitted_and_every_parameter_learns(name: str) -> None:
    network = control(name)
    heatmaps, target = torch.rand(2, 3, 4, 8, 6), torch.rand(2, 4, 8, 6)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(80):
        loss = (run(name, network, heatmaps) - target).square().mean()
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
    with pytest.raises(ValueError, match=re.escape("flow of shape (2, 2, 2, 8, 6)")):
        control("warp")(torch.rand(2, 3, 4, 8, 6), torch.rand(2, 1, 2, 8, 6))
    with pytest.raises(ValueError, match="blocks=0"):
        Refine(joints=4, channels=8, blocks=0)
