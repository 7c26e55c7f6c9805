"""Initial weights of JM-Pose, all in one place; the paper does not give them.

Default weights learn slowly here, because the joint feature is a product: the deformable
convolution samples the motion, and the heatmaps only modulate the samples (Eq. 5). A peak of a
heatmap has to pass this product, L attentions (Eqs. 7, 8) and L masks (Eq. 10) before it reaches
the output. The head therefore starts close to a function that keeps the peaks of the heatmaps where
they are, and learns the rest.
"""

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from models.head_parts.blocks import init_identity_channels_, initialize
from models.heads.jmpose.interaction import CrossAttention, JointMotionInteraction
from models.heads.jmpose.joint_learner import ContextAwareJointLearner, MotionEmbedding

if TYPE_CHECKING:
    from models.heads.jmpose.network import JMPose

MOTION_START = 2.0
MOTION_SPREAD = 0.4
"""Initial mean and spread of the motion feature."""
MASK_START = 2.0
"""Initial masks of Eq. 9 before the sigmoid: 0.88 after it."""


def init_weights(head: "JMPose") -> None:
    """Initialize the weights of JM-Pose in place.

    Convolutions preserve the second moment, residual blocks start as their shortcut
    (``models.head_parts.blocks.initialize``), and the last layer starts near zero
    (``heatmap_layer``). The exceptions are below.

    Args:
        head: The head.
    """
    for part in (head.aggregate, head.motion, head.learner, head.interactions, head.merge):
        if part is not None:
            initialize(part)
    _init_aggregation(head.aggregate, head.frames, head.joints)
    _init_motion(head.motion)
    if isinstance(head.learner, ContextAwareJointLearner):
        _init_joint_learner(head.learner, head.joints)
    for interaction in head.interactions:
        _init_interaction(cast("JointMotionInteraction", interaction))
    if head.merge is not None:
        # The merged feature starts as the joint feature.
        init_identity_channels_(head.merge, 0, head.channels)


def _init_aggregation(aggregate: nn.Sequential, frames: int, joints: int) -> None:
    """Start with the mean of the clip's heatmaps, the key frame counted twice.

    Without learning, this mean finds more joints than the key frame alone (benchmarks/ceiling.py),
    and the other frames get a gradient of the size of the key frame's from the first step.
    """
    weight = aggregate.get_parameter("0.shortcut.0.weight")
    counts = torch.ones(frames)
    counts[frames // 2] = 2
    shares = counts / counts.sum()
    with torch.no_grad():
        # (K, T * K): the shares on the diagonal of each frame's block.
        weight[:, :, 0, 0] = torch.kron(shares, torch.eye(joints))


def _init_motion(motion: MotionEmbedding) -> None:
    """Keep the motion feature away from zero.

    The heatmaps reach the joint feature only as factors of the motion: they are lost where the
    motion is zero, which is half of it after an ordinary norm and ReLU, and blurred where it
    varies.
    """
    norm = cast("nn.BatchNorm2d", motion.body[1])
    nn.init.constant_(norm.bias, MOTION_START)
    nn.init.constant_(norm.weight, MOTION_SPREAD)


def _init_joint_learner(learner: ContextAwareJointLearner, joints: int) -> None:
    """Sample each cell itself, modulated by the heatmaps at this cell."""
    nn.init.kaiming_normal_(learner.weight)
    init_identity_channels_(learner.fuse, 0, min(joints, len(learner.weight)))
    # A kernel that reads mainly its center: random kernels smear peaks.
    nn.init.normal_(learner.masks.weight, std=0.01)
    with torch.no_grad():
        nn.init.kaiming_normal_(learner.masks.weight[:, :, 1:2, 1:2])
    # Offsets start at zero. This blocks the gradient of their branch for one step; a last norm of
    # zero before them would block it for another one.
    nn.init.zeros_(learner.offsets.weight)
    nn.init.ones_(learner.offset_block.norm.weight)


def _init_interaction(interaction: JointMotionInteraction) -> None:
    """Pass both features through a layer almost unchanged."""
    for attention in (interaction.joint_attention, interaction.motion_attention):
        _init_attention(attention)
    if isinstance(interaction.mask, nn.Sequential):
        # The L masks multiply: starting at sigmoid(0), four layers would keep 6 % of a feature.
        masks = cast("nn.Conv2d", interaction.mask[-1])
        nn.init.normal_(masks.weight, std=0.001)
        nn.init.constant_(cast("nn.Parameter", masks.bias), MASK_START)


def _init_attention(attention: CrossAttention) -> None:
    """Start with values of zero: the residual of Eqs. 7 and 8 passes the feature unchanged."""
    nn.init.zeros_(cast("nn.Conv2d", attention.value[-1]).weight)
