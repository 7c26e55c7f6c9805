"""ViT applied to the crops of clips, as in the stage ``tokens``.

Shapes: B clips, T frames, H x W pixels, N tokens, D channels.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.vit.network import load_vit


class ClipTokens(nn.Module):
    """Tokens of every frame of a clip.

    Args:
        network: ViT with loaded weights.
    """

    def __init__(self, *, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """Return the tokens ``(B, T, N, D)`` of uint8 RGB crops ``(B, T, H, W, 3)``."""
        tokens: Tensor = self.network(crops_to_images(crops))
        return tokens.reshape(*crops.shape[:2], *tokens.shape[1:])


def build_clip_tokens(
    weights: Mapping[str, Tensor], source: str, crop_size: tuple[int, int], *, variant: str
) -> nn.Module:
    """Build the frozen network for the stage ``tokens``.

    Args:
        weights: Tensors by name, as for ``load_vit``.
        source: Name of the weights in error messages.
        crop_size: (height, width) of the crops in pixels.
        variant: Variant of ViT.

    Raises:
        ValueError: If the weights or the crop size do not fit.
    """
    network = load_vit(weights, source, crop_size, variant)
    return ClipTokens(network=network).eval().requires_grad_(requires_grad=False)
