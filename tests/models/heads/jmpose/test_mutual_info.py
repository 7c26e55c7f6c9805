"""The information orthogonality loss: literal terms, the chain rule, who gets which gradient."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.heatmap_loss import heatmap_loss
from models.heads.jmpose.mutual_info import (
    HeatmapPredictors,
    JointMotionLoss,
    divergence,
    gaussian_terms,
    log_distribution,
    variational_terms,
)
from tests.models.oracle_jmpose import (
    gaussian_conditional_information,
    heatmap_distribution,
    kullback_leibler,
)

B, K, C, H, W = 2, 3, 4, 6, 5
T = 0.05


def features(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    joint, motion = scale * torch.randn(2, B, C, H, W)
    return joint.requires_grad_(), motion.requires_grad_()


def predictors() -> HeatmapPredictors:
    """Predictors as after training: readings of either sign, about as large as the features."""
    torch.manual_seed(3)
    made = HeatmapPredictors(joints=K, channels=C)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.5)
    return made


def initial() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(B, K, H, W, requires_grad=True)


def loss(**changes: object) -> JointMotionLoss:
    sizes: dict[str, Any] = {"joints": K, "channels": C, "layers": 2, "alpha": 0.1}
    criterion = JointMotionLoss(**{**sizes, "estimator": "vsd", **changes})
    for layer in criterion.predictors:
        layer.load_state_dict(predictors().state_dict())
    return criterion


def literal_divergence(first: Tensor, second: Tensor) -> float:
    """Mean over clips and joints of KL(first || second), in units of log(H * W)."""
    total = 0.0
    for clip in range(B):
        for joint in range(K):
            p = heatmap_distribution(first[clip, joint].tolist(), T)
            q = heatmap_distribution(second[clip, joint].tolist(), T)
            total += kullback_leibler(p, q)
    return total / (B * K) / math.log(H * W)


def test_the_three_terms_are_the_literal_divergences() -> None:
    joint, motion = features(0.3)
    read = predictors()
    terms = variational_terms(read, joint, motion, initial(), temperature=T)
    from_j, from_m = read.joint(joint), read.motion(motion)
    from_both = read.both(torch.cat([joint, motion], 1))
    apart = literal_divergence(from_j, from_m)
    assert terms.relevancy.item() == pytest.approx(-min(apart, 1.0), rel=1e-4)
    assert terms.complement.item() == pytest.approx(literal_divergence(initial(), from_j), rel=1e-4)
    assert terms.redundancy.item() == pytest.approx(literal_divergence(from_both, from_m), rel=1e-4)
    assert terms.total().item() == pytest.approx(sum(t.item() for t in terms), rel=1e-5)


def test_a_divergence_is_never_negative_and_zero_between_equals() -> None:
    first = log_distribution(torch.rand(B, K, H, W), T)
    second = log_distribution(torch.rand(B, K, H, W), T)
    assert divergence(first, second).item() > 0
    assert divergence(second, first).item() > 0
    assert divergence(first, first.clone()).item() == 0


def test_divergence_agrees_with_torch() -> None:
    first, second = (log_distribution(torch.rand(B, K, H, W), T) for _ in range(2))
    expected = F.kl_div(second, first, log_target=True, reduction="none").sum(-1).mean()
    got = divergence(first, second) * math.log(H * W)
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)


def test_repulsion_is_bounded() -> None:
    joint, motion = features(1000.0)
    terms = variational_terms(predictors(), joint, motion, initial(), temperature=1e-3)
    assert terms.relevancy.item() == -1


@pytest.mark.parametrize("estimator", ["vsd", "gaussian"])
def test_gradients_are_finite_for_activations_of_scale_20(estimator: str) -> None:
    joint, motion = features(20.0)
    criterion = loss(estimator=estimator, layers=1)
    (terms,) = criterion.information((joint,), (motion,), initial())
    terms.total().backward()
    for feature in (joint, motion):
        assert feature.grad is not None
        assert feature.grad.isfinite().all()


@pytest.mark.parametrize("estimator", ["vsd", "gaussian"])
def test_information_reaches_neither_heatmap_nor_predictors(estimator: str) -> None:
    joint, motion = features(0.3)
    target = initial()
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
        terms = variational_terms(predictors(), joint, motion, initial(), temperature=1.0)
        getattr(terms, name).backward()
        grads = [f.grad is not None and bool(f.grad.any()) for f in (joint, motion)]
        assert tuple(grads) == reached, name


def test_predictors_learn_from_their_own_loss_and_leave_the_features_alone() -> None:
    joint, motion = features()
    target, weights = torch.rand(B, K, H, W), torch.ones(B, K)
    read = predictors()
    own = read.fit(joint, motion, target, weights)
    expected = (
        heatmap_loss(read.joint(joint), target, weights)
        + heatmap_loss(read.motion(motion), target, weights)
        + heatmap_loss(read.both(torch.cat([joint, motion], 1)), target, weights)
    )
    assert own.item() == pytest.approx(expected.item(), rel=1e-5)
    own.backward()
    assert joint.grad is None
    assert motion.grad is None
    assert all(p.grad is not None and p.grad.any() for p in read.parameters())


def test_the_gaussian_estimate_obeys_the_chain_rule() -> None:
    # Eq. 13's three terms against Eq. 12's definition, on the same covariance.
    joint, motion = features()
    heatmap = initial().detach() + 0.5 * joint.detach()[:, :K] - motion.detach()[:, :K]
    terms = gaussian_terms(joint, motion, heatmap, shrinkage=0.01)
    rows = torch.cat([joint, motion, heatmap], 1).detach().permute(0, 2, 3, 1).flatten(0, 2)
    correlation = 0.99 * np.corrcoef(rows.double().numpy().T) + 0.01 * np.eye(2 * C + K)
    j, m, h = list(range(C)), list(range(C, 2 * C)), list(range(2 * C, 2 * C + K))
    expected = gaussian_conditional_information(correlation, m, j, h)
    assert terms.total().item() == pytest.approx(expected, rel=1e-4)
    relevancy = gaussian_conditional_information(correlation, m, j, [])
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
    total = gaussian_terms(joint, motion, initial()).total()
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
    terms = criterion(
        prediction, joints, motions, initial=initial(), targets=target, weights=weights
    )
    layers = criterion.information(joints, motions, initial())
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
        (terms,) = criterion.information((joint,), (motion,), initial())
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
    with pytest.raises(ValueError, match=re.escape("layers=2, got 1 joint and 2 motion")):
        loss()(
            maps,
            (joint,),
            (motion, motion),
            initial=maps,
            targets=maps,
            weights=torch.ones(B, K),
        )
