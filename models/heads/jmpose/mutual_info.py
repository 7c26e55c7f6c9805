"""JM-Pose's information orthogonality loss and its total loss (MM 2024, Eqs. 11-13, 15, 16).

Every layer of the joint-motion mutual learning yields a joint feature J and a motion feature M;
H is the initial heatmap of the key frame. The loss is I(M; J | H), written by the chain rule as

    I(M; J)  -  I(J; H)  +  I(H; J | M)                                               (Eq. 13)
    relevancy   complement  redundancy

None of the three can be computed for features of this size; two estimators replace them.

Shapes: B clips, K joints, C channels, H x W cells, L layers.
"""

import math
from typing import Literal, NamedTuple, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.blocks import initialize
from models.head_parts.heatmap_loss import heatmap_loss

Estimator = Literal["vsd", "gaussian", "none"]

TEMPERATURE = 0.05
"""Sharpens heatmaps before they become distributions; the value of related methods."""


class InformationTerms(NamedTuple):
    """The estimates of one layer, each a scalar with its sign of Eq. 13 already applied."""

    relevancy: Tensor
    complement: Tensor
    redundancy: Tensor

    def total(self) -> Tensor:
        """Return the layer's information orthogonality loss, a scalar (Eq. 13)."""
        return self.relevancy + self.complement + self.redundancy


