"""Every system as a network from the caches of clips to heatmaps of their key frames."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.base.weights import load_weights
from models.heads.controls.head import build_control
from models.heads.jmpose.head import build_jmpose
from models.heads.vremd.head import build_vremd


class KeyFrame(nn.Module):
    """The system ``hrnet``: the key frame's cached heatmaps as they are."""

    def forward(self, heatmaps: Tensor) -> Tensor:
        """Return ``(B, K, H, W)``, the middle one of T heatmaps ``(B, T, K, H, W)``."""
        return heatmaps[:, heatmaps.shape[1] // 2]


class CacheHead(nn.Module):
    """A head that takes its inputs out of a batch of caches by their names.

    Args:
        head: A head; its arguments have the names of the caches.
    """

    def __init__(self, *, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the heatmaps ``(B, K, h, w)`` of a batch, each cache ``(B, ...)`` by its kind."""
        out = self.head(**batch)
        heatmaps: Tensor = out if isinstance(out, Tensor) else out.heatmaps
        return heatmaps


def build_head(
    weights: Mapping[str, Tensor],
    source: str,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    system: str,
    arguments: Mapping[str, Any],
    joints: int,
    frames: int,
    crop_size: tuple[int, int],
) -> CacheHead:
    """Build a system with its weights, in evaluation mode.

    Args:
        weights: Tensor of every parameter and buffer by name.
        source: What errors call the weights.
        shapes: Shape of a clip's row in every cache that it reads, by kind.
        system: ``hrnet``, ``refine``, ``fuse``, ``jmpose``, ``vit``, ``fuse_vit`` or ``vremd``.
        arguments: Arguments of its constructor that params decide.
        joints: Number of joints K.
        frames: Frames T per clip.
        crop_size: Height and width of the crops, pixels.

    Raises:
        ValueError: If the system is unknown or the weights do not fit.
    """
    sizes: dict[str, Any] = {
        "joints": joints,
        "frames": frames,
        "shapes": shapes,
        "crop_size": crop_size,
    }
    head: nn.Module
    if system == "hrnet":
        head = KeyFrame()
    elif system == "jmpose":
        head = build_jmpose(arguments, **sizes)
    elif system == "vremd":
        head = build_vremd(arguments, **sizes)
    else:
        head = build_control(system, arguments, **sizes)
    load_weights(head, weights, source)
    return CacheHead(head=head).eval()
