"""Heatmaps as distributions over cells, and their divergences, for losses of mutual information.

Shapes: B clips, K joints, H x W = N cells.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

TEMPERATURE = 0.05
"""Sharpens the heatmaps before they become distributions; the value of related methods."""


def without_weight_gradient(predictor: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution to ``(B, C, H, W)``; only the input gets a gradient."""
    bias = None if predictor.bias is None else predictor.bias.detach()
    return F.conv2d(x, predictor.weight.detach(), bias)


def cell_distribution(logits: Tensor) -> Tensor:
    """Turn maps ``(B, K, H, W)`` into log distributions over the cells, ``(B, K, N)``."""
    return F.log_softmax(logits.float().flatten(2), dim=-1)


def log_distribution(heatmaps: Tensor, temperature: float) -> Tensor:
    """Return the log of each heatmap as a distribution over its cells.

    Heatmaps are scaled to a peak of 1 first, because the scale of the aggregated heatmap is that of
    a batch norm, and the temperature requires a fixed one. Negative values count as 0.

    Args:
        heatmaps: ``(B, K, H, W)``.
        temperature: Divides the heatmaps; the smaller, the sharper the peaks.

    Returns:
        ``(B, K, N)``; the exponentials of a row sum to 1. A heatmap without a positive value gives
        the uniform distribution.
    """
    flat = heatmaps.float().clamp(min=0).flatten(2)
    peaks = flat.amax(dim=-1, keepdim=True).clamp(min=1e-6)
    return F.log_softmax(flat / peaks / temperature, dim=-1)


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence KL(p || q) in units of log(cells).

    Args:
        log_p: Logarithms of distributions over cells, ``(B, K, N)``.
        log_q: Likewise.

    Returns:
        Scalar, not negative; 0 if both are equal.
    """
    return divergences(log_p, log_q).mean() / math.log(log_p.shape[-1])


def divergences(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergences KL(p || q) in nats.

    Args:
        log_p: Logarithms of distributions over cells, ``(B, K, N)``.
        log_q: Likewise.

    Returns:
        ``(B, K)``, not negative.
    """
    # Both arguments are logarithms. The public code of the estimator, and of later pose methods
    # that use it, passes probabilities as ``input`` of kl_div, which gives almost a constant.
    return (log_p.exp() * (log_p - log_q)).sum(-1)
