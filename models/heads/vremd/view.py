"""Human and keypoint masks and sampling points of VREMD in one forward pass.

Shapes: B clips, T frames, N = rows x columns tokens per frame, P points per head.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from models.head_parts.views import AttentionView, MapPanel, Panel, PointsPanel, record_calls
from models.heads.vremd.deformable_attention import DeformableCrossAttention
from models.heads.vremd.network import VREMD

if TYPE_CHECKING:
    from models.heads.vremd.motion_disentanglement import AdaptiveDeformableCross, MotionTrajectory


@dataclass(frozen=True, slots=True)
class VREMDView:
    """Masks and sampling points of VREMD, as tensors."""

    heatmaps: Tensor
    """``(B, K, h, w)``."""
    human_mask: Tensor | None
    """Eq. 1, in (0, 1), ``(B, T, N)``; ``None`` if it is switched off."""
    keypoint_mask: Tensor | None
    """Eq. 2, with mean 1, ``(B, T, N)``; ``None`` if it is switched off."""
    places: Tensor | None
    """Sampling positions of the first block of every trajectory (Eq. 3), (x, y) in tokens,
    ``(trajectories, B, heads, N, P, 2)``; ``None`` without deformable cross attention."""
    weights: Tensor | None
    """Attention weights of these positions (Eq. 4), ``(trajectories, B, heads, N, P)``."""


def attention_view(head: nn.Module, batch: Mapping[str, Tensor]) -> AttentionView:
    """Run VREMD and return its masks and sampling points as panels.

    Args:
        head: The head, in evaluation mode.
        batch: Its inputs by name.
    """
    network = cast("VREMD", head)
    view = look_into_vremd(network, batch["tokens"])
    panels: list[Panel] = []
    for name, masks in (("human", view.human_mask), ("keypoint", view.keypoint_mask)):
        if masks is not None:
            maps = torch.unflatten(masks, 2, network.grid).unbind(1)
            middle = len(maps) // 2
            panels += [
                MapPanel(f"{name} {t - middle:+d}", m, t - middle) for t, m in enumerate(maps)
            ]
    if view.places is not None and view.weights is not None:
        for index, (places, weights) in enumerate(zip(view.places, view.weights, strict=True), 1):
            # (B, heads, N, P, ...) -> (B, heads, P, ..., rows, columns)
            at_tokens = places.permute(0, 1, 3, 4, 2).unflatten(4, network.grid)
            shares = weights.permute(0, 1, 3, 2).unflatten(3, network.grid)
            panels.append(PointsPanel(f"samples {index}", at_tokens, shares))
    return AttentionView(view.heatmaps, panels)


def look_into_vremd(head: VREMD, tokens: Tensor) -> VREMDView:
    """Run VREMD and return its masks and sampling points.

    Args:
        head: The head, in evaluation mode.
        tokens: Backbone tokens of all frames, ``(B, T, N, embed_dim)``.
    """
    watched: dict[str, nn.Module] = {}
    if head.hkme is not None:
        watched["human"] = head.hkme.human_mask.mask
        watched["keypoint"] = head.hkme.keypoint_mask.mask
    samplers = _samplers(head)
    watched |= {f"sampler {i}": sampler for i, sampler in enumerate(samplers)}
    with torch.no_grad(), record_calls(watched) as seen:
        heatmaps = head(tokens)
        # A mask that is switched off is not called.
        human, keypoint = (
            seen[name].result.reshape(tokens.shape[:3]) if name in seen else None
            for name in ("human", "keypoint")
        )
        attended = [
            sampler.attention(*seen[f"sampler {i}"].arguments) for i, sampler in enumerate(samplers)
        ]
        places, weights = (
            (torch.stack(parts) for parts in zip(*attended, strict=True))
            if attended
            else (None, None)
        )
        return VREMDView(heatmaps, human, keypoint, places, weights)


def _samplers(head: VREMD) -> list[DeformableCrossAttention]:
    """Return the first sampler of every trajectory, if it is deformable cross attention."""
    if head.bmd is None:
        return []
    trajectories = [cast("MotionTrajectory", module) for module in head.bmd.trajectories]
    first = [cast("AdaptiveDeformableCross", trajectory.blocks[0]) for trajectory in trajectories]
    return [block.sampler for block in first if isinstance(block.sampler, DeformableCrossAttention)]
