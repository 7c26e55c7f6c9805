"""Frozen networks as functions of the crops of whole clips: what the cache stages run.

Shapes: B clips, T frames, H x W pixels, K joints, C and D channels, N tokens.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn

from models.hrnet import build_hrnet
from models.raft import build_raft, cells_from_pixels
from models.vit import build_vit
from models.weights import load_weights


class _Extractor(nn.Module):
    """A network that reads the crops of clips, uint8 RGB ``(B, T, H, W, 3)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class HeatmapExtractor(_Extractor):
    """HRNet's heatmaps of every frame, ``(B, T, K, H / 4, W / 4)``."""

    def forward(self, crops: Tensor) -> Tensor:
        """Return the heatmaps of crops ``(B, T, H, W, 3)``, uint8."""
        heatmaps: Tensor = self.network(_unit_frames(crops)).heatmaps
        return heatmaps.reshape(*crops.shape[:2], *heatmaps.shape[1:])


class FeatureExtractor(_Extractor):
    """The maps that HRNet reads its heatmaps from, ``(B, T, C, H / 4, W / 4)``."""

    def forward(self, crops: Tensor) -> Tensor:
        """Return the feature maps of crops ``(B, T, H, W, 3)``, uint8."""
        features: Tensor = self.network(_unit_frames(crops)).features
        return features.reshape(*crops.shape[:2], *features.shape[1:])


class TokenExtractor(_Extractor):
    """ViT's tokens of every frame, ``(B, T, N, D)``."""

    def forward(self, crops: Tensor) -> Tensor:
        """Return the tokens of crops ``(B, T, H, W, 3)``, uint8."""
        tokens: Tensor = self.network(_unit_frames(crops))
        return tokens.reshape(*crops.shape[:2], *tokens.shape[1:])


class FlowExtractor(_Extractor):
    """RAFT's flow from each frame to the next (JM-Pose, Eq. 1), ``(B, T - 1, 2, H / 4, W / 4)``."""

    def forward(self, crops: Tensor) -> Tensor:
        """Return the flow, heatmap cells per frame step, of crops ``(B, T, H, W, 3)``, uint8."""
        frames = crops.permute(0, 1, 4, 2, 3)
        first, second = (part.flatten(0, 1) for part in (frames[:, :-1], frames[:, 1:]))
        flow = cells_from_pixels(self.network(first, second))
        return flow.reshape(len(crops), -1, *flow.shape[1:])


def _unit_frames(crops: Tensor) -> Tensor:
    """Return the frames as RGB in [0, 1], ``(B * T, 3, H, W)``."""
    return crops.flatten(0, 1).permute(0, 3, 1, 2).float() / 255


def build_extractor(
    weights: Mapping[str, Tensor],
    source: str,
    crop_size: tuple[int, int],
    *,
    kind: Literal["heatmaps", "features", "tokens", "flow"],
    variant: str,
    joints: int,
    updates: int = 1,
) -> nn.Module:
    """Build a frozen network with its weights.

    Args:
        weights: Tensor of every parameter and buffer by name.
        source: What errors call the weights.
        crop_size: (height, width) of the crops.
        kind: What it shall give.
        variant: Variant of the network of that kind.
        joints: Number of joints K of HRNet's heatmaps.
        updates: RAFT's refinements.

    Returns:
        The network in evaluation mode, without gradients.

    Raises:
        ValueError: If the weights do not fit.
    """
    network: nn.Module
    if kind == "tokens":
        network = build_vit(variant, crop_size)
    elif kind == "flow":
        network = build_raft(variant, updates)
    else:
        network = build_hrnet(variant, joints)
    load_weights(network, weights, source)
    wrap: dict[str, type[_Extractor]] = {
        "heatmaps": HeatmapExtractor,
        "features": FeatureExtractor,
        "tokens": TokenExtractor,
        "flow": FlowExtractor,
    }
    return wrap[kind](network).eval().requires_grad_(requires_grad=False)
