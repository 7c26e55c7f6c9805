"""The training loss of JM-Pose (Eq. 16) with its head."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.head_parts.argument_types import NotNegative, Positive
from models.heads.jmpose.mutual_info import Estimator, JointMotionLoss
from models.heads.jmpose.network import JMPose


class JMPoseObjective(nn.Module):
    """JM-Pose with its loss, which contains heatmap predictors.

    Args:
        head: The head.
        channels: Width C of its joint and motion features.
        estimator: See ``JointMotionLoss``.
        alpha: Weight of the information orthogonality loss.
    """

    def __init__(
        self, *, head: JMPose, channels: Positive, estimator: Estimator, alpha: NotNegative
    ) -> None:
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
        """Return the terms of the loss, weighted: their sum is Eq. 16 plus the predictors' loss.

        Args:
            batch: ``heatmaps`` ``(B, T, K, H, W)``, ``flow`` or ``features``, ``target``
                ``(B, K, H, W)`` and ``weights`` ``(B, K)``.
        """
        inputs = {name: batch[name] for name in ("heatmaps", "flow", "features") if name in batch}
        out = self.head(**inputs)
        terms = self.loss(out, targets=batch["target"], weights=batch["weights"])
        return {
            "heatmap": terms.heatmap,
            "orthogonality": self.loss.alpha * terms.orthogonality,
            "auxiliary": terms.auxiliary,
        }
