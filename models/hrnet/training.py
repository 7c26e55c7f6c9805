"""HRNet as a network that is trained on crops: its loss on the key frames of a batch."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.heads.losses import heatmap_loss
from models.hrnet.network import build_hrnet


def build_backbone(
    weights: Mapping[str, Tensor], source: str, *, variant: str, joints: int
) -> nn.Module:
    """Build HRNet with the weights that training starts from.

    Args:
        weights: Tensor of every parameter and buffer by name.
        source: What errors call the weights.
        variant: Variant of HRNet.
        joints: Number of joints K.

    Raises:
        ValueError: If the weights do not fit.
    """
    network = build_hrnet(variant, joints)
    load_weights(network, weights, source)
    return network


def backbone_loss(network: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return HRNet's loss.

    Args:
        network: HRNet.
        batch: ``crops`` RGB in [0, 255], ``(B, 1, H, W, 3)``; ``target`` ``(B, K, H / 4, W / 4)``;
            ``weights`` ``(B, K)``.

    Returns:
        ``heatmap``, a scalar.
    """
    heatmaps = network(crops_to_images(batch["crops"])).heatmaps
    return {"heatmap": heatmap_loss(heatmaps, batch["target"], batch["weights"])}
