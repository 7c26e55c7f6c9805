"""JM-Pose, the joint-motion head of Wu et al., "Joint-Motion Mutual Learning" (MM 2024).

Citations of sections, equations and tables refer to that paper, and the modules follow its order.
Choices that the paper does not specify are arguments or named constants.

Shapes: B clips, T frames with the key frame in the middle, K joints, C channels, H x W cells of
the heatmap grid, G offset groups.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from models.head_parts.argument_types import Positive
from models.head_parts.blocks import heatmap_layer, residual_chain
from models.head_parts.warp import warp_to_key_frame
from models.heads.jmpose.initialization import init_weights
from models.heads.jmpose.interaction import JointMotionInteraction
from models.heads.jmpose.joint_learner import (
    ContextAwareJointLearner,
    HeatmapProjection,
    MotionEmbedding,
)

Attention = Literal["channel", "spatial"]
Mask = Literal["fused", "literal"]
Motion = Literal["flow", "features"]
Aggregate = Literal["stacked", "warped"]


class JMPoseOutput(NamedTuple):
    """Output of JM-Pose: heatmaps, and the features for L_IO."""

    heatmaps: Tensor
    """Heatmaps of the key frame, ``(B, K, H, W)``."""
    aggregated: Tensor
    """Aggregated heatmap of Eq. 2, ``(B, K, H, W)``, not negative, of any scale."""
    joint: tuple[Tensor, ...]
    """Joint feature J of every pair, each ``(B, C, H, W)``; there are ``JMPose.pairs``."""
    motion: tuple[Tensor, ...]
    """Motion feature M of every pair, each ``(B, C, H, W)``."""


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
        self.channels = channels
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
        init_weights(self)

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
        aggregated = self.aggregate(heatmaps.flatten(1, 2))
        joint = self.learner(aggregated, motion)
        if self.merge is None:
            return JMPoseOutput(self.head(joint), aggregated, (), ())
        pairs = []
        for interaction in self.interactions:
            joint, motion = interaction(joint, motion)
            pairs.append((joint, motion))
        joints, motions = zip(*(pairs or [(joint, motion)]), strict=True)
        merged = self.merge(torch.cat([joint, motion], dim=1))  # S_t, Eq. 14
        return JMPoseOutput(self.head(merged), aggregated, joints, motions)

    def parts(self) -> dict[str, tuple[nn.Module, Callable[[Any], Tensor]]]:
        """Return the parts that must differ from clip to clip.

        Returns:
            Name to a module and a function that returns the part, ``(B, ...)``, from the module's
            output.
        """
        return {
            "motion": (self.motion, lambda output: output),
            "joint": (self.learner, lambda output: output),
        }

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
