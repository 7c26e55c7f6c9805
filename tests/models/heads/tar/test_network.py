"""TAR-ViTPose: layers against loops, token orders on an index map, masks, gradients, learning."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.heads.tar.joint_queries import (
    JointQueries,
    blocked_tokens,
    free_blocked_rows,
)
from models.heads.tar.network import TAR
from models.heads.tar.objective import TARObjective
from models.heads.tar.token_order import TokenOrder, order_masks, order_tokens, restore_map
from tests.models.learning import learn_one_batch
from tests.models.oracle_tar import attention_sum, feed_forward_sum

K, T, GRID, D = 3, 3, (4, 3), 8
N = GRID[0] * GRID[1]


def tar(**changes: object) -> TAR:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "joints": K, "frames": T, "grid": GRID, "embed_dim": D, "layers": 2, "heads": 2,
        "mlp_ratio": 2, "threshold": 0.2, "token_order": "paper", "decoder_channels": [8, 8],
        "decoder_kernels": [2, 2], "transformer_rate": 0.5,
    }  # fmt: skip
    return TAR(**arguments | changes)


def clips(batch: int = 2) -> Tensor:
    return torch.randn(batch, T, N, D, generator=torch.Generator().manual_seed(1))


def stirred(network: nn.Module) -> nn.Module:
    """Replace initial zeros and statistics, so that every part takes part."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def places() -> Tensor:
    """Tokens of one frame whose entries name their place: place + channel / 100."""
    return (torch.arange(N)[:, None] + torch.arange(D) / 100)[None, None]


def test_a_token_of_the_paper_holds_all_channels_of_its_place() -> None:
    tokens = order_tokens(places(), "paper")[0, 0]
    for place in range(N):
        assert {int(value) for value in tokens[place]} == {place}


