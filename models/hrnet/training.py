"""Fine-tuning of HRNet on crops: the initial network and its loss on key frames."""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.heads.losses import heatmap_loss
from models.hrnet.network import build_hrnet


def build_backbone(
    weights: Mapping[str, Tensor], source: str, *, variant: str, joints: int
) -> nn.Module:
    """Build HRNet with initial weights for training.

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
    return network


def backbone_loss(network: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the training loss of HRNet.

    Args:
        network: HRNet.
        batch: ``crops``, RGB in [0, 255], ``(B, 1, H, W, 3)``; ``target``,
            ``(B, K, H / 4, W / 4)``; and ``weights``, ``(B, K)``.

    Returns:
        The scalar ``heatmap``.
    """
    heatmaps = network(crops_to_images(batch["crops"])).heatmaps
    return {"heatmap": heatmap_loss(heatmaps, batch["target"], batch["weights"])}
