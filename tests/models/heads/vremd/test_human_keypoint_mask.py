"""HKME: both masks against Eqs. 1 and 2 by loops, and that they matter; the token reduction."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.head_parts.attention import MultiHeadAttention
from models.heads.vremd.human_keypoint_mask import (
    HumanKeypointMaskEnhancement,
    HumanMask,
    KeypointMask,
    SpatioTemporalAggregation,
    TokenReduction,
    human_mask,
    keypoint_mask,
)
from models.heads.vremd.transformer import post_norm_blocks
from tests.models.oracle_vremd import human_masked
from tests.models.oracle_vremd import keypoint_mask as literal_keypoint_mask

SMALL: dict[str, Any] = {"width": 16, "frames": 3, "heads": 2, "mlp_ratio": 2}


def enhancement(**changes: object) -> HumanKeypointMaskEnhancement:
    torch.manual_seed(0)
    depths = {f"{name}_depth": 2 for name in ("human", "keypoint", "spatial", "temporal")}
    switches = {"human_mask": True, "keypoint_mask": True}
    sizes: dict[str, Any] = {
        **SMALL,
        "grid": (4, 3),
        "joints": 5,
        "position_scale": 0.5,
        **depths,
        **switches,
        **changes,
    }
    return HumanKeypointMaskEnhancement(**sizes)


def features(clips: int = 2) -> Tensor:
    return torch.randn(clips, 3, 12, 16)


class Recorder(nn.Module):
    """Stands in for transformer blocks and keeps what they returned."""

    def __init__(self, blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, tokens: Tensor) -> Tensor:
        self.seen, self.returned = tokens, self.blocks(tokens)
        return self.returned


def test_the_human_mask_is_equation_1() -> None:
    torch.manual_seed(0)
    module = HumanMask(depth=2, enabled=True, **SMALL).double()
    module.blocks = Recorder(module.blocks)
    clips = features().double()
    coarse = module(clips)
    # Sequences are frames of clips in turn, the human token first.
    for sequence, tokens in enumerate(module.blocks.returned.tolist()):
        expected = human_masked(visual=tokens[1:], human=tokens[0])
        found = coarse[sequence // 3, sequence % 3]
        assert torch.allclose(found, torch.tensor(expected).double(), atol=1e-6)
        assert torch.equal(module.blocks.seen[sequence, 0], module.human[sequence % 3, 0])
        assert torch.equal(module.blocks.seen[sequence, 1:], clips[sequence // 3, sequence % 3])


def test_the_keypoint_mask_is_equation_2() -> None:
    torch.manual_seed(0)
    module = KeypointMask(depth=2, joints=5, enabled=True, **SMALL).double()
    module.blocks = Recorder(module.blocks)
    clips = features().double()
    refined, keypoints = module(clips)
    for clip, tokens in enumerate(module.blocks.returned.tolist()):
        joints, visual = tokens[:15], tokens[15:]
        mask = literal_keypoint_mask(visual, joints)
        expected = torch.tensor(visual).double() * torch.tensor(mask).double()[:, None]
        assert torch.allclose(refined[clip].flatten(0, 1), expected, atol=1e-6)
        assert torch.allclose(keypoints[clip].flatten(0, 1), torch.tensor(joints).double())
        assert torch.equal(module.blocks.seen[clip, :15], module.keypoints.flatten(0, 1))
        assert torch.equal(module.blocks.seen[clip, 15:], clips[clip].flatten(0, 1))


def test_the_human_mask_lies_between_0_and_1_and_is_half_for_an_indifferent_token() -> None:
    mask = human_mask(10 * torch.randn(2, 7, 8), torch.randn(2, 1, 8))
    assert mask.shape == (2, 7, 1)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert torch.equal(
        human_mask(torch.randn(1, 7, 8), torch.zeros(1, 1, 8)), torch.full((1, 7, 1), 0.5)
    )


def test_the_softmax_of_the_keypoint_mask_runs_over_tokens_not_joints() -> None:
    """Over joints, the sum over joints would be the same for every token."""
    torch.manual_seed(0)
    mask = keypoint_mask(torch.randn(4, 36, 16), torch.randn(4, 15, 16))
    assert mask.shape == (4, 36, 1)
    assert torch.allclose(mask.mean(dim=1), torch.ones(4, 1), atol=1e-5)
    assert mask.std(dim=1).min() > 0.05


def test_a_token_that_the_joints_look_for_is_raised() -> None:
    visual = torch.randn(1, 36, 16)
    mask = keypoint_mask(visual, 3 * visual[:, 7:8].expand(-1, 15, -1))
    assert mask[0, :, 0].argmax() == 7
    assert mask[0, 7] > 5


@pytest.mark.parametrize("missing", ["human_mask", "keypoint_mask"])
def test_a_mask_replaced_by_1_moves_the_output_by_more_than_5_percent(missing: str) -> None:
    """The blocks behind must not normalize the mask away."""
    clips = features()
    whole, without = enhancement(), enhancement(**{missing: False})
    assert whole.state_dict().keys() == without.state_dict().keys()
    with_mask, with_ones = whole(clips)[0], without(clips)[0]
    assert (with_mask - with_ones).norm() > 0.05 * with_mask.norm()


def test_tokens_stay_where_masks_are_missing() -> None:
    """Table 5 (a): the human and joint tokens still take part in attention."""
    network = enhancement(human_mask=False, keypoint_mask=False)
    clips = features()
    before = network(clips)[0]
    for tokens in (network.human_mask.human, network.keypoint_mask.keypoints):
        nn.init.normal_(tokens)
        after = network(clips)[0]
        assert (after - before).abs().max() > 1e-3
        before = after


def test_every_frame_has_tokens_of_its_own() -> None:
    network = enhancement()
    assert network.human_mask.human.shape == (3, 1, 16)
    assert network.keypoint_mask.keypoints.shape == (3, 5, 16)
    for tokens in (network.human_mask.human, network.keypoint_mask.keypoints):
        assert not torch.equal(tokens[0], tokens[1])


def test_the_joint_tokens_are_those_of_the_key_frame() -> None:
    network = enhancement()
    clips = features()
    placed = clips + network.frame_embedding + network.position_embedding
    coarse = network.human_mask(placed)
    assert torch.equal(network(clips)[1], network.keypoint_mask(coarse)[1][:, 1])


def test_frames_are_told_apart() -> None:
    network = enhancement()
    clips = features()
    swapped = clips[:, [2, 1, 0]]
    assert not torch.allclose(network(clips)[0], network(swapped)[0], atol=1e-4)


def test_the_token_reduction_starts_as_the_mean_over_frames() -> None:
    clips = 3 * torch.randn(2, 3, 12, 16)
    reduction = TokenReduction(frames=3, tokens=12)
    assert torch.allclose(reduction(clips), clips.mean(dim=1), atol=1e-5)


def test_the_token_reduction_is_an_mlp_along_tokens() -> None:
    """Each channel alone, tokens of the first frame before those of the second."""
    torch.manual_seed(0)
    reduction = TokenReduction(frames=3, tokens=4)
    for parameter in reduction.parameters():
        nn.init.normal_(parameter)
    clips = torch.randn(1, 3, 4, 2)
    for channel in range(2):
        line = torch.stack([clips[0, t, n, channel] for t in range(3) for n in range(4)])
        hidden = nn.functional.gelu(reduction.hidden.weight @ line + reduction.hidden.bias)
        expected = reduction.out.weight @ hidden + reduction.out.bias
        assert torch.allclose(reduction(clips)[0, :, channel], expected, atol=1e-5)


def test_spatial_blocks_stay_within_a_frame_and_temporal_blocks_at_a_place() -> None:
    torch.manual_seed(0)
    module = SpatioTemporalAggregation(tokens=12, spatial_depth=1, temporal_depth=1, **SMALL)
    module.spatial, module.temporal = Recorder(module.spatial), Recorder(module.temporal)
    clips = features()
    module(clips)
    assert torch.equal(module.spatial.seen, clips.reshape(6, 12, 16))
    frames = module.spatial.returned.reshape(2, 3, 12, 16)
    for clip in range(2):
        for place in range(12):
            sequence = module.temporal.seen[clip * 12 + place]
            assert torch.equal(sequence, frames[clip, :, place])


def test_the_aggregate_keeps_places() -> None:
    """A change at one place of the temporal result ends at that place: the MLP starts aligned."""
    torch.manual_seed(0)
    module = SpatioTemporalAggregation(tokens=12, spatial_depth=1, temporal_depth=1, **SMALL)
    module.spatial = nn.Identity()
    clips = features(1)
    changed = clips.clone()
    changed[:, 2, 7] += 1
    moved = (module(changed) - module(clips)).abs().amax(dim=-1)[0] > 1e-4
    assert moved.nonzero().flatten().tolist() == [7]


def test_joint_tokens_start_with_attention_that_is_far_from_a_mean() -> None:
    torch.manual_seed(0)
    sizes = {"width": 64, "heads": 4, "mlp_ratio": 2}
    plain = post_norm_blocks(1, **sizes)[0].attention
    started = KeypointMask(frames=3, joints=15, depth=1, enabled=True, **sizes).blocks[0].attention

    def largest_share(attention: MultiHeadAttention) -> float:
        tokens = torch.randn(8, 48, 64, generator=torch.Generator().manual_seed(0))
        query, (key, _) = attention.query(tokens), attention.key_value(tokens).chunk(2, dim=-1)
        split = [torch.unflatten(each, -1, (4, 16)).transpose(1, 2) for each in (query, key)]
        scores = split[0] @ split[1].transpose(-1, -2) / 16**0.5
        return scores.softmax(dim=-1).amax(dim=-1).mean().item()

    assert largest_share(plain) < 3 / 48
    assert largest_share(started) > 6 / 48