def test_a_released_token_holds_many_places_of_one_or_two_channels() -> None:
    tokens = order_tokens(places(), "released")[0, 0]
    for token in range(N):
        held = [divmod(round(float(value) * 100), 100) for value in tokens[token]]
        flat = [token * D + entry for entry in range(D)]
        assert held == [(index % N, index // N) for index in flat]
    own = sum(int(value) == token for token in range(N) for value in tokens[token])
    assert own / (N * D) < 0.2


def test_of_a_released_token_at_the_papers_size_a_432nd_part_belongs_to_its_place() -> None:
    places_of = torch.arange(432.0)[None, None, :, None].expand(1, 1, 432, 1280)
    tokens = order_tokens(places_of, "released")[0, 0]
    own = (tokens == torch.arange(432.0)[:, None]).float().mean()
    assert float(own) == pytest.approx(0.0023, abs=5e-5)  # 0.23 %, field_2026.md section 1


@pytest.mark.parametrize("order", ["paper", "released"])
def test_ordered_tokens_give_the_map_back(order: TokenOrder) -> None:
    tokens = clips()
    found = restore_map(order_tokens(tokens, order)[:, 1], GRID, order)
    expected = tokens[:, 1].transpose(1, 2).unflatten(2, GRID)
    assert torch.equal(found, expected)


def test_masks_stay_with_their_joint_and_frame_only_in_the_order_of_the_paper() -> None:
    masks = torch.stack([torch.full((5, N), 10.0 * frame) for frame in range(T)])
    masks = (masks + torch.arange(5.0)[None, :, None])[None]  # 10 * frame + joint
    paper, released = (order_masks(masks, order)[0] for order in ("paper", "released"))  # type: ignore[arg-type]  # literals
    for joint in range(5):
        assert paper[joint].unflatten(0, (T, N))[:, 0].tolist() == [joint, 10 + joint, 20 + joint]
    assert released[0].unflatten(0, (T, N))[:, 0].tolist() == [0, 1, 2]


def test_the_queries_are_layers_written_out() -> None:
    torch.manual_seed(0)
    module = stirred(JointQueries(joints=K, layers=2, width=D, heads=2, mlp_ratio=2))
    tokens = torch.randn(2, 7, D)
    blocked = free_blocked_rows(torch.rand(2, K, 7) < 0.5)
    found = module(tokens, blocked)
    for clip in range(2):
        queries = (module.feature + module.position).detach()
        for layer in module.layers:
            read = attention_sum(layer.cross, queries, tokens[clip], blocked[clip])
            nothing = torch.zeros(K, K, dtype=torch.bool)
            own = attention_sum(layer.own, torch.tensor(read), torch.tensor(read), nothing)
            queries = torch.tensor(feed_forward_sum(layer.feed, own))
        torch.testing.assert_close(found[clip], queries, atol=1e-4, rtol=1e-4)


def test_restoration_is_attention_of_the_key_frame_to_the_queries() -> None:
    head = stirred(tar())
    assert head.queries is not None
    assert head.restore is not None
    tokens = clips(1)
    queries = head.queries(tokens.flatten(1, 2), head.blocked(tokens))
    nothing = torch.zeros(N, K, dtype=torch.bool)
    restored = torch.tensor(attention_sum(head.restore, tokens[0, 1], queries[0], nothing))
    expected = head.decoder(restored.T.unflatten(1, GRID)[None])
    torch.testing.assert_close(head(tokens), expected, atol=1e-4, rtol=1e-4)


def test_masks_are_scaled_resized_heatmaps_below_the_threshold() -> None:
    torch.manual_seed(0)
    heatmaps = 3 * torch.randn(1, 2, K, 16, 12) - 5
    found = blocked_tokens(heatmaps, GRID, 0.6)
    for frame in range(2):
        for joint in range(K):
            plane = heatmaps[0, frame, joint]
            low, high = float(plane.min()), float(plane.max())
            for row in range(GRID[0]):
                for column in range(GRID[1]):
                    # The center of a token of 4 x 4 cells is the corner of its 4 middle cells.
                    middle = plane[4 * row + 1 : 4 * row + 3, 4 * column + 1 : 4 * column + 3]
                    scaled = (float(middle.mean()) - low) / (high - low)
                    place = row * GRID[1] + column
                    assert bool(found[0, frame, joint, place]) == (scaled < 0.6)


def test_a_blocked_token_changes_no_query_and_others_do() -> None:
    torch.manual_seed(0)
    module = stirred(JointQueries(joints=K, layers=2, width=D, heads=2, mlp_ratio=2))
    tokens = torch.randn(1, 7, D)
    blocked = torch.zeros(1, K, 7, dtype=torch.bool)
    blocked[:, :, 2] = True
    changed = tokens.clone()
    changed[:, 2] += 1
    assert torch.equal(module(tokens, blocked), module(changed, blocked))
    assert not torch.allclose(module(tokens, None), module(changed, None))


@pytest.mark.parametrize("threshold", [0.2, 2.0])
def test_a_clip_whose_mask_blocks_every_token_stays_finite(threshold: float) -> None:
    head = tar(threshold=threshold)
    with torch.no_grad():
        head.decoder.heatmaps.weight.zero_()  # constant heatmaps: every token is blocked
    raw = torch.ones(1, K, T * N, dtype=torch.bool)
    assert not free_blocked_rows(raw).any()
    tokens = clips()
    assert not head.blocked(tokens).any()
    out = head(tokens)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in head.parameters())


def test_rows_that_are_not_blocked_completely_keep_their_mask() -> None:
    blocked = torch.tensor([[True, True, True], [True, False, True]])
    assert free_blocked_rows(blocked).tolist() == [[False] * 3, [True, False, True]]


def test_masks_leave_the_statistics_of_the_decoder_and_its_mode_unchanged() -> None:
    head = tar().train()
    before = {name: value.clone() for name, value in head.decoder.named_buffers()}
    assert not head.blocked(clips()).requires_grad
    assert head.decoder.training
    for name, value in head.decoder.named_buffers():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("order", ["paper", "released"])
def test_the_head_starts_as_its_decoder_on_normalized_tokens_of_the_key_frame(order: str) -> None:
    head = tar(token_order=order).eval()
    tokens = clips()
    assert head.restore is not None
    ordered = head.restore.norm(order_tokens(tokens, head.token_order)[:, 1])
    expected = head.decoder(restore_map(ordered, GRID, head.token_order))
    torch.testing.assert_close(head(tokens), expected)


@pytest.mark.parametrize("frame", range(T))
@pytest.mark.parametrize(
    "changes", [{}, {"aggregation": "self_attention"}, {"token_order": "released"}]
)
def test_every_frame_is_read(frame: int, changes: dict[str, Any]) -> None:
    head = stirred(tar(**changes, mask=False))
    tokens = clips()
    changed = tokens.clone()
    changed[:, frame] += 1
    assert not torch.allclose(head(tokens), head(changed))


def test_the_order_of_clips_does_not_matter() -> None:
    head = stirred(tar())
    torch.testing.assert_close(head(clips(3)).flip(0), head(clips(3).flip(0)))


def test_without_restoration_a_heatmap_is_the_product_of_query_and_tokens() -> None:
    head = stirred(tar(restoration=False, mask=False))
    assert head.queries is not None
    tokens = clips()
    queries = head.queries(tokens.flatten(1, 2), None)
    products = torch.einsum("bkd,bnd->bkn", queries, tokens[:, 1]) / math.sqrt(D)
    expected = nn.functional.interpolate(
        products.unflatten(2, GRID), scale_factor=4, mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(head(tokens), expected)


def test_the_loss_is_that_of_the_head_and_of_its_decoder_on_the_key_frame() -> None:
    head = stirred(tar())
    tokens, target, weights = clips(), torch.rand(2, K, 16, 12), torch.ones(2, K)
    batch = {"tokens": tokens, "target": target, "weights": weights}
    found = TARObjective(head=head, decoder_loss=0.5)(batch)
    alone = head.decoder(tokens[:, 1].transpose(1, 2).unflatten(2, GRID))
    torch.testing.assert_close(found["heatmap"], (head(tokens) - target).square().mean())
    torch.testing.assert_close(found["decoder"], 0.5 * (alone - target).square().mean())
    assert TARObjective(head=head, decoder_loss=0)(batch).keys() == {"heatmap"}


@pytest.mark.parametrize("order", ["paper", "released"])
def test_one_batch_can_be_learned_and_every_parameter_gets_a_gradient(order: str) -> None:
    objective = TARObjective(head=tar(token_order=order), decoder_loss=1.0)
    generator = torch.Generator().manual_seed(3)
    batch = {
        "tokens": clips(), "target": torch.rand(2, K, 16, 12, generator=generator),
        "weights": torch.ones(2, K),
    }  # fmt: skip
    losses, reached = learn_one_batch(objective, lambda: objective(batch), steps=80)
    assert losses[-1] < 0.3 * losses[0]
    assert reached == dict(objective.named_parameters()).keys()


def test_parameters_are_grouped_once_and_the_decoder_learns_at_the_full_rate() -> None:
    head = tar()
    (full, decoder), (slow, others) = head.parameter_groups()
    assert (full, slow) == (1.0, 0.5)
    assert {id(p) for p in decoder} == {id(p) for p in head.decoder.parameters()}
    assert len(decoder) + len(others) == len(list(head.parameters()))
    assert head.parts().keys() == {"queries"}


def test_other_inputs_and_choices_are_refused() -> None:
    unknown_order = {"token_order": "public"}
    with pytest.raises(ValueError, match=re.escape("got (2, 3, 11, 8)")):
        tar()(clips()[:, :, :11])
    with pytest.raises(ValueError, match="odd number of frames, got 4"):
        tar(frames=4)
    with pytest.raises(ValueError, match="token_order among paper, released, got 'public'"):
        tar(**unknown_order)
    with pytest.raises(ValueError, match="aggregation among queries, self_attention, got 'mean'"):
        tar(aggregation="mean")
