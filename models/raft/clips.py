"""RAFT applied to the crops of clips, as in the stage ``flow``.

Shapes: B clips, T frames, H x W pixels.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from models.base.weights import load_weights
from models.raft.network import build_raft, cells_from_pixels


class ClipFlow(nn.Module):
    """Optical flow from each frame of a clip to the next (JM-Pose, Eq. 1).

    Args:
        network: RAFT with loaded weights.
    """

    def __init__(self, *, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> Tensor:
        """Return the flow of a batch of clips.

        Args:
            crops: RGB, ``(B, T, H, W, 3)``, uint8.

        Returns:
            (dx, dy) in heatmap cells per frame step, ``(B, T - 1, 2, H / 4, W / 4)``.
        """
        frames = crops.permute(0, 1, 4, 2, 3)
        first, second = (part.flatten(0, 1) for part in (frames[:, :-1], frames[:, 1:]))
        flow = cells_from_pixels(self.network(first, second))
        return flow.reshape(len(crops), -1, *flow.shape[1:])


def build_clip_flow(
    weights: Mapping[str, Tensor],
    source: str,
    crop_size: tuple[int, int],  # noqa: ARG001  RAFT accepts any size
    *,
    variant: str,
    updates: int,
    scale: float,
) -> nn.Module:
    """Build the frozen network for the stage ``flow``.

    Args:
        weights: Tensors of all parameters and buffers by name.
        source: Name of the weights in error messages.
        crop_size: (height, width) of the crops in pixels.
        variant: Variant of RAFT.
        updates: Number of flow updates per pair of frames.
        scale: Factor by which crops are enlarged before; see ``RAFTFlow``.

    Raises:
        ValueError: If the weights do not fit.
    """
    network = build_raft(variant, updates, scale)
    load_weights(network, weights, source)
    return ClipFlow(network=network).eval().requires_grad_(requires_grad=False)
