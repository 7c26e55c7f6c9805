"""The training loss of TAR-ViTPose with its head."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.head_parts.argument_types import NotNegative
from models.head_parts.heatmap_loss import heatmap_loss
from models.heads.tar.network import TAR


class TARObjective(nn.Module):
    """TAR-ViTPose with the heatmap loss (the paper's) and a loss of its decoder alone (ours).

    The masks come from the decoder. In the paper it is that of a trained ViTPose. Here it starts
    untrained, and its own loss on the key frame's tokens gives useful masks after some tens of
    steps.

    Args:
        head: The head.
        decoder_loss: Weight of the decoder's own loss; 0 is the paper's loss, for a decoder that
            starts trained.
    """

    def __init__(self, *, head: TAR, decoder_loss: NotNegative) -> None:
        super().__init__()
        self.head = head
        self.decoder_loss = decoder_loss

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms of the loss, weighted.

        Args:
            batch: ``tokens`` ``(B, T, N, D)``, ``target`` ``(B, K, h, w)`` and ``weights``
                ``(B, K)``.

        Returns:
            ``heatmap``, and ``decoder`` unless its weight is 0.
        """
        target, weights = batch["target"], batch["weights"]
        if not self.decoder_loss:
            return {"heatmap": heatmap_loss(self.head(batch["tokens"]), target, weights)}
        restored, key_frame = self.head.with_key_frame(batch["tokens"])
        return {
            "heatmap": heatmap_loss(restored, target, weights),
            "decoder": self.decoder_loss * heatmap_loss(key_frame, target, weights),
        }
