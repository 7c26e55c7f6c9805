"""FAMI-Pose: alignment and loss against literal versions, gradients, learning, refusals."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.distributions import TEMPERATURE
from models.heads.fami.alignment import GlobalTransformation, GuidedDeformation, LocalCalibration
from models.heads.fami.mutual_info import (
    LabelPredictors,
    labels_as_distributions,
    mutual_terms,
)
from models.heads.fami.network import FAMI, FAMIOutput
from models.heads.fami.objective import FAMIObjective
from tests.models.learning import learn_one_batch
from tests.models.oracle_jmpose import (
    bilinear,
    heatmap_distribution,
    kullback_leibler,
    modulated_deformable_convolution,
    softmax,
)

K, T, CHANNELS, C = 3, 3, 6, 4


def fami(frames: int = T) -> FAMI:
    torch.manual_seed(0)
    return FAMI(
        joints=K, frames=frames, feature_channels=CHANNELS, channels=C, offset_groups=2, dilation=1
    )


def clips(batch: int = 2, frames: int = T, height: int = 8, width: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, frames, CHANNELS, height, width, generator=generator)


def stirred(network: nn.Module) -> nn.Module:
    """Replace initial zeros, so that every part takes part."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network.eval()


def labels() -> tuple[Tensor, Tensor]:
    """Heatmaps with one peak each; one joint has no label."""
    targets = torch.zeros(2, K, 8, 6)
    for clip in range(2):
        for joint in range(K):
            targets[clip, joint, 2 * joint + clip, joint + 1] = 1
    weights = torch.ones(2, K)
    weights[1, 0] = targets[1, 0] = 0
    return F.avg_pool2d(targets, 3, 1, 1) + 0.5 * targets, weights


def test_a_support_is_read_at_every_cell_plus_its_translation() -> None:
    module = stirred(GlobalTransformation(feature_channels=CHANNELS))
    key, support = clips()[:, 1], clips()[:, 0]
    shifts = module.translation(support, key)
    assert shifts.abs().max() > 0.1
    found = module(support, key)
    for clip in range(2):
        dx, dy = shifts[clip].tolist()
        for channel in range(CHANNELS):
            plane = support[clip, channel].tolist()
            expected = [[bilinear(plane, r + dy, c + dx) for c in range(6)] for r in range(8)]
            torch.testing.assert_close(
                found[clip, channel], torch.tensor(expected), atol=1e-4, rtol=1e-4
            )


def test_the_translation_comes_from_the_difference_of_the_frames() -> None:
    module = stirred(GlobalTransformation(feature_channels=CHANNELS))
    key, support = clips()[:, 1], clips()[:, 0]
    moved = module.translation(support + 1, key + 1)
    torch.testing.assert_close(moved, module.translation(support, key))


def test_the_linear_layers_read_144_numbers_of_a_map_of_the_papers_size() -> None:
    module = GlobalTransformation(feature_channels=CHANNELS)
    halved = module.halvings[:-1](torch.zeros(1, 16, 96, 72))
    assert halved.shape == (1, 16, 3, 3)
    assert torch.equal(module.halvings[-1](halved), halved)
    assert module.linear[0].in_features == 144


