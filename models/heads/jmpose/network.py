"""JM-Pose, the joint-motion head of Wu et al., "Joint-Motion Mutual Learning" (MM 2024).

Citations of sections, equations and tables refer to that paper, and the modules follow its order.
Choices that the paper does not specify are arguments or named constants.

Shapes: B clips, T frames with the key frame in the middle, K joints, C channels, H x W cells of
the heatmap grid, G offset groups.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import (
    ResidualBlock,
    heatmap_layer,
    init_identity_channels_,
    initialize,
    residual_chain,
)
from models.head_parts.deform import TAPS, modulated_deform_conv
from models.head_parts.warp import warp_to_key_frame

Attention = Literal["channel", "spatial"]
Mask = Literal["fused", "literal"]
Motion = Literal["flow", "features"]
Aggregate = Literal["stacked", "warped"]

MOTION_BLOCKS = 2
"""Residual blocks that embed the motion; the paper describes no embedding of RAFT's flow."""

MOTION_START = 2.0
MOTION_SPREAD = 0.4
"""Initial mean and spread of the motion feature. The joint feature contains the heatmaps only as
factors of the motion: they are lost where the motion is zero, which is half of it after ReLU, and
blurred where it varies."""
MASK_START = 2.0
"""Initial masks of Eq. 9 before the sigmoid: 0.88 after it."""


class JMPoseOutput(NamedTuple):
    """Output of JM-Pose: heatmaps, and the features for L_IO."""

    heatmaps: Tensor
    """Heatmaps of the key frame, ``(B, K, H, W)``."""
    joint: tuple[Tensor, ...]
    """Joint feature J of every pair, each ``(B, C, H, W)``; there are ``JMPose.pairs``."""
    motion: tuple[Tensor, ...]
    """Motion feature M of every pair, each ``(B, C, H, W)``."""


