"""JM-Pose's information orthogonality loss and its total loss (MM 2024, Eqs. 11-13, 15, 16).

Every layer of the joint-motion mutual learning yields a joint feature J and a motion feature M. H
is the aggregated heatmap of Eq. 2, on which Eq. 12 conditions. The loss is I(M; J | H), written by
the chain rule as

    I(M; J)  -  I(J; H)  +  I(H; J | M)                                               (Eq. 13)
    relevancy   complement  redundancy

None of the three can be computed for features of this size; two estimators replace them. H gets no
gradient: the loss trains the mutual learning (Fig. 3), not what it conditions on.

Shapes: B clips, K joints, C channels, H x W cells, N = H * W, L layers.
"""

import math
from typing import Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn

from models.head_parts.blocks import initialize
from models.head_parts.distributions import (
    TEMPERATURE,
    cell_distribution,
    divergence,
    log_distribution,
    without_weight_gradient,
)
from models.head_parts.heatmap_loss import heatmap_loss
from models.heads.jmpose.network import JMPoseOutput

Estimator = Literal["vsd", "gaussian", "none"]

SHRINKAGE = 1e-3
"""Share of the identity in the correlation matrices, which keeps them invertible."""
ROWS = 4096
"""Largest number of cells of a batch that the correlation matrices use."""


class InformationTerms(NamedTuple):
    """The estimates of one layer, each a scalar with its sign of Eq. 13 already applied."""

    relevancy: Tensor
    complement: Tensor
    redundancy: Tensor

    def total(self) -> Tensor:
        """Return the layer's information orthogonality loss, a scalar (Eq. 13)."""
        return self.relevancy + self.complement + self.redundancy


