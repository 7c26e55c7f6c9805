"""Frozen networks of the extraction stages: evaluation mode, no training, independent clips."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from models.hrnet.clips import build_clip_maps
from models.hrnet.network import build_hrnet
from models.raft.clips import build_clip_flow
from models.raft.network import build_raft
from models.vit.clips import build_clip_tokens
from models.vit.network import build_vit

SIZE = (64, 32)


def maps() -> nn.Module:
    weights = build_hrnet("tiny", 15).state_dict()
    return build_clip_maps(weights, "w", SIZE, variant="tiny", joints=15, features=False)


def flow() -> nn.Module:
    weights = build_raft("raft_small", 2).state_dict()
    return build_clip_flow(weights, "w", SIZE, variant="raft_small", updates=2, scale=1.0)


def tokens() -> nn.Module:
    weights = build_vit("tiny", SIZE).state_dict()
    return build_clip_tokens(weights, "w", SIZE, variant="tiny")


@pytest.mark.parametrize("build", [maps, flow, tokens])
def test_a_frozen_network_stays_unchanged_and_processes_clips_independently(
    build: Callable[[], nn.Module],
) -> None:
    torch.manual_seed(0)
    network = build()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    crops = torch.randint(0, 256, (3, 3, *SIZE, 3), dtype=torch.uint8)
    together = network(crops)
    for (
        name,
        value,
    ) in network.state_dict().items():  # including normalization statistics
        assert torch.equal(value, before[name]), name
    # In training mode, batch normalization would use the statistics of the batch and mix clips.
    separate = torch.cat([network(crops[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, separate, rtol=1e-3, atol=1e-3)
