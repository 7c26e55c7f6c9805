"""HRNet over the crops of whole clips: what the stages heatmaps and features run.

Shapes: B clips, T frames, H x W pixels, K joints, C channels.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.hrnet.network import build_hrnet


class ClipMaps(nn.Module):
    """HRNet's maps of every frame of a clip.

    Args:
        network: HRNet, with its weights.
        features: Whether to give the maps that heatmaps are read from in place of heatmaps.
    """

    def __init__(self, *, network: nn.Module, features: bool) -> None:
        super().__init__()
        self.network = network
        self.features = features

    def forward(self, crops: Tensor) -> Tensor:
        """Return the maps.

        Args:
            crops: RGB, ``(B, T, H, W, 3)``, uint8.

        Returns:
            Heatmaps ``(B, T, K, H / 4, W / 4)`` or features ``(B, T, C, H / 4, W / 4)``.
        """
        found = self.network(crops_to_images(crops))
        maps: Tensor = found.features if self.features else found.heatmaps
        return maps.reshape(*crops.shape[:2], *maps.shape[1:])


def build_clip_maps(
    weights: Mapping[str, Tensor],
    source: str,
    crop_size: tuple[int, int],  # noqa: ARG001  HRNet takes any
    *,
    variant: str,
    joints: int,
    features: bool,
) -> nn.Module:
    """Build the network, frozen.

    Args:
        weights: Tensor of every parameter and buffer by name.
        source: What errors call the weights.
        crop_size: (height, width) of the crops in pixels.
        variant: Variant of HRNet.
        joints: Number of joints K.
        features: As for ``ClipMaps``.

    Raises:
        ValueError: If the weights do not fit.
    """
    network = build_hrnet(variant, joints)
    load_weights(network, weights, source)
    return ClipMaps(network=network, features=features).eval().requires_grad_(requires_grad=False)
