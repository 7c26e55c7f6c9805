"""ViT over the crops of whole clips: what the stage tokens runs.

Shapes: B clips, T frames, H x W pixels, N tokens, D channels.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.vit.network import build_vit


class ClipTokens(nn.Module):
    """ViT's tokens of every frame of a clip.

    Args:
        network: ViT, with its weights.
    """

    def __init__(self, *, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """Return the tokens ``(B, T, N, D)`` of RGB crops ``(B, T, H, W, 3)``, uint8."""
        tokens: Tensor = self.network(crops_to_images(crops))
        return tokens.reshape(*crops.shape[:2], *tokens.shape[1:])


def build_clip_tokens(
    weights: Mapping[str, Tensor], source: str, crop_size: tuple[int, int], *, variant: str
) -> nn.Module:
    """Build the network, frozen.

    Args:
        weights: Tensor of every parameter and buffer by name.
        source: What errors call the weights.
        crop_size: (height, width) of the crops in pixels.
        variant: Variant of ViT.

    Raises:
        ValueError: If the weights or the crops do not fit.
    """
    network = build_vit(variant, crop_size)
    load_weights(network, weights, source)
    return ClipTokens(network=network).eval().requires_grad_(requires_grad=False)