class MotionEmbedding(nn.Module):
    """Motion M_t of the clip, from flow or from differences of features (Eq. 1).

    Args:
        in_channels: Channels of all frame steps together.
        channels: Width C of the motion feature.
    """

    def __init__(self, *, in_channels: int, channels: int) -> None:
        super().__init__()
        mix = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        norm = nn.BatchNorm2d(channels)
        blocks = residual_chain(channels, channels, blocks=MOTION_BLOCKS)
        self.body = nn.Sequential(mix, norm, nn.ReLU(inplace=True), blocks)
        initialize(self)
        nn.init.constant_(norm.bias, MOTION_START)
        nn.init.constant_(norm.weight, MOTION_SPREAD)

    def forward(self, steps: Tensor) -> Tensor:
        """Return the motion feature.

        Args:
            steps: Motion of each frame step, in order, ``(B, T - 1, D, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        embedded: Tensor = self.body(steps.flatten(1, 2))
        return embedded


class ContextAwareJointLearner(nn.Module):
    """Joint feature gathered from the motion around each joint (Sec. 3.1, Eqs. 2-5).

    Heatmaps and motion are fused; two branches with separate weights predict sampling offsets and
    modulation weights from the fused map; a modulated deformable convolution then reads the motion
    at these positions. Heatmaps thus control the sampling but are not sampled themselves.

    Args:
        joints: Number of joints K.
        channels: Width C of the motion and the joint feature.
        offset_groups: Number G of groups of channels with separate offsets.
        dilation: Cells between neighboring taps of the convolution.
    """

    def __init__(self, *, joints: int, channels: int, offset_groups: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.fuse = residual_chain(joints + channels, channels, blocks=1)
        self.offset_block = ResidualBlock(channels, channels)
        self.offsets = nn.Conv2d(
            channels, offset_groups * TAPS * 2, 3, padding=dilation, dilation=dilation
        )
        self.mask_block = ResidualBlock(channels, channels)
        self.masks = nn.Conv2d(
            channels, offset_groups * TAPS, 3, padding=dilation, dilation=dilation
        )
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        # Without a norm, the constant part of the samples dominates the modulated part.
        self.norm = nn.BatchNorm2d(channels)
        initialize(self)
        nn.init.kaiming_normal_(self.weight)
        init_identity_channels_(self.fuse, 0, min(joints, channels))
        _begin_at_center(self.masks)
        nn.init.zeros_(self.offsets.weight)
        # Zero offsets block the gradient of their branch; a second zero would delay it by a step.
        nn.init.ones_(self.offset_block.norm.weight)

    def forward(self, heatmaps: Tensor, motion: Tensor) -> Tensor:
        """Return the joint feature J_t of every clip.

        Args:
            heatmaps: Aggregated heatmaps, ``(B, K, H, W)``.
            motion: Motion feature M_t, ``(B, C, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        fused = self.fuse(torch.cat([heatmaps, motion], dim=1))
        gathered = modulated_deform_conv(
            motion,
            self.offsets(self.offset_block(fused)),
            # The paper names no activation; DCNv2, which it cites for Eq. 5, has the sigmoid.
            self.masks(self.mask_block(fused)).sigmoid(),
            self.weight,
            dilation=self.dilation,
        )
        feature: Tensor = self.norm(gathered)
        return feature


def _begin_at_center(conv: nn.Conv2d) -> None:
    """Initialize a 3x3 convolution to read mainly the center: random kernels smear peaks."""
    nn.init.normal_(conv.weight, std=0.01)
    with torch.no_grad():
        nn.init.kaiming_normal_(conv.weight[:, :, 1:2, 1:2])


class HeatmapProjection(nn.Module):
    """Replaces the joint learner in the ablation without it (table 5, w/o CJL).

    The paper uses the heatmaps directly; a 1x1 convolution maps them to the width C.

    Args:
        joints: Number of joints K.
        channels: Width C of the joint feature.
    """

    def __init__(self, *, joints: int, channels: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(joints, channels, 1)
        initialize(self)

    def forward(self, heatmaps: Tensor, _motion: Tensor) -> Tensor:
        """Return ``(B, C, H, W)`` from heatmaps ``(B, K, H, W)``; the motion is not read."""
        feature: Tensor = self.widen(heatmaps)
        return feature


class CrossAttention(nn.Module):
    """One direction of the joint-motion cross-attention, without the residual (Eqs. 7, 8).

    ``channel``: channels attend to channels, C/heads x C/heads numbers per clip and head. Queries
    and keys are of unit length, and the paper's 1 / sqrt(d), "the hyperparameter", is learned per
    head. ``spatial``: cells attend to cells, H*W x H*W numbers; d is the width of a head.

    Args:
        channels: Width C of both features.
        heads: Number of heads.
        kind: ``"channel"`` or ``"spatial"``.
    """

    def __init__(self, *, channels: int, heads: int, kind: str) -> None:
        super().__init__()
        self.heads = heads
        self.kind = kind
        self.query = _projection(channels)
        self.key = _projection(channels)
        # Values start at zero: the residual of Eqs. 7 and 8 then passes the feature unchanged.
        self.value = _projection(channels, silent=True)
        if kind == "channel":
            self.scale = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, query_source: Tensor, context: Tensor) -> Tensor:
        """Return the cross-attention of ``query_source`` to ``context``.

        Args:
            query_source: Feature that makes the queries, ``(B, C, H, W)``.
            context: Feature that makes keys and values, ``(B, C, H, W)``.

        Returns:
            ``(B, C, H, W)``.
        """
        if self.kind == "channel":
            found: Tensor = self.attention(query_source, context) @ self._split(self.value(context))
        else:  # the same without the H*W x H*W matrix in memory
            query, key = self._split(self.query(query_source)), self._split(self.key(context))
            value = self._split(self.value(context))
            found = F.scaled_dot_product_attention(query.mT, key.mT, value.mT).mT
        return found.reshape(query_source.shape)

    def attention(self, query_source: Tensor, context: Tensor) -> Tensor:
        """Return the attention between channels or between cells; rows sum to 1.

        Args:
            query_source: Feature that makes the queries, ``(B, C, H, W)``.
            context: Feature that makes the keys, ``(B, C, H, W)``.

        Returns:
            ``(B, heads, C / heads, C / heads)``, or ``(B, heads, H * W, H * W)`` of cells.
        """
        query, key = self._split(self.query(query_source)), self._split(self.key(context))
        if self.kind == "channel":
            query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
            return (self.scale * query @ key.mT).softmax(-1)
        return (query.mT @ key / math.sqrt(query.shape[2])).softmax(-1)

    def _split(self, x: Tensor) -> Tensor:
        """Split ``(B, C, H, W)`` into heads, ``(B, heads, C / heads, H * W)``."""
        b, _, h, w = x.shape
        return x.reshape(b, self.heads, -1, h * w)


def _projection(channels: int, *, silent: bool = False) -> nn.Sequential:
    """Build a 1x1 and a depthwise 3x3 convolution; ``silent``: the output starts at zero."""
    mix = nn.Conv2d(channels, channels, 1, bias=False)
    spread = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    projection = nn.Sequential(mix, spread)
    initialize(projection)
    if silent:
        nn.init.zeros_(spread.weight)
    return projection


class JointMotionInteraction(nn.Module):
    """Joint-motion interaction block, one layer of the mutual learning (Sec. 3.2, Eqs. 6-10).

    Args:
        channels: Width C of both features.
        attention: ``"channel"`` or ``"spatial"``, see ``CrossAttention``.
        attention_heads: Heads of the attention.
        mask: How Eq. 9 makes the masks. ``"literal"`` applies the sigmoid to the features, so
            that each feature masks itself and no information is exchanged. ``"fused"`` applies
            convolutions to the concatenation first.
    """

    def __init__(self, *, channels: int, attention: str, attention_heads: int, mask: str) -> None:
        super().__init__()
        self.joint_block = residual_chain(channels, channels, blocks=1)
        self.motion_block = residual_chain(channels, channels, blocks=1)
        shape = {"channels": channels, "heads": attention_heads}
        self.joint_attention = CrossAttention(**shape, kind=attention)
        self.motion_attention = CrossAttention(**shape, kind=attention)
        initialize(self.joint_block)
        initialize(self.motion_block)
        self.mask = _mask_network(channels) if mask == "fused" else nn.Identity()

    def forward(self, joint: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of the next layer.

        Args:
            joint: Joint feature, ``(B, C, H, W)``.
            motion: Motion feature, ``(B, C, H, W)``.

        Returns:
            Joint and motion feature, each ``(B, C, H, W)``.
        """
        joint, motion = self.joint_block(joint), self.motion_block(motion)  # Eq. 6
        joint, motion = (  # Eqs. 7 and 8: both from the features of Eq. 6
            self.joint_attention(joint, motion) + joint,
            self.motion_attention(motion, joint) + motion,
        )
        masks = self.mask(torch.cat([joint, motion], dim=1)).sigmoid()  # Eq. 9
        joint_mask, motion_mask = masks.chunk(2, dim=1)
        return joint_mask * joint, motion_mask * motion  # Eq. 10


def _mask_network(channels: int) -> nn.Sequential:
    """Build the convolutions of Eq. 9 that exchange information before the sigmoid."""
    blend = residual_chain(2 * channels, channels, blocks=1)
    initialize(blend)
    # No ReLU here: the sigmoid could not be below 1/2 after it.
    masks = nn.Conv2d(channels, 2 * channels, 3, padding=1)
    # The L masks multiply: starting at sigmoid(0), four layers would keep 6 % of a feature.
    nn.init.normal_(masks.weight, std=0.001)
    masks.bias = nn.Parameter(torch.full((2 * channels,), MASK_START))
    return nn.Sequential(blend, masks)


class JMPose(nn.Module):
    """JM-Pose from cached heatmaps and flow to the heatmaps of the key frame.

    A module that is switched off is not built and has no parameters.

    Args:
        joints: Number of joints K.
        frames: Number of frames T, odd, at least 3.
        channels: Width C of the joint and the motion feature.
        layers: Number L of interaction blocks.
        offset_groups: Number G of offset groups of the deformable convolution; divides C.
        dilation: Dilation of the deformable convolution and of the prediction of its offsets.
        attention: ``"channel"`` or ``"spatial"``, see ``CrossAttention``.
        attention_heads: Heads of the attention; divides C.
        jmib_mask: ``"fused"`` or ``"literal"``, see ``JointMotionInteraction``.
        motion: ``"flow"``, or ``"features"``: differences of the backbone features of
            consecutive frames (JM-Pose* of table 5).
        aggregate: What Eq. 2 aggregates: ``"stacked"``, the heatmaps of all frames, as in the
            paper; or ``"warped"``, which is not from the paper, the heatmaps moved onto the key
            frame along the flow.
        feature_channels: Channels of the backbone features; used with ``motion="features"``.
        joint_learner: Whether the context-aware joint learner makes the first joint feature. If
            not, a 1x1 convolution of the aggregated heatmaps does (table 5, w/o CJL).
        mutual_learning: Whether joint and motion feature are refined and aggregated (Eqs. 6-14).
            If not, the head reads the joint feature (table 5, w/o JMML), ``interaction`` has no
            effect and there is no pair for L_IO.
        interaction: Whether there are interaction blocks. If not, joint and motion feature are
            aggregated unchanged and are the only pair for L_IO (table 6, a).

    Raises:
        ValueError: If an argument is not one of its choices, or two do not fit together.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,
        channels: Positive,
        layers: Positive,
        offset_groups: Positive,
        dilation: Positive,
        attention: Attention,
        attention_heads: Positive,
        jmib_mask: Mask,
        motion: Motion,
        aggregate: Aggregate,
        feature_channels: int | None = None,
        joint_learner: bool = True,
        mutual_learning: bool = True,
        interaction: bool = True,
    ) -> None:
        super().__init__()
        _check_choice("attention", attention, get_args(Attention))
        _check_choice("jmib_mask", jmib_mask, get_args(Mask))
        _check_choice("motion", motion, get_args(Motion))
        _check_choice("aggregate", aggregate, get_args(Aggregate))
        _check_divides("offset_groups", offset_groups, channels)
        _check_divides("attention_heads", attention_heads, channels)
        if frames < 3 or frames % 2 == 0:
            raise ValueError(f"JMPose needs an odd number of frames, 3 or more, got {frames}")
        if not (joint_learner or mutual_learning):
            raise ValueError(
                "JMPose with joint_learner=False and mutual_learning=False would not look at the "
                "motion; switch one of them on, or train the control `fuse`"
            )
        if aggregate == "warped" and motion != "flow":
            raise ValueError(
                f"JMPose with aggregate='warped' needs motion='flow', got motion={motion!r}"
            )
        step_channels = 2 if motion == "flow" else feature_channels
        if step_channels is None:
            raise ValueError("JMPose needs feature_channels with motion='features', got None")
        self.joints = joints
        self.frames = frames
        self.step_channels = step_channels
        self.motion_source = motion
        self.warped = aggregate == "warped"

        self.aggregate = residual_chain(frames * joints, joints, blocks=1)
        self.motion = MotionEmbedding(in_channels=(frames - 1) * step_channels, channels=channels)
        self.learner: nn.Module = HeatmapProjection(joints=joints, channels=channels)
        if joint_learner:
            self.learner = ContextAwareJointLearner(
                joints=joints, channels=channels, offset_groups=offset_groups, dilation=dilation
            )
        self.interactions = nn.ModuleList(
            JointMotionInteraction(
                channels=channels,
                attention=attention,
                attention_heads=attention_heads,
                mask=jmib_mask,
            )
            for _ in range(layers if mutual_learning and interaction else 0)
        )
        self.merge = residual_chain(2 * channels, channels, blocks=1) if mutual_learning else None
        self.head = heatmap_layer(channels, joints)
        initialize(self.aggregate)
        init_identity_channels_(self.aggregate, frames // 2 * joints, joints)
        if self.merge is not None:
            initialize(self.merge)
            init_identity_channels_(self.merge, 0, channels)

    @property
    def pairs(self) -> int:
        """Number of pairs of joint and motion features for L_IO: L, 1 or 0."""
        if self.merge is None:
            return 0
        return max(1, len(self.interactions))

    def forward(
        self, heatmaps: Tensor, flow: Tensor | None = None, features: Tensor | None = None
    ) -> JMPoseOutput:
        """Return the heatmaps of the key frame and the features for L_IO.

        Args:
            heatmaps: Initial heatmaps, ``(B, T, K, H, W)``, peaks of about 1.
            flow: Flow between consecutive frames, ``(B, T - 1, 2, H, W)``: (dx, dy) in cells per
                frame step. Used with ``motion="flow"``.
            features: Backbone features, ``(B, T, D, H, W)``. Used with ``motion="features"``.

        Returns:
            Heatmaps, joint and motion features.

        Raises:
            ValueError: If an input is missing or of another shape.
        """
        steps = self._steps(heatmaps, flow, features)
        motion = self.motion(steps)
        if self.warped:
            heatmaps = warp_to_key_frame(heatmaps, steps)
        joint = self.learner(self.aggregate(heatmaps.flatten(1, 2)), motion)
        if self.merge is None:
            return JMPoseOutput(self.head(joint), (), ())
        pairs = []
        for interaction in self.interactions:
            joint, motion = interaction(joint, motion)
            pairs.append((joint, motion))
        joints, motions = zip(*(pairs or [(joint, motion)]), strict=True)
        merged = self.merge(torch.cat([joint, motion], dim=1))  # S_t, Eq. 14
        return JMPoseOutput(self.head(merged), joints, motions)

    def _steps(self, heatmaps: Tensor, flow: Tensor | None, features: Tensor | None) -> Tensor:
        """Return the motion of each frame step, ``(B, T - 1, D, H, W)``, checked."""
        if heatmaps.ndim != 5 or heatmaps.shape[1:3] != (self.frames, self.joints):
            raise ValueError(
                f"JMPose needs heatmaps (B, {self.frames}, {self.joints}, H, W), "
                f"got {tuple(heatmaps.shape)}"
            )
        source, frames = (flow, -1) if self.motion_source == "flow" else (features, 0)
        b, t, _, h, w = heatmaps.shape
        expected = (b, t + frames, self.step_channels, h, w)
        if source is None or source.shape != expected:
            got = "none" if source is None else tuple(source.shape)
            raise ValueError(f"JMPose needs {self.motion_source} {expected}, got {got}")
        return source if self.motion_source == "flow" else source.diff(dim=1)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"JMPose's {name} is one of {choices}, got {value!r}")


def _check_divides(name: str, value: int, channels: int) -> None:
    if value < 1 or channels % value:
        raise ValueError(f"JMPose's {name} has to divide channels={channels}, got {value}")