class HeatmapPredictors(nn.Module):
    """Predict H from J, from M, and from both, with one 1x1 convolution each.

    They model p(H | J), p(H | M) and p(H | J, M). Each map of a prediction is the logits of a
    distribution over the cells. The loss of the features must not train the predictors, so there
    are two methods: ``fit`` trains the predictors on detached features, and ``read`` propagates
    gradients to the features only.

    Args:
        joints: Number of joints K.
        channels: Width C of either feature.
    """

    def __init__(self, *, joints: int, channels: int) -> None:
        super().__init__()
        self.joint = nn.Conv2d(channels, joints, 1)
        self.motion = nn.Conv2d(channels, joints, 1)
        self.both = nn.Conv2d(2 * channels, joints, 1)
        for predictor in (self.joint, self.motion, self.both):
            initialize(predictor)
            nn.init.normal_(predictor.weight, std=0.001)  # start with nearly uniform distributions

    def fit(self, joint: Tensor, motion: Tensor, log_h: Tensor) -> Tensor:
        """Return the negative log-likelihood of H up to its entropy, summed over the predictors.

        The largest likelihood makes the predictions the posteriors that the terms need.

        Args:
            joint: Joint feature J, ``(B, C, H, W)``; gets no gradient.
            motion: Motion feature M, ``(B, C, H, W)``; gets no gradient.
            log_h: Log of H as distributions, ``(B, K, N)``.

        Returns:
            Scalar.
        """
        joint, motion = joint.detach(), motion.detach()
        predictions = (
            self.joint(joint),
            self.motion(motion),
            self.both(torch.cat([joint, motion], dim=1)),
        )
        return torch.stack([divergence(log_h, cell_distribution(p)) for p in predictions]).sum()

    def read(self, joint: Tensor, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log distributions of H given J, M and both; the weights get no gradient.

        Args:
            joint: Joint feature J, ``(B, C, H, W)``.
            motion: Motion feature M, ``(B, C, H, W)``.

        Returns:
            Three tensors ``(B, K, N)``.
        """
        return (
            cell_distribution(without_weight_gradient(self.joint, joint)),
            cell_distribution(without_weight_gradient(self.motion, motion)),
            cell_distribution(
                without_weight_gradient(self.both, torch.cat([joint, motion], dim=1))
            ),
        )


def variational_terms(
    predictors: HeatmapPredictors, joint: Tensor, motion: Tensor, log_h: Tensor
) -> InformationTerms:
    """Estimate Eq. 13's terms by variational self-distillation, the first one as Gaussian.

    All terms are per joint, in units of log(cells).

    The second and third term are information about H, which predictors of H measure. The first has
    no H in it, and self-distillation has no bound for it. Measured as the divergence of the two
    predictions of H, it has the gradient of the third with the opposite sign: what M and J share
    about H is what Eq. 12 leaves out. It is therefore measured on the features.

    Args:
        predictors: The layer's heatmap predictors.
        joint: Joint feature J, ``(B, C, H, W)``.
        motion: Motion feature M, ``(B, C, H, W)``.
        log_h: Log of H as distributions, ``(B, K, N)``; gets no gradient.

    Returns:
        The three terms.
    """
    log_h = log_h.detach()
    log_j, log_m, log_both = predictors.read(joint, motion)
    return InformationTerms(
        relevancy=_gaussian_information(joint, motion)
        / (log_h.shape[1] * math.log(joint[0, 0].numel())),
        # I(J; H) is at least the entropy of H, a constant, minus this cross-entropy.
        complement=divergence(log_h, log_j),
        # I(H; J | M) is the mean of KL(p(H | J, M) || p(H | M)). The teacher reads J and M, the
        # student M: M learns what J has to be extracted from ("from the motion flow", Sec. 3.2).
        redundancy=divergence(log_both.detach(), log_m),
    )


def _gaussian_information(joint: Tensor, motion: Tensor) -> Tensor:
    """Return I(M; J) in nats of Gaussian features, the cells as samples."""
    c = joint.shape[1]
    correlation = _correlation(_spread_rows(torch.cat([joint, motion], dim=1), ROWS))
    blocks = (correlation[:c, :c], correlation[c:, c:])
    separate = sum(torch.logdet(block) for block in blocks)
    return (0.5 * (separate - torch.logdet(correlation))).to(joint.dtype)


def gaussian_terms(
    joint: Tensor, motion: Tensor, aggregated: Tensor, *, rows: int = ROWS
) -> InformationTerms:
    """Estimate the terms of Eq. 13, with J, M and H as jointly Gaussian and cells as samples.

    All log-determinants use blocks of one correlation matrix, so that the identity between
    Eq. 12 and Eq. 13 holds exactly.

    Args:
        joint: Joint feature J, ``(B, C, H, W)``.
        motion: Motion feature M, ``(B, C, H, W)``.
        aggregated: Aggregated heatmap H, ``(B, K, H, W)``; gets no gradient.
        rows: Largest number of cells to use.

    Returns:
        The three terms in nats.
    """
    stacked = torch.cat([joint, motion, aggregated.detach()], dim=1)
    correlation = _correlation(_spread_rows(stacked, rows))
    channels = joint.shape[1]
    j = list(range(channels))
    m = list(range(channels, 2 * channels))
    h = list(range(2 * channels, stacked.shape[1]))

    def entropy(*blocks: list[int]) -> Tensor:
        chosen = [channel for block in blocks for channel in block]
        return 0.5 * torch.logdet(correlation[chosen][:, chosen])

    return InformationTerms(
        relevancy=entropy(m) + entropy(j) - entropy(m, j),
        complement=entropy(j, h) - entropy(j) - entropy(h),
        redundancy=entropy(h, m) + entropy(j, m) - entropy(h, j, m) - entropy(m),
    )


def _spread_rows(maps: Tensor, rows: int) -> Tensor:
    """Return at most ``rows`` cells of the batch, evenly spread, as ``(N, channels)``."""
    width = maps.shape[-1]
    cells = maps.permute(0, 2, 3, 1).flatten(0, 2)
    step = -(-cells.shape[0] // rows)
    # A step that shares a factor with the width would select the same columns in every row.
    while math.gcd(step, width) > 1:
        step += 1
    return cells[::step]


def _correlation(samples: Tensor) -> Tensor:
    """Return the correlation matrix of the columns, mixed with the identity, in float64."""
    centered = samples.double() - samples.double().mean(0)
    covariance = centered.T @ centered / samples.shape[0]
    # The floor keeps the gradient of a constant channel (a dead ReLU) finite.
    scale = (covariance.diagonal() + 1e-6).rsqrt()
    identity = torch.eye(samples.shape[1], dtype=torch.float64, device=samples.device)
    return torch.lerp(covariance * scale[:, None] * scale, identity, SHRINKAGE)


class LossTerms(NamedTuple):
    """The training loss and its parts, each a scalar."""

    total: Tensor
    """Training loss: Eq. 16 plus the loss of the predictors."""
    heatmap: Tensor
    """Heatmap loss (Eq. 15)."""
    orthogonality: Tensor
    """Information orthogonality loss, summed over the layers, before alpha."""
    auxiliary: Tensor
    """Loss of the heatmap predictors, summed over the layers."""


class JointMotionLoss(nn.Module):
    """JM-Pose's training loss (Eq. 16) with its heatmap predictors.

    The optimizer must also update the parameters of this module, the predictors. Only their own
    loss has a gradient for them, and it has none for other parameters, so it needs no weight.

    Args:
        joints: Number of joints K.
        channels: Width C of the joint and motion features.
        layers: Number of feature pairs, ``JMPose.pairs``.
        estimator: ``"vsd"`` (variational self-distillation, the paper's choice, corrected),
            ``"gaussian"``, or ``"none"``: heatmap loss alone (table 6, row b).
        alpha: Weight of the information orthogonality loss.

    Raises:
        ValueError: If ``estimator`` is not one of the three.
    """

    def __init__(
        self,
        *,
        joints: int,
        channels: int,
        layers: int,
        estimator: str,
        alpha: float,
    ) -> None:
        super().__init__()
        if estimator not in get_args(Estimator):
            raise ValueError(
                f"JointMotionLoss has the estimators {get_args(Estimator)}, got {estimator!r}"
            )
        self.layers = layers
        self.estimator = estimator
        self.alpha = alpha
        self.predictors = nn.ModuleList(
            HeatmapPredictors(joints=joints, channels=channels)
            for _ in range(layers if estimator == "vsd" else 0)
        )

    def forward(self, output: JMPoseOutput, *, targets: Tensor, weights: Tensor) -> LossTerms:
        """Return the loss of a batch.

        Args:
            output: What JM-Pose returns.
            targets: Ground truth heatmaps, ``(B, K, H, W)``.
            weights: Weight of every joint, ``(B, K)``.

        Returns:
            The total and its parts.

        Raises:
            ValueError: If the number of features is not ``layers``, or shapes do not fit.
        """
        joint, motion = output.joint, output.motion
        if not len(joint) == len(motion) == self.layers:
            raise ValueError(
                f"JointMotionLoss was built for layers={self.layers}, got {len(joint)} joint and "
                f"{len(motion)} motion features; build it with layers=JMPose.pairs"
            )
        loss = heatmap_loss(output.heatmaps, targets, weights)
        terms = [layer.total() for layer in self.information(joint, motion, output.aggregated)]
        orthogonality = _sum(terms, like=loss)
        auxiliary = _sum(self._fit(joint, motion, output.aggregated), like=loss)
        total = loss + self.alpha * orthogonality + auxiliary
        return LossTerms(total, loss, orthogonality, auxiliary)

    def information(
        self, joint: tuple[Tensor, ...], motion: tuple[Tensor, ...], aggregated: Tensor
    ) -> list[InformationTerms]:
        """Return the estimates of Eq. 13's terms for every layer; none for ``"none"``.

        Args:
            joint: Joint feature of every layer, each ``(B, C, H, W)``.
            motion: Motion feature of every layer, each ``(B, C, H, W)``.
            aggregated: Aggregated heatmap H, ``(B, K, H, W)``; gets no gradient.

        Returns:
            One estimate per layer.
        """
        if self.estimator == "gaussian":
            return [gaussian_terms(j, m, aggregated) for j, m in zip(joint, motion, strict=True)]
        log_h = log_distribution(aggregated.detach(), TEMPERATURE)
        return [variational_terms(p, j, m, log_h) for p, j, m in self._by_layer(joint, motion)]

    def _fit(
        self, joint: tuple[Tensor, ...], motion: tuple[Tensor, ...], aggregated: Tensor
    ) -> list[Tensor]:
        """Return the loss of the predictors of every layer that has some."""
        log_h = log_distribution(aggregated.detach(), TEMPERATURE)
        return [p.fit(j, m, log_h) for p, j, m in self._by_layer(joint, motion)]

    def _by_layer(
        self, joint: tuple[Tensor, ...], motion: tuple[Tensor, ...]
    ) -> list[tuple[HeatmapPredictors, Tensor, Tensor]]:
        """Return predictors and features of every layer that has predictors."""
        predictors = cast("list[HeatmapPredictors]", list(self.predictors))
        # Without self-distillation there are features, but no predictors.
        return list(zip(predictors, joint, motion, strict=False))


def _sum(terms: list[Tensor], *, like: Tensor) -> Tensor:
    return torch.stack(terms).sum() if terms else like.new_zeros(())
