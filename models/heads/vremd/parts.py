"""Parts of VREMD that ``posereel liveness`` replaces."""

from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from models.head_parts.replaced_parts import Output, Part, another_clips, doubled, one, zero
from models.heads.vremd.deformable_attention import DeformableCrossAttention
from models.heads.vremd.human_keypoint_mask import HumanKeypointMaskEnhancement
from models.heads.vremd.motion_disentanglement import (
    AdaptiveDeformableCross,
    BidirectionalMotionDisentanglement,
    MotionTrajectory,
)

if TYPE_CHECKING:
    from models.heads.vremd.network import VREMD


def declare_parts(head: nn.Module) -> list[Part]:
    """Return the parts of VREMD; a module that is switched off has none."""
    network = cast("VREMD", head)
    parts = []
    if network.hkme is not None:
        parts += _parts_of_hkme(network.hkme, network.frames)
    if network.bmd is not None:
        parts += _parts_of_bmd(network.bmd)
    if network.hkme is not None:
        # H = 0.5 H_k + 0.5 H_m: twice the one and nothing of the other is the one alone.
        h_k, h_m = network.keypoint_head, network.decoder
        parts += [
            Part("H_k alone", (Output(h_k, doubled), Output(h_m, zero, read=None))),
            Part("H_m alone", (Output(h_m, doubled), Output(h_k, zero, read=None))),
        ]
    return parts


def _parts_of_hkme(hkme: HumanKeypointMaskEnhancement, frames: int) -> list[Part]:
    parts = [
        Part("F := another clip's", (Output(hkme, another_clips, item=0),)),
        Part("keypoint tokens := another clip's", (Output(hkme, another_clips, item=1),)),
    ]
    if hkme.human_mask.enabled:
        # The frames of a clip are separate sequences: (B * T, N, 1).
        by_clip = partial(torch.unflatten, dim=0, sizes=(-1, frames))
        mask = Output(hkme.human_mask.mask, one, read=by_clip)
        parts.append(Part("human mask := 1", (mask,)))
    if hkme.keypoint_mask.enabled:
        parts.append(Part("keypoint mask := 1", (Output(hkme.keypoint_mask.mask, one),)))
    return parts


def _parts_of_bmd(bmd: BidirectionalMotionDisentanglement) -> list[Part]:
    blocks = [
        cast("AdaptiveDeformableCross", block)
        for trajectory in bmd.trajectories
        for block in cast("MotionTrajectory", trajectory).blocks
    ]
    # Without the offsets that depend on the clip, the points are the learned ring of each head.
    offsets = tuple(
        Output(block.sampler.offsets, zero)
        for block in blocks
        if isinstance(block.sampler, DeformableCrossAttention)
    )
    ring = [Part("points := their ring", offsets)] if offsets else []
    return [*ring, Part("M := another clip's", (Output(bmd, another_clips),))]
