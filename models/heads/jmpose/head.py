"""JM-Pose as a head over cached heatmaps and motion: built from params and the caches' shapes."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.heads.jmpose.mutual_info import JointMotionLoss
from models.heads.jmpose.network import JMPose


def build_jmpose(
    arguments: Mapping[str, Any],
    *,
    joints: int,
    frames: int,
    shapes: Mapping[str, tuple[int, ...]],
    crop_size: tuple[int, int],  # noqa: ARG001  the network is convolutional
) -> JMPose:
    """Build the head.

    Args:
        arguments: Arguments of ``JMPose`` that params decide.
        joints: Number of joints K.
        frames: Frames T per clip.
        shapes: Shape of a clip's row in the cache ``features``, ``(frames, C, H, W)``, where the
            head reads it.
        crop_size: Height and width of the crops, pixels.

    Raises:
        ValueError: If the arguments do not fit together.
    """
    feature_channels = shapes["features"][1] if "features" in shapes else None
    return JMPose(joints=joints, frames=frames, feature_channels=feature_channels, **arguments)


class JMPoseTraining(nn.Module):
    """JM-Pose together with the heatmap predictors that its loss trains beside it.

    Args:
        head: The head.
        channels: Width C of its joint and motion features.
        estimator: See ``JointMotionLoss``.
        alpha: Weight of the information orthogonality loss.
    """

    def __init__(self, *, head: JMPose, channels: int, estimator: str, alpha: float) -> None:
        super().__init__()
        self.head = head
        self.loss = JointMotionLoss(
            joints=head.joints,
            channels=channels,
            layers=head.pairs,
            estimator=estimator,
            alpha=alpha,
        )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of the loss, weighted: their sum is Eq. 16 and the predictors' loss.

        Args:
            batch: ``heatmaps`` ``(B, T, K, H, W)``, ``flow`` or ``features``, ``target``
                ``(B, K, H, W)`` and ``weights`` ``(B, K)``.
        """
        inputs = {name: batch[name] for name in ("heatmaps", "flow", "features") if name in batch}
        out = self.head(**inputs)
        terms = self.loss(
            out.heatmaps,
            out.joint,
            out.motion,
            initial=batch["heatmaps"][:, self.head.frames // 2],
            targets=batch["target"],
            weights=batch["weights"],
        )
        return {
            "heatmap": terms.heatmap,
            "orthogonality": self.loss.alpha * terms.orthogonality,
            "auxiliary": terms.auxiliary,
        }


def build_jmpose_training(
    arguments: Mapping[str, Any],
    *,
    joints: int,
    frames: int,
    shapes: Mapping[str, tuple[int, ...]],
    crop_size: tuple[int, int],
    estimator: str,
    alpha: float,
) -> JMPoseTraining:
    """Build head and loss; see ``build_jmpose`` and ``JointMotionLoss``."""
    head = build_jmpose(arguments, joints=joints, frames=frames, shapes=shapes, crop_size=crop_size)
    return JMPoseTraining(
        head=head,
        channels=arguments["channels"],
        estimator=estimator,
        alpha=alpha,
    )


def jmpose_loss(network: nn.Module, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return the loss terms of ``JMPoseTraining``."""
    terms: Mapping[str, Tensor] = network(batch)
    return terms


def head_of(network: nn.Module) -> nn.Module:
    """Return the head that ``JMPoseTraining`` trains, without the predictors.

    Raises:
        ValueError: If the network is another.
    """
    if not isinstance(network, JMPoseTraining):
        raise ValueError(f"expected JMPoseTraining, got {type(network).__name__}")
    return network.head
