"""Sampling taps, modulation, masks and attention of JM-Pose in one forward pass.

Shapes: B clips, T frames, C channels, H x W cells, G offset groups, L layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from models.head_parts.deform import TAPS
from models.head_parts.views import (
    AttentionView,
    MapPanel,
    MatrixPanel,
    Panel,
    PointsPanel,
    record_calls,
)
from models.heads.jmpose.joint_learner import ContextAwareJointLearner
from models.heads.jmpose.network import JMPose

if TYPE_CHECKING:
    from models.heads.jmpose.interaction import JointMotionInteraction


@dataclass(frozen=True, slots=True)
class JMPoseView:
    """Taps, masks and attention of JM-Pose, as tensors."""

    heatmaps: Tensor
    """``(B, K, H, W)``."""
    places: Tensor | None
    """Positions of the taps of the joint learner (Eqs. 3, 5), (x, y) in cells,
    ``(B, G, 9, 2, H, W)``; ``None`` without the learner."""
    modulation: Tensor | None
    """Weights of the taps (Eqs. 4, 5), in (0, 1), ``(B, G, 9, H, W)``."""
    masks: Tensor
    """Masks of the joint and the motion feature of every layer (Eq. 9), means over channels,
    ``(L, 2, B, H, W)``."""
    attention: Tensor | None
    """Attention of the joint feature to the motion in the first layer (Eq. 7), see
    ``CrossAttention.attention``; ``None`` without layers."""


def attention_view(head: nn.Module, batch: Mapping[str, Tensor]) -> AttentionView:
    """Run JM-Pose and return its taps, masks and attention as panels.

    Args:
        head: The head, in evaluation mode.
        batch: Its inputs by name.
    """
    view = look_into_jmpose(cast("JMPose", head), batch)
    panels: list[Panel] = []
    if "flow" in batch:
        norms = batch["flow"].norm(dim=2)
        panels += [MapPanel("flow, cells", step) for step in norms.unbind(1)]
    if view.places is not None and view.modulation is not None:
        panels += [
            PointsPanel("taps", view.places, view.modulation),
            MapPanel("modulation", view.modulation.mean(dim=(1, 2))),
        ]
    for layer, masks in enumerate(view.masks, 1):
        panels += [
            MapPanel(f"mask of {name} {layer}", mask)
            for name, mask in zip("JM", masks, strict=True)
        ]
    if view.attention is not None:
        panels.append(MatrixPanel("J to M", view.attention))
    return AttentionView(view.heatmaps, panels)


def look_into_jmpose(head: JMPose, batch: Mapping[str, Tensor]) -> JMPoseView:
    """Run JM-Pose and return its taps, masks and attention.

    Args:
        head: The head, in evaluation mode.
        batch: Its inputs by name.
    """
    layers = [cast("JointMotionInteraction", layer) for layer in head.interactions]
    watched: dict[str, nn.Module] = {f"mask {i}": layer.mask for i, layer in enumerate(layers)}
    if layers:
        watched["attention"] = layers[0].joint_attention
    learner = head.learner if isinstance(head.learner, ContextAwareJointLearner) else None
    if learner is not None:
        watched |= {"offsets": learner.offsets, "modulation": learner.masks}
    with torch.no_grad(), record_calls(watched) as seen:
        heatmaps = head(**batch).heatmaps
        shape = heatmaps.shape[2:]
        masks = [seen[f"mask {i}"].result.sigmoid().chunk(2, dim=1) for i in range(len(layers))]
        means = [torch.stack([mask.mean(dim=1) for mask in pair]) for pair in masks]
        attention = None
        if layers:
            attention = layers[0].joint_attention.attention(*seen["attention"].arguments)
        return JMPoseView(
            heatmaps=heatmaps,
            places=None if learner is None else _places(seen["offsets"].result, learner.dilation),
            modulation=(
                None
                if learner is None
                else torch.unflatten(seen["modulation"].result.sigmoid(), 1, (-1, TAPS))
            ),
            masks=torch.stack(means) if means else heatmaps.new_empty(0, 2, len(heatmaps), *shape),
            attention=attention,
        )


def _places(offsets: Tensor, dilation: int) -> Tensor:
    """Convert offsets ``(B, G * 9 * 2, H, W)``, (dy, dx), to positions ``(B, G, 9, 2, H, W)``."""
    height, width = offsets.shape[2:]
    moved = torch.unflatten(offsets, 1, (-1, TAPS, 2)).flip(3)
    steps = dilation * torch.arange(-1, 2, device=offsets.device)
    taps = torch.stack([steps.repeat(3), steps.repeat_interleave(3)], dim=1)
    rows = torch.arange(height, device=offsets.device).view(height, 1).expand(height, width)
    columns = torch.arange(width, device=offsets.device).expand(height, width)
    places: Tensor = moved + taps[:, :, None, None] + torch.stack([columns, rows])
    return places