def test_a_guided_deformation_is_a_literal_deformable_convolution() -> None:
    module = stirred(GuidedDeformation(channels=C, offset_groups=2, dilation=2))
    x, guide = torch.randn(2, 2, C, 5, 4)
    found = module(x, guide)
    for clip in range(2):
        expected = modulated_deformable_convolution(
            x[clip].tolist(),
            module.offsets(guide)[clip].tolist(),
            module.masks(guide)[clip].sigmoid().tolist(),
            module.kernel.tolist(),
            2,
        )
        torch.testing.assert_close(found[clip], torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_a_guided_deformation_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    module = GuidedDeformation(channels=C, offset_groups=2, dilation=2)
    x = torch.randn(2, C, 5, 4)
    torch.testing.assert_close(module(x, torch.zeros_like(x)), x)


def test_calibration_refines_the_guide_twice_and_moves_the_support_twice() -> None:
    module = stirred(
        LocalCalibration(feature_channels=CHANNELS, channels=C, offset_groups=2, dilation=1)
    )
    support, key = torch.randn(2, C, 8, 6), clips()[:, 1]
    (first, second), (third, fourth) = module.refine, module.align
    guide = module.guide(torch.cat([support, key], dim=1))
    guide = second(refined := first(guide, guide), refined)
    expected = fourth(third(support, guide), guide)
    torch.testing.assert_close(module(support, key), expected)


@pytest.mark.parametrize("frames", [3, 5])
def test_the_head_is_its_parts_in_the_order_of_the_paper(frames: int) -> None:
    head = stirred(fami(frames))
    features = clips(frames=frames)
    key = features[:, frames // 2]
    others = [frame for frame in range(frames) if frame != frames // 2]
    translated = [
        module(features[:, frame], key)
        for module, frame in zip(head.transformations, others, strict=True)
    ]
    support = head.calibration(head.fuse(torch.cat(translated, dim=1)), key)
    fused = head.detect(torch.cat([support, key], dim=1))
    found = head(features)
    for got, expected in zip(found, (head.head(fused), key, support, fused), strict=True):
        torch.testing.assert_close(got, expected)
    assert found.heatmaps.shape == (2, K, 8, 6)


@pytest.mark.parametrize("frame", range(T))
def test_every_frame_is_read(frame: int) -> None:
    head = stirred(fami())
    changed = clips()
    changed[:, frame] = 0
    assert not torch.allclose(head(clips()).heatmaps, head(changed).heatmaps)


def features_of_loss() -> FAMIOutput:
    torch.manual_seed(4)
    key = torch.randn(2, CHANNELS, 8, 6, requires_grad=True)
    support, fused = torch.randn(2, 2, C, 8, 6).unbind(0)
    return FAMIOutput(torch.zeros(0), key, support.requires_grad_(), fused.requires_grad_())


def predictors() -> LabelPredictors:
    torch.manual_seed(3)
    made = LabelPredictors(joints=K, feature_channels=CHANNELS, channels=C)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def test_the_terms_are_literal_divergences_of_the_labeled_joints() -> None:
    out, read = features_of_loss(), predictors()
    targets, weights = labels()
    terms = mutual_terms(read, out, labels_as_distributions(targets), weights)
    logits = {
        "key": read.key(out.key),
        "fused": read.fused(out.fused),
        "key_fused": read.key_fused(torch.cat([out.key, out.fused], 1)),
        "support_fused": read.support_fused(torch.cat([out.support, out.fused], 1)),
    }
    sums = dict.fromkeys(("without", "with", "support", "key"), 0.0)
    labeled = [(b, k) for b in range(2) for k in range(K) if weights[b, k]]
    assert len(labeled) == 2 * K - 1
    for b, k in labeled:
        y = heatmap_distribution((targets[b, k] / targets[b, k].max()).tolist(), TEMPERATURE)
        p = {name: softmax(maps[b, k].flatten().tolist()) for name, maps in logits.items()}
        sums["without"] += kullback_leibler(y, p["key"])
        sums["with"] += kullback_leibler(y, p["key_fused"])
        sums["support"] += kullback_leibler(p["support_fused"], p["fused"])
        sums["key"] += kullback_leibler(p["key_fused"], p["fused"])
    mean = {name: value / len(labeled) / math.log(48) for name, value in sums.items()}
    complement = mean["without"] - mean["with"]
    assert terms.complement.item() == pytest.approx(complement, rel=1e-3)
    assert terms.lost_support.item() == pytest.approx(mean["support"], rel=1e-3)
    assert terms.lost_key.item() == pytest.approx(mean["key"], rel=1e-3)
    expected = 0.5 * (-0.1 * complement + mean["support"] + mean["key"])
    assert terms.total().item() == pytest.approx(expected, rel=1e-3)


def test_the_loss_of_the_features_trains_only_features_and_that_of_predictors_only_these() -> None:
    out, read = features_of_loss(), predictors()
    targets, weights = labels()
    log_y = labels_as_distributions(targets)
    mutual_terms(read, out, log_y, weights).total().backward()
    assert out.fused.grad is not None
    assert out.fused.grad.any()
    assert out.support.grad is None or not out.support.grad.any()  # the teacher is detached
    assert all(parameter.grad is None for parameter in read.parameters())
    out.fused.grad = None
    read.fit(out, log_y, weights).backward()
    assert out.fused.grad is None
    assert all(p.grad is not None and p.grad.any() for p in read.parameters())


def test_nothing_is_lost_if_the_predictors_read_only_the_fused_feature() -> None:
    out, read = features_of_loss(), predictors()
    with torch.no_grad():
        for both in (read.key_fused, read.support_fused):
            both.bias.copy_(read.fused.bias)
            both.weight.zero_()
            both.weight[:, -C:] = read.fused.weight
    targets, weights = labels()
    terms = mutual_terms(read, out, labels_as_distributions(targets), weights)
    assert terms.lost_key.item() == pytest.approx(0, abs=1e-6)
    assert terms.lost_support.item() == pytest.approx(0, abs=1e-6)


def test_without_labels_the_loss_is_zero_and_finite() -> None:
    objective = FAMIObjective(head=fami(), channels=C, mutual_info=1.0)
    batch = {
        "features": clips(), "target": torch.zeros(2, K, 8, 6), "weights": torch.zeros(2, K),
    }  # fmt: skip
    terms = objective(batch)
    assert {name: value.item() for name, value in terms.items()} == {
        "heatmap": 0, "mutual_info": 0, "predictors": 0,
    }  # fmt: skip


def test_without_a_weight_there_are_no_predictors() -> None:
    objective = FAMIObjective(head=fami(), channels=C, mutual_info=0.0)
    target, weights = labels()
    terms = objective({"features": clips(), "target": target, "weights": weights})
    assert terms.keys() == {"heatmap"}
    assert objective.predictors is None


def test_one_batch_can_be_learned_and_every_parameter_gets_a_gradient() -> None:
    objective = FAMIObjective(head=fami(), channels=C, mutual_info=0.001)
    target, weights = labels()
    batch = {"features": clips(), "target": target, "weights": weights}
    losses, reached = learn_one_batch(objective, lambda: objective(batch), steps=60)
    assert losses[-1] < 0.2 * losses[0]
    assert reached == dict(objective.named_parameters()).keys()


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("(B, 3, 6, H, W), got (2, 5, 6, 8, 6)")):
        fami()(clips(frames=5))
    with pytest.raises(ValueError, match="3 or more, got 1"):
        fami(1)
    with pytest.raises(ValueError, match="divide channels=4, got 3"):
        FAMI(joints=K, frames=3, feature_channels=6, channels=4, offset_groups=3, dilation=1)
