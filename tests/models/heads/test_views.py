"""What is shown of a head is what it computes with: rebuilt from it, its features come out."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.head_parts.token_layout import to_map
from models.heads.jmpose.interaction import CrossAttention
from models.heads.jmpose.view import look_into_jmpose
from models.heads.vremd.deformable_attention import sample_bilinear
from models.heads.vremd.view import look_into_vremd
from tests.models.heads.jmpose.test_network import clips, jmpose, stirred
from tests.models.heads.vremd.test_network import clips as tokens_of_clips
from tests.models.heads.vremd.test_network import vremd


def inputs() -> dict[str, Tensor]:
    return {name: value for name, value in clips().items() if name != "features"}


def results_of(module: nn.Module) -> list[Any]:
    found: list[Any] = []
    module.register_forward_hook(
        lambda _module, arguments, result: found.append((arguments, result))
    )
    return found


def test_looking_changes_nothing() -> None:
    head, batch = stirred(jmpose()), inputs()
    assert torch.equal(look_into_jmpose(head, batch).heatmaps, head(**batch).heatmaps)
    other, tokens = stirred(vremd()), tokens_of_clips()
    assert torch.equal(look_into_vremd(other, tokens).heatmaps, other(tokens))
    assert not any(module._forward_hooks for module in [*head.modules(), *other.modules()])


def test_the_joint_feature_is_read_at_the_places_that_are_shown() -> None:
    head = stirred(jmpose())
    motion, gathered = results_of(head.motion), results_of(head.learner.norm)
    view = look_into_jmpose(head, inputs())
    assert view.places is not None
    assert view.modulation is not None
    b, groups, taps, _, h, w = view.places.shape
    maps = motion[0][1].unflatten(1, (groups, -1)).flatten(0, 1)
    points = view.places.permute(0, 1, 4, 5, 2, 3).reshape(b * groups, h * w, taps, 2)
    sampled = sample_bilinear(maps, points).unflatten(2, (h, w)).unflatten(0, (b, groups))
    sampled = sampled * view.modulation.permute(0, 1, 3, 4, 2)[:, :, None]
    kernel = head.learner.weight.flatten(2)
    expected = torch.einsum("bchwt,oct->bohw", sampled.flatten(1, 2), kernel)
    torch.testing.assert_close(gathered[0][0][0], expected, atol=1e-4, rtol=1e-4)


def test_the_masks_that_are_shown_multiply_the_features() -> None:
    head = stirred(jmpose(layers=2))
    blends, layers = results_of(head.interactions[1].mask), results_of(head.interactions[1])
    view = look_into_jmpose(head, inputs())
    both = blends[0][0][0]
    shown = [F.sigmoid(half) for half in blends[0][1].chunk(2, dim=1)]
    for feature, mask, masked, mean in zip(
        both.chunk(2, dim=1), shown, layers[0][1], view.masks[1], strict=True
    ):
        torch.testing.assert_close(masked, feature * mask)
        torch.testing.assert_close(mean, mask.mean(dim=1))


@pytest.mark.parametrize("kind", ["channel", "spatial"])
def test_the_attention_that_is_shown_weighs_the_values(kind: str) -> None:
    head = stirred(jmpose(attention=kind))
    attend = head.interactions[0].joint_attention
    assert isinstance(attend, CrossAttention)
    calls, values = results_of(attend), results_of(attend.value)
    attention = look_into_jmpose(head, inputs()).attention
    assert attention is not None
    value = values[0][1].flatten(2).unflatten(1, (attend.heads, -1))
    taken = attention @ value if kind == "channel" else (attention @ value.mT).mT
    torch.testing.assert_close(calls[0][1], taken.reshape(calls[0][1].shape))
    torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))


def test_what_a_head_does_not_have_is_not_shown() -> None:
    view = look_into_jmpose(stirred(jmpose(joint_learner=False, interaction=False)), inputs())
    assert view.places is None
    assert view.modulation is None
    assert view.attention is None
    assert len(view.masks) == 0
    seen = look_into_vremd(stirred(vremd(hkme=False, bmd=True)), tokens_of_clips())
    assert seen.human_mask is None
    assert seen.keypoint_mask is None
    assert seen.places is not None
    seen = look_into_vremd(
        stirred(vremd(bmd=False, human_mask=False, keypoint_mask=False)), tokens_of_clips()
    )
    assert seen.human_mask is None
    assert seen.keypoint_mask is None
    assert seen.places is None


def test_the_masks_of_vremd_that_are_shown_multiply_the_tokens() -> None:
    head = stirred(vremd())
    assert head.hkme is not None
    coarse, fine = head.hkme.human_mask, head.hkme.keypoint_mask
    before = [results_of(module.blocks) for module in (coarse, fine)]
    after = [results_of(module) for module in (coarse, fine)]
    view = look_into_vremd(head, tokens_of_clips())
    assert view.human_mask is not None
    assert view.keypoint_mask is not None
    visual = before[0][0][1][:, 1:].unflatten(0, (2, 3))
    torch.testing.assert_close(after[0][0][1], visual * view.human_mask[..., None])
    visual = before[1][0][1][:, 15:].unflatten(1, (3, 12))
    torch.testing.assert_close(after[1][0][1][0], visual * view.keypoint_mask[..., None])


def test_the_samples_that_are_shown_make_the_motion() -> None:
    head = stirred(vremd())
    assert head.bmd is not None
    sampler = head.bmd.trajectories[1].blocks[0].sampler
    calls = results_of(sampler)
    view = look_into_vremd(head, tokens_of_clips())
    assert view.places is not None
    assert view.weights is not None
    (motion, _), gathered = calls[0]
    places, weights = view.places[1], view.weights[1]
    values = to_map(sampler.key_value(motion), sampler.grid).chunk(2, dim=1)[1]
    per_head = values.unflatten(1, (sampler.heads, -1)).flatten(0, 1)
    sampled = sample_bilinear(per_head, places.flatten(0, 1))
    expected = (sampled * weights.flatten(0, 1)[:, None]).sum(-1)
    expected = expected.unflatten(0, (2, -1)).flatten(1, 2).transpose(1, 2)
    torch.testing.assert_close(gathered, expected)
