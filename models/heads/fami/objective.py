"""The training loss of FAMI-Pose with its head."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.head_parts.argument_types import NotNegative, Positive
from models.head_parts.heatmap_loss import heatmap_loss
from models.heads.fami.mutual_info import LabelPredictors, labels_as_distributions, mutual_terms
from models.heads.fami.network import FAMI


class FAMIObjective(nn.Module):
    """FAMI-Pose with the heatmap loss and the mutual information loss with its predictors.

    The predictors are trained by a loss of their own, which has no gradient for the head and
    therefore needs no weight.

    Args:
        head: The head.
        channels: Channels C of the head.
        mutual_info: Weight of the mutual information loss; 0: heatmap loss alone.
    """

    def __init__(self, *, head: FAMI, channels: Positive, mutual_info: NotNegative) -> None:
        super().__init__()
        self.head = head
        self.mutual_info = mutual_info
        self.predictors: LabelPredictors | None = None
        if mutual_info:
            self.predictors = LabelPredictors(
                joints=head.joints, feature_channels=head.feature_channels, channels=channels
            )

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of the loss, weighted.

        Args:
            batch: ``features`` ``(B, T, F, H, W)``, ``target`` ``(B, K, H, W)`` and ``weights``
                ``(B, K)``.

        Returns:
            ``heatmap``, and unless the weight is 0 ``mutual_info`` and ``predictors``.
        """
        target, weights = batch["target"], batch["weights"]
        output = self.head(batch["features"])
        terms = {"heatmap": heatmap_loss(output.heatmaps, target, weights)}
        if self.predictors is not None:
            log_y = labels_as_distributions(target)
            mutual = mutual_terms(self.predictors, output, log_y, weights).total()
            terms["mutual_info"] = self.mutual_info * mutual
            terms["predictors"] = self.predictors.fit(output, log_y, weights)
        return terms
