"""FAMI-Pose's mutual information loss, with a corrected estimator.

With y the labeled heatmaps, z_t the key frame's features, z_s the aligned support and z the fused
feature, the published loss is

    1/2 (-0.1 I(y; z | z_t)  +  I(y; z_s | z)  +  I(y; z_t | z))
         complement             lost support      lost key

z shall say more about y than the key frame does, and all that support and key frame say. The public
code estimates every term by a divergence of which one argument is not a logarithm, which gives
almost a constant. Here, predictors of y measure the terms, as in JM-Pose's loss.

Shapes: B clips, K joints, H x W = N cells.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.head_parts.blocks import initialize
from models.head_parts.distributions import (
    TEMPERATURE,
    cell_distribution,
    divergences,
    log_distribution,
    without_weight_gradient,
)
from models.heads.fami.network import FAMIOutput

COMPLEMENT = 0.1
HALF = 0.5
"""Weights of the published loss."""


class MutualTerms(NamedTuple):
    """The mutual information terms, scalars in units of log(cells) per joint with a label."""

    complement: Tensor
    """I(y; z | z_t), to be large."""
    lost_support: Tensor
    """I(y; z_s | z), to be small."""
    lost_key: Tensor
    """I(y; z_t | z), to be small."""

    def total(self) -> Tensor:
        """Return the mutual information loss."""
        return HALF * (-COMPLEMENT * self.complement + self.lost_support + self.lost_key)


class LabelPredictors(nn.Module):
    """Predict y from features and pairs of features, with one 1x1 convolution each.

    Each map of a prediction is the logits of a distribution over the cells. ``fit`` trains the
    predictors on detached features; ``read`` propagates gradients to the features only.

    Args:
        joints: Number of joints K.
        feature_channels: Channels of z_t.
        channels: Channels of z_s and z.
    """

    def __init__(self, *, joints: int, feature_channels: int, channels: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(feature_channels, joints, 1)
        self.fused = nn.Conv2d(channels, joints, 1)
        self.key_fused = nn.Conv2d(feature_channels + channels, joints, 1)
        self.support_fused = nn.Conv2d(2 * channels, joints, 1)
        for predictor in self.children():
            initialize(predictor)
            nn.init.normal_(predictor.get_parameter("weight"), std=0.001)

    def read(self, output: FAMIOutput) -> dict[str, Tensor]:
        """Return the log distributions of y by predictor, ``(B, K, N)`` each."""
        key, support, fused = output.key, output.support, output.fused
        return {
            "key": self._read(self.key, key),
            "fused": self._read(self.fused, fused),
            "key_fused": self._read(self.key_fused, key, fused),
            "support_fused": self._read(self.support_fused, support, fused),
        }

    def fit(self, output: FAMIOutput, log_y: Tensor, weights: Tensor) -> Tensor:
        """Return the negative log-likelihood of y up to its entropy, summed over the predictors.

        Args:
            output: Output of the head; its features get no gradient.
            log_y: Log of y as distributions, ``(B, K, N)``.
            weights: Weight of every joint, ``(B, K)``.
        """
        key, support, fused = (x.detach() for x in (output.key, output.support, output.fused))
        logits = (
            self.key(key),
            self.fused(fused),
            self.key_fused(torch.cat([key, fused], dim=1)),
            self.support_fused(torch.cat([support, fused], dim=1)),
        )
        losses = [labeled_divergence(log_y, cell_distribution(each), weights) for each in logits]
        return torch.stack(losses).sum()

    @staticmethod
    def _read(predictor: nn.Conv2d, *features: Tensor) -> Tensor:
        return cell_distribution(without_weight_gradient(predictor, torch.cat(features, dim=1)))


def labeled_divergence(log_p: Tensor, log_q: Tensor, weights: Tensor) -> Tensor:
    """Return the mean KL(p || q) over the joints with a label, in units of log(cells).

    Args:
        log_p: Logarithms of distributions over cells, ``(B, K, N)``.
        log_q: Likewise.
        weights: Weight of every joint, ``(B, K)``: 0 without a label.

    Returns:
        Scalar; 0 if no joint has a label.
    """
    weighted = divergences(log_p, log_q) * weights
    return weighted.sum() / weights.sum().clamp(min=1) / math.log(log_p.shape[-1])


def mutual_terms(
    predictors: LabelPredictors, output: FAMIOutput, log_y: Tensor, weights: Tensor
) -> MutualTerms:
    """Estimate the terms with predictors of y.

    The complement is the gain in likelihood of y by z: it has the label as its target, so that z
    cannot raise it by predictions that merely differ. The two others are variational
    self-distillation: the teacher reads both features, the student z alone; only the student gets
    a gradient.

    Args:
        predictors: Predictors of y.
        output: Output of the head.
        log_y: Log of y as distributions, ``(B, K, N)``.
        weights: Weight of every joint, ``(B, K)``.
    """
    log = predictors.read(output)
    without = labeled_divergence(log_y, log["key"], weights)
    return MutualTerms(
        complement=without - labeled_divergence(log_y, log["key_fused"], weights),
        lost_support=labeled_divergence(log["support_fused"].detach(), log["fused"], weights),
        lost_key=labeled_divergence(log["key_fused"].detach(), log["fused"], weights),
    )


def labels_as_distributions(targets: Tensor) -> Tensor:
    """Return the log of the labeled heatmaps as distributions, ``(B, K, N)``."""
    return log_distribution(targets, TEMPERATURE)
