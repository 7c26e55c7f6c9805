"""The heatmap loss of all heads."""

from collections.abc import Mapping

from torch import Tensor, nn

TARGETS = ("target", "weights")
"""Entries of a training batch that are not inputs of a head."""


def heatmap_loss(prediction: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean squared error of heatmaps (JM-Pose Eq. 15).

    Prediction and target are multiplied by the weight of their joint. The squared difference is
    averaged over the batch and the cells of each joint, then over the joints. A joint of weight 0
    adds 0 to the sum but is counted in the mean. The paper writes a squared norm; the mean makes
    the trade-off of Eq. 16 independent of the size of the heatmaps.

    Args:
        prediction: Heatmaps of a head, ``(B, K, H, W)``.
        target: Ground truth, ``(B, K, H, W)``, peaks of height 1.
        weights: Weight of every joint, ``(B, K)``: 0 without a label.

    Returns:
        Loss, a scalar.

    Raises:
        ValueError: If the shapes do not match.
    """
    if prediction.ndim != 4 or prediction.shape != target.shape:
        raise ValueError(
            f"heatmap_loss compares two (B, K, H, W) tensors, got {tuple(prediction.shape)} "
            f"predicted and {tuple(target.shape)} as target"
        )
    if weights.shape != prediction.shape[:2]:
        raise ValueError(
            f"heatmap_loss needs one weight per clip and joint, {tuple(prediction.shape[:2])}, "
            f"got {tuple(weights.shape)}"
        )
    weighted: Tensor = (prediction - target) * weights[:, :, None, None]
    return weighted.square().mean()


class HeatmapObjective(nn.Module):
    """A head with the heatmap loss.

    Args:
        head: The head; the arguments of its ``forward`` have the names of the caches.
    """

    def __init__(self, *, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of a batch.

        Args:
            batch: The caches that the head reads, ``target`` ``(B, K, h, w)`` and ``weights``
                ``(B, K)``.

        Returns:
            ``heatmap``, a scalar.
        """
        inputs = {name: tensor for name, tensor in batch.items() if name not in TARGETS}
        loss = heatmap_loss(self.head(**inputs), batch["target"], batch["weights"])
        return {"heatmap": loss}
