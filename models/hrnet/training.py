"""Fine-tuning of HRNet on crops: the initial network and its loss on key frames."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.head_parts.heatmap_loss import heatmap_loss
from models.hrnet.network import build_hrnet


class BackboneObjective(nn.Module):
    """HRNet with the heatmap loss on key frames.

    Args:
        head: HRNet.
    """

    def __init__(self, *, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of a batch.

        Args:
            batch: ``crops``, RGB in [0, 255], ``(B, 1, H, W, 3)``; ``target``,
                ``(B, K, H / 4, W / 4)``; and ``weights``, ``(B, K)``.

        Returns:
            The scalar ``heatmap``.
        """
        heatmaps = self.head(crops_to_images(batch["crops"])).heatmaps
        return {"heatmap": heatmap_loss(heatmaps, batch["target"], batch["weights"])}


def build_backbone(
    weights: Mapping[str, Tensor], source: str, *, variant: str, joints: int
) -> BackboneObjective:
    """Build HRNet with initial weights and its training loss.

    Args:
        weights: Tensors of all parameters and buffers by name.
        source: Name of the weights in error messages.
        variant: Variant of HRNet.
        joints: Number of joints K.

    Raises:
        ValueError: If the weights do not fit.
    """
    network = build_hrnet(variant, joints)
    load_weights(network, weights, source)
    return BackboneObjective(head=network)
