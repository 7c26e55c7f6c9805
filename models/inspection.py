"""What trained heads look at: offsets, masks and attention of one forward pass, for pictures.

Nothing is computed in another way than the head computes it: hooks note what its modules are given
and return.

Shapes: B clips, T frames, C channels, H x W cells, G offset groups, N tokens per frame.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from models.heads.jmpose.deform import TAPS
from models.heads.jmpose.network import ContextAwareJointLearner, JMPose, JointMotionInteraction
from models.heads.vremd.deformable_attention import DeformableCrossAttention
from models.heads.vremd.human_keypoint_mask import (
    HumanKeypointMaskEnhancement,
    human_mask,
    keypoint_mask,
)
from models.heads.vremd.network import VREMD, AdaptiveDeformableCross, MotionTrajectory


@dataclass(frozen=True, slots=True)
class JMPoseView:
    """What JM-Pose looked at."""

    heatmaps: Tensor
    """``(B, K, H, W)``."""
    places: Tensor | None
    """Where the taps of the joint learner read (Eqs. 3, 5), (x, y) in cells,
    ``(B, G, 9, 2, H, W)``; ``None`` without the learner."""
    modulation: Tensor | None
    """How much of it they take (Eqs. 4, 5), in (0, 1), ``(B, G, 9, H, W)``."""
    masks: Tensor
    """Masks of the joint and the motion feature of every layer (Eq. 9), means over channels,
    ``(L, 2, B, H, W)``."""
    attention: Tensor | None
    """What the joint feature takes from the motion in the first layer (Eq. 7), see
    ``CrossAttention.attention``; ``None`` without layers."""


@dataclass(frozen=True, slots=True)
class VREMDView:
    """What VREMD looked at."""

    heatmaps: Tensor
    """``(B, K, h, w)``."""
    human_mask: Tensor | None
    """Eq. 1, in (0, 1), ``(B, T, N)``; ``None`` where it does not take part."""
    keypoint_mask: Tensor | None
    """Eq. 2, with mean 1, ``(B, T, N)``; ``None`` where it does not take part."""
    places: Tensor | None
    """Where the first block of every trajectory samples (Eq. 3), (x, y) in tokens,
    ``(trajectories, B, heads, N, P, 2)``; ``None`` without deformable cross attention."""
    weights: Tensor | None
    """What it makes of these places (Eq. 4), ``(trajectories, B, heads, N, P)``."""


def look_into_jmpose(head: JMPose, batch: Mapping[str, Tensor]) -> JMPoseView:
    """Run JM-Pose and return what it looked at.

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
    with torch.no_grad(), _watching(watched) as seen:
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


def look_into_vremd(head: VREMD, tokens: Tensor) -> VREMDView:
    """Run VREMD and return what it looked at.

    Args:
        head: The head, in evaluation mode.
        tokens: Backbone tokens of all frames, ``(B, T, N, embed_dim)``.
    """
    watched: dict[str, nn.Module] = {}
    if head.hkme is not None:
        watched["human"] = head.hkme.human_mask.blocks
        watched["keypoints"] = head.hkme.keypoint_mask.blocks
    samplers = _samplers(head)
    watched |= {f"sampler {i}": sampler for i, sampler in enumerate(samplers)}
    with torch.no_grad(), _watching(watched) as seen:
        heatmaps = head(tokens)
        human, keypoint = None, None
        if head.hkme is not None:
            human = _human_mask(head.hkme, seen["human"].result, tokens.shape[:3])
            keypoint = _keypoint_mask(head.hkme, seen["keypoints"].result, tokens.shape[:3])
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
    """Return the sampler of the first ADC block of every trajectory, if it is the method's."""
    if head.bmd is None:
        return []
    trajectories = [cast("MotionTrajectory", module) for module in head.bmd.trajectories]
    first = [cast("AdaptiveDeformableCross", trajectory.blocks[0]) for trajectory in trajectories]
    return [block.sampler for block in first if isinstance(block.sampler, DeformableCrossAttention)]


def _places(offsets: Tensor, dilation: int) -> Tensor:
    """Turn offsets ``(B, G * 9 * 2, H, W)``, (dy, dx), into places ``(B, G, 9, 2, H, W)``."""
    height, width = offsets.shape[2:]
    moved = torch.unflatten(offsets, 1, (-1, TAPS, 2)).flip(3)
    steps = dilation * torch.arange(-1, 2, device=offsets.device)
    taps = torch.stack([steps.repeat(3), steps.repeat_interleave(3)], dim=1)
    rows = torch.arange(height, device=offsets.device).view(height, 1).expand(height, width)
    columns = torch.arange(width, device=offsets.device).expand(height, width)
    places: Tensor = moved + taps[:, :, None, None] + torch.stack([columns, rows])
    return places


def _human_mask(
    hkme: HumanKeypointMaskEnhancement, tokens: Tensor, shape: Sequence[int]
) -> Tensor | None:
    if not hkme.human_mask.enabled:
        return None
    human, visual = tokens[:, :1], tokens[:, 1:]
    return human_mask(visual, human).reshape(*shape)


def _keypoint_mask(
    hkme: HumanKeypointMaskEnhancement, tokens: Tensor, shape: Sequence[int]
) -> Tensor | None:
    if not hkme.keypoint_mask.enabled:
        return None
    count = shape[1] * shape[2]
    keypoints, visual = tokens[:, :-count], tokens[:, -count:]
    return keypoint_mask(visual, keypoints).reshape(*shape)


class _Call(NamedTuple):
    """The last call of a module."""

    arguments: tuple[Tensor, ...]
    result: Tensor


@contextmanager
def _watching(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, _Call]]:
    """Note the last call of modules, by the names given to them."""
    seen: dict[str, _Call] = {}
    handles = [
        module.register_forward_hook(partial(_note, seen, name)) for name, module in modules.items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _note(
    seen: dict[str, _Call],
    name: str,
    _module: nn.Module,
    arguments: tuple[Tensor, ...],
    result: Tensor,
) -> None:
    seen[name] = _Call(arguments, result)
