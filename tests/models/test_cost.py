"""Costs of networks: counted by hand for small layers, compared with the paper for HRNet."""

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from models.cost import module_costs
from models.hrnet.network import build_hrnet


class ThreeLayers(nn.Module):
    """A convolution, a deformable convolution, and a block whose own forward is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.deformable = DeformConv2d(8, 4, 3, padding=1, bias=False)
        self.block = nn.Sequential(nn.Conv2d(4, 2, 1, bias=False), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        x = self.plain(images)
        x = self.deformable(x, torch.zeros(len(x), 18, *x.shape[2:], device=x.device))
        out: Tensor = self.block[0](x)
        return out


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_costs_equal_a_count_by_hand(device: str) -> None:
    with torch.device(device):
        parts = module_costs(ThreeLayers(), {"images": torch.zeros(2, 3, 10, 6)})

    pixels = 2 * 10 * 6
    expected = [3 * 8 * 9, 8 * 4 * 9, 4 * 2]
    assert [part.name for part in parts] == ["plain", "deformable", "block", "all"]
    assert [part.parameters for part in parts] == [*expected, sum(expected)]
    assert [part.flops for part in parts] == [2 * pixels * n for n in [*expected, sum(expected)]]


def test_the_cost_of_hrnet_w48_is_close_to_the_paper() -> None:
    with torch.device("meta"):
        *_, total = module_costs(build_hrnet("w48", 17), {"images": torch.empty(1, 3, 256, 192)})

    # Sun et al. 2019, Table 1: 63.6 M parameters and 14.6 G multiply-adds.
    assert round(total.parameters / 1e6, 1) == 63.6
    assert total.flops / 2e9 == pytest.approx(14.6, rel=0.1)
