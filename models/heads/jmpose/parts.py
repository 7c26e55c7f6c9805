"""Parts of JM-Pose that ``posereel liveness`` replaces."""

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from models.head_parts.replaced_parts import (
    Input,
    Output,
    Part,
    another_clips,
    key_frames,
    sigmoid_one,
    supporting,
    zero,
)
from models.heads.jmpose.joint_learner import ContextAwareJointLearner

if TYPE_CHECKING:
    from models.heads.jmpose.interaction import JointMotionInteraction
    from models.heads.jmpose.network import JMPose


def declare_parts(head: nn.Module) -> list[Part]:
    """Return the parts of JM-Pose; a module that is switched off has none."""
    network = cast("JMPose", head)
    parts = []
    if network.motion_source == "flow":
        parts += [
            Part("flow := 0", (Input("flow", zero),)),
            Part("flow of another clip", (Input("flow", another_clips),)),
        ]
    if network.warped:  # Otherwise the flow has no other use than the motion feature.
        motion = Output(network.motion, another_clips)
        parts.append(Part("motion feature of another clip", (motion,)))
    supporting_maps = Input("heatmaps", key_frames, read=supporting)
    parts.append(Part("supporting heatmaps := the key frame's", (supporting_maps,)))
    if isinstance(network.learner, ContextAwareJointLearner):
        modulation = Output(network.learner.masks, sigmoid_one, read=torch.sigmoid)
        parts += [
            Part("CJL's offsets := 0", (Output(network.learner.offsets, zero),)),
            Part("CJL's modulation := 1", (modulation,)),
        ]
    layers = [cast("JointMotionInteraction", layer) for layer in network.interactions]
    if layers:
        values = [
            attention.value
            for layer in layers
            for attention in (layer.joint_attention, layer.motion_attention)
        ]
        parts += [
            Part("attention's values := 0", tuple(Output(value, zero) for value in values)),
            Part(
                "Eq. 9's masks := 1",
                tuple(Output(layer.mask, sigmoid_one, read=torch.sigmoid) for layer in layers),
            ),
        ]
    return parts
