"""HRNet applied to the crops of clips, as in the stages ``heatmaps`` and ``features``.

Shapes: B clips, T frames, H x W pixels, K joints, C channels.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.hrnet.network import build_hrnet


class ClipMaps(nn.Module):
    """Heatmaps or features of every frame of a clip.

    Args:
        network: HRNet with loaded weights.
        features: Whether to return the features before the last layer instead of heatmaps.
    """

    def __init__(self, *, network: nn.Module, features: bool) -> None:
        super().__init__()
        self.network = network
        self.features = features

    def forward(self, crops: Tensor) -> Tensor:
        """Return the heatmaps or features of a batch of clips.

        Args:
            crops: RGB, ``(B, T, H, W, 3)``, uint8.

        Returns:
            Heatmaps ``(B, T, K, H / 4, W / 4)`` or features ``(B, T, C, H / 4, W / 4)``.
        """
        output = self.network(crops_to_images(crops))
        maps: Tensor = output.features if self.features else output.heatmaps
        return maps.reshape(*crops.shape[:2], *maps.shape[1:])


def build_clip_maps(
    weights: Mapping[str, Tensor],
    source: str,
    crop_size: tuple[int, int],  # noqa: ARG001  HRNet accepts any size
    *,
    variant: str,
    joints: int,
    features: bool,
) -> nn.Module:
    """Build the frozen network for the stages ``heatmaps`` and ``features``.

    Args:
        weights: Tensors of all parameters and buffers by name.
        source: Name of the weights in error messages.
        crop_size: (height, width) of the crops in pixels.
        variant: Variant of HRNet.
        joints: Number of joints K.
        features: Whether to return features; see ``ClipMaps``.

    Raises:
        ValueError: If the weights do not fit.
    """
    network = build_hrnet(variant, joints)
    load_weights(network, weights, source)
    return ClipMaps(network=network, features=features).eval().requires_grad_(requires_grad=False)