class HeatmapPredictors(nn.Module):
    """Predict the heatmaps from J, from M, and from both, with one 1x1 convolution each.

    The predictors model p(y | J), p(y | M) and p(y | J, M) of variational self-distillation. The
    loss of the features must not train them, so there are two methods: ``fit`` trains the
    predictors on detached features, and ``read`` propagates gradients to the features only.

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
            # With random weights most predictions could be below 0, where the gradient is zero.
            initialize(predictor)
            nn.init.normal_(predictor.weight, std=0.001)

    def fit(self, joint: Tensor, motion: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Return the heatmap loss of the predictors, a scalar without gradient for the features."""
        joint, motion = joint.detach(), motion.detach()
        predictions = (
            self.joint(joint),
            self.motion(motion),
            self.both(torch.cat([joint, motion], dim=1)),
        )
        return torch.stack([heatmap_loss(p, targets, weights) for p in predictions]).sum()

    def read(self, joint: Tensor, motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the heatmaps of J, M and both, ``(B, K, H, W)``; the weights get no gradient."""
        return (
            _frozen(self.joint, joint),
            _frozen(self.motion, motion),
            _frozen(self.both, torch.cat([joint, motion], dim=1)),
        )


def _frozen(predictor: nn.Conv2d, x: Tensor) -> Tensor:
    bias = None if predictor.bias is None else predictor.bias.detach()
    return F.conv2d(x, predictor.weight.detach(), bias)


def log_distribution(heatmaps: Tensor, temperature: float) -> Tensor:
    """Return the log of each heatmap as a distribution over its cells.

    Heatmaps are clamped to [0, 1] first, because a small temperature requires values in this
    range: unbounded activations at 0.05 cause differences of a thousand nats.

    Args:
        heatmaps: ``(B, K, H, W)``.
        temperature: Divides the heatmaps; the smaller, the sharper the peaks.

    Returns:
        ``(B, K, H * W)``; the exponentials of a row sum to 1.
    """
    return F.log_softmax(heatmaps.float().clamp(0, 1).flatten(2) / temperature, dim=-1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence KL(p || q) in units of log(cells).

    Args:
        log_p: Logarithms of distributions over cells, ``(B, K, N)``.
        log_q: Likewise.

    Returns:
        Scalar, not negative; 0 if both are equal.
    """
    # Both arguments are logarithms. The public code of the estimator, and of later pose methods
    # that use it, passes probabilities as ``input`` of kl_div, which gives almost a constant.
    divergences = (log_p.exp() * (log_p - log_q)).sum(-1)
    return divergences.mean() / math.log(log_p.shape[-1])


def variational_terms(
    predictors: HeatmapPredictors,
    joint: Tensor,
    motion: Tensor,
    initial: Tensor,
    *,
    temperature: float,
) -> InformationTerms:
    """Estimate Eq. 13's terms by variational self-distillation, corrected.

    Args:
        predictors: The layer's heatmap predictors.
        joint: Joint feature J, ``(B, C, H, W)``.
        motion: Motion feature M, ``(B, C, H, W)``.
        initial: Initial heatmap of the key frame, ``(B, K, H, W)``; gets no gradient.
        temperature: See ``log_distribution``.

    Returns:
        The three terms.
    """
    log_h = log_distribution(initial.detach(), temperature)
    log_j, log_m, log_both = (
        log_distribution(read, temperature) for read in predictors.read(joint, motion)
    )
    return InformationTerms(
        # Self-distillation has no bound for this term. Features whose predictions differ share
        # little information: increase the divergence, up to log(cells) nats.
        relevancy=-divergence(log_j, log_m).clamp(max=1),
        # J contains all information of H if it predicts H.
        complement=divergence(log_h, log_j),
        # The teacher reads J and M, the student M. They agree iff J adds no information to M, as
        # "extract joint feature from the motion flow" requires of the third term.
        redundancy=divergence(log_both.detach(), log_m),
    )


def gaussian_terms(
    joint: Tensor, motion: Tensor, initial: Tensor, *, shrinkage: float = 1e-3, rows: int = 4096
) -> InformationTerms:
    """Estimate the terms of Eq. 13, with J, M and H as jointly Gaussian and cells as samples.

    All log-determinants use blocks of one correlation matrix, so that the identity between
    Eq. 12 and Eq. 13 holds exactly.

    Args:
        joint: Joint feature J, ``(B, C, H, W)``.
        motion: Motion feature M, ``(B, C, H, W)``.
        initial: Initial heatmap of the key frame, ``(B, K, H, W)``; gets no gradient.
        shrinkage: Share of the identity in the correlation matrix, which keeps it invertible.
        rows: Largest number of cells to use.

    Returns:
        The three terms in nats.
    """
    stacked = torch.cat([joint, motion, initial.detach()], dim=1)
    correlation = _correlation(_spread_rows(stacked, rows), shrinkage)
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


def _correlation(samples: Tensor, shrinkage: float) -> Tensor:
    """Return the correlation matrix of the columns, mixed with the identity, in float64."""
    centered = samples.double() - samples.double().mean(0)
    covariance = centered.T @ centered / samples.shape[0]
    # The floor keeps the gradient of a constant channel (a dead ReLU) finite.
    scale = (covariance.diagonal() + 1e-6).rsqrt()
    identity = torch.eye(samples.shape[1], dtype=torch.float64, device=samples.device)
    return torch.lerp(covariance * scale[:, None] * scale, identity, shrinkage)


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

    def forward(
        self,
        heatmaps: Tensor,
        joint: tuple[Tensor, ...],
        motion: tuple[Tensor, ...],
        *,
        initial: Tensor,
        targets: Tensor,
        weights: Tensor,
    ) -> LossTerms:
        """Return the loss of a batch.

        Args:
            heatmaps: JM-Pose's heatmaps, ``(B, K, H, W)``.
            joint: Joint feature of every layer, each ``(B, C, H, W)``.
            motion: Motion feature of every layer, each ``(B, C, H, W)``.
            initial: Initial heatmap of the key frame, ``(B, K, H, W)``; gets no gradient.
            targets: Ground truth heatmaps, ``(B, K, H, W)``.
            weights: Weight of every joint, ``(B, K)``.

        Returns:
            The total and its parts.

        Raises:
            ValueError: If the number of features is not ``layers``, or shapes do not fit.
        """
        if not len(joint) == len(motion) == self.layers:
            raise ValueError(
                f"JointMotionLoss was built for layers={self.layers}, got {len(joint)} joint and "
                f"{len(motion)} motion features; build it with layers=JMPose.pairs"
            )
        loss = heatmap_loss(heatmaps, targets, weights)
        terms = [layer.total() for layer in self.information(joint, motion, initial)]
        orthogonality = _sum(terms, like=loss)
        auxiliary = _sum(
            [p.fit(j, m, targets, weights) for p, j, m in self._by_layer(joint, motion)], like=loss
        )
        total = loss + self.alpha * orthogonality + auxiliary
        return LossTerms(total, loss, orthogonality, auxiliary)

    def information(
        self, joint: tuple[Tensor, ...], motion: tuple[Tensor, ...], initial: Tensor
    ) -> list[InformationTerms]:
        """Return the estimates of Eq. 13's terms for every layer; none for ``"none"``.

        Args:
            joint: Joint feature of every layer, each ``(B, C, H, W)``.
            motion: Motion feature of every layer, each ``(B, C, H, W)``.
            initial: Initial heatmap of the key frame, ``(B, K, H, W)``; gets no gradient.

        Returns:
            One estimate per layer.
        """
        if self.estimator == "gaussian":
            return [gaussian_terms(j, m, initial) for j, m in zip(joint, motion, strict=True)]
        return [
            variational_terms(p, j, m, initial, temperature=TEMPERATURE)
            for p, j, m in self._by_layer(joint, motion)
        ]

    def _by_layer(
        self, joint: tuple[Tensor, ...], motion: tuple[Tensor, ...]
    ) -> list[tuple[HeatmapPredictors, Tensor, Tensor]]:
        """Return predictors and features of every layer that has predictors."""
        predictors = cast("list[HeatmapPredictors]", list(self.predictors))
        # Without self-distillation there are features, but no predictors.
        return list(zip(predictors, joint, motion, strict=False))


def _sum(terms: list[Tensor], *, like: Tensor) -> Tensor:
    return torch.stack(terms).sum() if terms else like.new_zeros(())
