"""The information orthogonality loss: literal terms, the chain rule, who gets which gradient."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.distributions import TEMPERATURE, divergence, log_distribution
from models.head_parts.heatmap_loss import heatmap_loss
from models.heads.jmpose.mutual_info import (
    SHRINKAGE,
    HeatmapPredictors,
    JointMotionLoss,
    gaussian_terms,
    variational_terms,
)
from models.heads.jmpose.network import JMPoseOutput
from tests.models.oracle_jmpose import (
    gaussian_conditional_information,
    heatmap_distribution,
    kullback_leibler,
    softmax,
)

B, K, C, H, W = 2, 3, 4, 6, 5
Distribution = list[float]


def features(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    joint, motion = scale * torch.randn(2, B, C, H, W)
    return joint.requires_grad_(), motion.requires_grad_()


def predictors() -> HeatmapPredictors:
    """Predictors as after training: logits of either sign, about as large as the features."""
    torch.manual_seed(3)
    made = HeatmapPredictors(joints=K, channels=C)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def aggregated() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(B, K, H, W, requires_grad=True)


def loss(**changes: object) -> JointMotionLoss:
    sizes: dict[str, Any] = {"joints": K, "channels": C, "layers": 2, "alpha": 0.1}
    criterion = JointMotionLoss(**{**sizes, "estimator": "vsd", **changes})
    for layer in criterion.predictors:
        layer.load_state_dict(predictors().state_dict())
    return criterion


def log_h() -> Tensor:
    return log_distribution(aggregated(), TEMPERATURE)


def of_heatmaps(maps: Tensor) -> list[Distribution]:
    return [heatmap_distribution(x.tolist(), TEMPERATURE) for x in maps.flatten(0, 1)]


def of_logits(maps: Tensor) -> list[Distribution]:
    return [softmax(x.flatten().tolist()) for x in maps.flatten(0, 1)]


def literal_divergence(first: list[Distribution], second: list[Distribution]) -> float:
    """Mean over clips and joints of KL(first || second), in units of log(H * W)."""
    found = [kullback_leibler(p, q) for p, q in zip(first, second, strict=True)]
    return sum(found) / len(found) / math.log(H * W)


def correlation(*maps: Tensor) -> np.ndarray:
    """Correlation matrix of the channels over cells, mixed with the identity."""
    rows = torch.cat(maps, 1).detach().permute(0, 2, 3, 1).flatten(0, 2).double().numpy()
    mixed: np.ndarray = (1 - SHRINKAGE) * np.corrcoef(rows.T) + SHRINKAGE * np.eye(rows.shape[1])
    return mixed


def test_the_second_and_third_term_are_the_literal_divergences() -> None:
    joint, motion = features(0.3)
    read = predictors()
    terms = variational_terms(read, joint, motion, log_h())
    from_j, from_m = of_logits(read.joint(joint)), of_logits(read.motion(motion))
    from_both = of_logits(read.both(torch.cat([joint, motion], 1)))
    complement = literal_divergence(of_heatmaps(aggregated()), from_j)
    assert terms.complement.item() == pytest.approx(complement, rel=1e-4)
    assert terms.redundancy.item() == pytest.approx(literal_divergence(from_both, from_m), rel=1e-4)
    assert terms.total().item() == pytest.approx(sum(t.item() for t in terms), rel=1e-5)


def test_the_relevancy_is_the_literal_information_of_gaussian_features() -> None:
    joint, motion = features()
    motion = motion + joint
    terms = variational_terms(predictors(), joint, motion, log_h())
    m, j = list(range(C, 2 * C)), list(range(C))
    nats = gaussian_conditional_information(correlation(joint, motion), m, j, [])
    assert nats > 1
    assert terms.relevancy.item() == pytest.approx(nats / (K * math.log(H * W)), rel=1e-4)


def test_a_heatmap_of_any_scale_is_the_same_distribution() -> None:
    maps = aggregated().detach()
    torch.testing.assert_close(
        log_distribution(20 * maps, TEMPERATURE), log_distribution(maps, TEMPERATURE)
    )
    empty = log_distribution(torch.zeros(B, K, H, W), TEMPERATURE)
    torch.testing.assert_close(empty, torch.full((B, K, H * W), -math.log(H * W)))


def test_a_divergence_is_never_negative_and_zero_between_equals() -> None:
    first = log_distribution(torch.rand(B, K, H, W), TEMPERATURE)
    second = log_distribution(torch.rand(B, K, H, W), TEMPERATURE)
    assert divergence(first, second).item() > 0
    assert divergence(second, first).item() > 0
    assert divergence(first, first.clone()).item() == 0


def test_divergence_agrees_with_torch() -> None:
    first, second = (log_distribution(torch.rand(B, K, H, W), TEMPERATURE) for _ in range(2))
    expected = F.kl_div(second, first, log_target=True, reduction="none").sum(-1).mean()
    got = divergence(first, second) * math.log(H * W)
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_relevancy_of_equal_features_is_bounded() -> None:
    joint, _ = features(1000.0)
    terms = variational_terms(predictors(), joint, joint.detach().clone(), log_h())
    bound = -0.5 * C * math.log(1 - (1 - SHRINKAGE) ** 2) / (K * math.log(H * W))
    assert 0.9 * bound < terms.relevancy.item() < 1.1 * bound


@pytest.mark.parametrize("estimator", ["vsd", "gaussian"])
def test_gradients_are_finite_for_activations_of_scale_20(estimator: str) -> None:
    joint, motion = features(20.0)
    criterion = loss(estimator=estimator, layers=1)
    (terms,) = criterion.information((joint,), (motion,), aggregated())
    terms.total().backward()
    for feature in (joint, motion):
        assert feature.grad is not None
        assert feature.grad.isfinite().all()


@pytest.mark.parametrize("estimator", ["vsd", "gaussian"])
def test_information_reaches_neither_heatmap_nor_predictors(estimator: str) -> None:
    joint, motion = features(0.3)
    target = aggregated()
    criterion = loss(estimator=estimator, layers=1)
    (terms,) = criterion.information((joint,), (motion,), target)
    terms.total().backward()
    assert target.grad is None
    assert all(parameter.grad is None for parameter in criterion.parameters())
    assert joint.grad is not None
    assert motion.grad is not None


def test_every_term_trains_the_features_that_it_names() -> None:
    expected = {
        "relevancy": (True, True),
        "complement": (True, False),
        "redundancy": (False, True),
    }
    for name, reached in expected.items():
        joint, motion = features(0.1)
        terms = variational_terms(predictors(), joint, motion, log_h())
        getattr(terms, name).backward()
        grads = [f.grad is not None and bool(f.grad.any()) for f in (joint, motion)]
        assert tuple(grads) == reached, name


def test_predictors_learn_h_from_their_own_loss_and_leave_the_features_alone() -> None:
    joint, motion = features()
    read = predictors()
    own = read.fit(joint, motion, log_h())
    of_h = of_heatmaps(aggregated())
    expected = (
        literal_divergence(of_h, of_logits(read.joint(joint)))
        + literal_divergence(of_h, of_logits(read.motion(motion)))
        + literal_divergence(of_h, of_logits(read.both(torch.cat([joint, motion], 1))))
    )
    assert own.item() == pytest.approx(expected, rel=1e-4)
    own.backward()
    assert joint.grad is None
    assert motion.grad is None
    assert all(p.grad is not None and p.grad.any() for p in read.parameters())


def test_fitted_predictors_measure_what_the_features_know_of_h() -> None:
    # J has H as its channels, M has nothing of it: I(J; H) is large, and so is I(H; J | M).
    torch.manual_seed(0)
    heatmaps, motion = torch.rand(8, K, H, W), torch.randn(8, C, H, W)
    joint = torch.cat([heatmaps, torch.randn(8, C - K, H, W)], dim=1)
    known = log_distribution(heatmaps, TEMPERATURE)
    read = HeatmapPredictors(joints=K, channels=C)
    optimizer = torch.optim.Adam(read.parameters(), 0.2)
    for _ in range(200):
        optimizer.zero_grad()
        read.fit(joint, motion, known).backward()
        optimizer.step()
    knows = variational_terms(read, joint, motion, known)
    ignorant = variational_terms(read, motion, motion, known)
    assert knows.complement < 0.02
    assert ignorant.complement > 0.3
    assert knows.redundancy > 0.3


def test_the_relevancy_does_not_cancel_the_redundancy() -> None:
    torch.manual_seed(0)
    heatmaps, noise = torch.rand(8, K, H, W), torch.randn(8, C - K, H, W)
    joint = torch.cat([heatmaps, noise], dim=1)
    motion = torch.randn(8, C, H, W)
    motion[:, -1] += noise[:, -1]
    motion.requires_grad_()
    known = log_distribution(heatmaps, TEMPERATURE)
    read = HeatmapPredictors(joints=K, channels=C)
    optimizer = torch.optim.Adam(read.parameters(), 0.2)
    for _ in range(50):
        optimizer.zero_grad()
        read.fit(joint, motion, known).backward()
        optimizer.step()
    terms = variational_terms(read, joint, motion, known)
    first, third = (
        torch.autograd.grad(term, motion, retain_graph=True)[0].flatten()
        for term in (terms.relevancy, terms.redundancy)
    )
    assert first.any()
    assert third.any()
    assert F.cosine_similarity(first, third, dim=0).abs() < 0.3


def test_the_gaussian_estimate_obeys_the_chain_rule() -> None:
    # Eq. 13's three terms against Eq. 12's definition, on the same covariance.
    joint, motion = features()
    heatmap = aggregated().detach() + 0.5 * joint.detach()[:, :K] - motion.detach()[:, :K]
    terms = gaussian_terms(joint, motion, heatmap)
    matrix = correlation(joint, motion, heatmap)
    j, m, h = list(range(C)), list(range(C, 2 * C)), list(range(2 * C, 2 * C + K))
    expected = gaussian_conditional_information(matrix, m, j, h)
    assert terms.total().item() == pytest.approx(expected, rel=1e-4)
    relevancy = gaussian_conditional_information(matrix, m, j, [])
    assert terms.relevancy.item() == pytest.approx(relevancy, rel=1e-4)


def test_the_gaussian_estimate_tells_coupled_from_independent_features() -> None:
    torch.manual_seed(0)
    joint, other = torch.randn(2, 8, C, 24, 18)
    heatmap = torch.randn(8, K, 24, 18)
    coupled = gaussian_terms(joint, joint + 0.01 * other, heatmap).total()
    independent = gaussian_terms(joint, other, heatmap).total()
    assert coupled.item() > 5
    assert abs(independent.item()) < 0.05


def test_the_gaussian_estimate_uses_columns_evenly_when_it_skips_cells() -> None:
    # 4 * 6 * 12 cells, 24 wanted: every 12th cell would be of one column only.
    column = torch.arange(12.0).expand(4, 1, 6, 12)
    noise = torch.randn(4, 1, 6, 12, generator=torch.Generator().manual_seed(0))
    terms = gaussian_terms(column, column + 0.1 * noise, noise, rows=24)
    assert terms.relevancy.item() > 1


def test_a_dead_channel_keeps_the_gaussian_estimate_finite() -> None:
    joint, motion = features()
    joint = (joint * torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None, None]).detach().requires_grad_()
    total = gaussian_terms(joint, motion, aggregated()).total()
    total.backward()
    assert total.isfinite()
    assert joint.grad is not None
    assert joint.grad.isfinite().all()


@pytest.mark.parametrize("estimator", ["vsd", "gaussian", "none"])
def test_the_total_is_equation_16(estimator: str) -> None:
    joint, motion = features(0.3)
    criterion = loss(estimator=estimator)
    joints, motions = (joint, 2 * joint), (motion, -motion)
    prediction, target, weights = torch.rand(B, K, H, W), torch.rand(B, K, H, W), torch.ones(B, K)
    output = JMPoseOutput(prediction, aggregated(), joints, motions)
    terms = criterion(output, targets=target, weights=weights)
    layers = criterion.information(joints, motions, aggregated())
    assert len(layers) == (0 if estimator == "none" else 2)
    orthogonality = sum(layer.total().item() for layer in layers)
    assert terms.heatmap.item() == heatmap_loss(prediction, target, weights).item()
    assert terms.orthogonality.item() == pytest.approx(orthogonality, rel=1e-5)
    expected = terms.heatmap.item() + 0.1 * orthogonality + terms.auxiliary.item()
    assert terms.total.item() == pytest.approx(expected, rel=1e-5)
    assert (terms.auxiliary.item() > 0) == (estimator == "vsd")


def test_only_self_distillation_has_parameters() -> None:
    count = {e: len(list(loss(estimator=e).parameters())) for e in ("vsd", "gaussian", "none")}
    assert count == {"vsd": 2 * 6, "gaussian": 0, "none": 0}


@pytest.mark.parametrize("estimator", ["vsd", "gaussian"])
def test_minimizing_lowers_the_information(estimator: str) -> None:
    joint, motion = features(0.3)
    criterion = loss(estimator=estimator, layers=1)
    optimizer = torch.optim.Adam([joint, motion], 0.02)
    values = []
    for _ in range(30):
        (terms,) = criterion.information((joint,), (motion,), aggregated())
        values.append(terms.total().item())
        optimizer.zero_grad()
        terms.total().backward()
        optimizer.step()
    assert values[-1] < values[0] - 0.1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'kl'"):
        loss(estimator="kl")
    joint, motion = features()
    maps = torch.rand(B, K, H, W)
    output = JMPoseOutput(maps, maps, (joint,), (motion, motion))
    with pytest.raises(ValueError, match=re.escape("layers=2, got 1 joint and 2 motion")):
        loss()(output, targets=maps, weights=torch.ones(B, K))
