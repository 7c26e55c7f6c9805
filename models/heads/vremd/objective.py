"""The training loss of VREMD with its head."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.head_parts.argument_types import NotNegative
from models.head_parts.heatmap_loss import heatmap_loss
from models.heads.vremd.network import VREMD


class VREMDObjective(nn.Module):
    """VREMD with the heatmap loss of H (the paper's) and an additional one of H_k (ours).

    H is the mean of H_m and H_k. The decoder of H_m learns much faster, and what remains for H_k
    is its error: in 200 steps H_k alone never finds a joint, and the joint tokens carry no
    information about the clip. A loss of its own gives them one.

    Args:
        head: The head.
        keypoint_loss: Weight of the loss of H_k; 0 is the paper's loss.
    """

    def __init__(self, *, head: VREMD, keypoint_loss: NotNegative) -> None:
        super().__init__()
        self.head = head
        self.keypoint_loss = keypoint_loss

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of the loss, weighted.

        Args:
            batch: ``tokens`` ``(B, T, N, embed_dim)``, ``target`` ``(B, K, h, w)`` and ``weights``
                ``(B, K)``.

        Returns:
            ``heatmap``, and ``keypoint`` unless its weight is 0 or HKME does not take part.
        """
        target, weights = batch["target"], batch["weights"]
        streams = self.head.streams(batch["tokens"])
        terms = {"heatmap": heatmap_loss(streams.combined(), target, weights)}
        if self.keypoint_loss and streams.keypoint is not None:
            loss = heatmap_loss(streams.keypoint, target, weights)
            terms["keypoint"] = self.keypoint_loss * loss
        return terms
