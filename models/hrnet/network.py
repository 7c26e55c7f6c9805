"""HRNet for pose (Sun et al., "Deep High-Resolution Representation Learning", CVPR 2019).

The network is timm's ``HighResolutionNet`` with a 1x1 convolution on top. timm's ``features_only``
models are not suitable: by default they return outputs of the classification head (64, 128, ...
channels), not the high-resolution branch that the pose network uses.

The parameters correspond one to one to those of the official pose network: ``backbone.<name>`` is
its ``<name>``; ``final_layer.weight`` and ``final_layer.bias`` are its heatmap layer.

Shapes: B images, K joints, C channels of the high-resolution branch, H x W pixels.
"""

from typing import Any, NamedTuple

from torch import Tensor, nn

from models.base.normalization import ImageNetNormalization


def _stage(
    modules: int, blocks: int, widths: tuple[int, ...], block: str = "BASIC"
) -> dict[str, Any]:
    return {
        "num_modules": modules,
        "num_branches": len(widths),
        "block_type": block,
        "num_blocks": (blocks,) * len(widths),
        "num_channels": widths,
        "fuse_method": "SUM",
    }


_TINY = {
    "stem_width": 32,
    "stage1": _stage(1, 1, (32,), block="BOTTLENECK"),
    "stage2": _stage(1, 1, (32, 48)),
    "stage3": _stage(2, 1, (32, 48, 96)),
    "stage4": _stage(1, 1, (32, 48, 96, 160)),
}
_CHANNELS = {"tiny": 32, "w32": 32, "w48": 48}
"""Number of channels C by variant."""


class HRNetOutput(NamedTuple):
    """Output of HRNet for a batch of crops, at a quarter of the input resolution."""

    heatmaps: Tensor
    """Heatmaps, ``(B, K, H / 4, W / 4)``, with peaks of about 1."""
    features: Tensor
    """Input of the last layer, ``(B, C, H / 4, W / 4)``."""


class HRNetPose(nn.Module):
    """HRNet for single-frame pose estimation (Sun et al. 2019, Sec. 3).

    Args:
        config: Configuration of the stages in timm's format.
        joints: Number of joints K.
    """

    def __init__(self, *, config: dict[str, Any], joints: int) -> None:
        from timm.models.hrnet import HighResolutionNet  # noqa: PLC0415  takes seconds

        super().__init__()
        self.normalize = ImageNetNormalization()
        self.backbone = HighResolutionNet(config, head="")
        # The last fusion also computes the lower branches, which are not used. The official pose
        # network lacks these layers (pose_hrnet.py, multi_scale_output=False in stage 4).
        last = self.backbone.stage4[-1]
        last.fuse_layers = last.fuse_layers[:1]
        self.final_layer = nn.Conv2d(config["stage4"]["num_channels"][0], joints, kernel_size=1)
        nn.init.normal_(self.final_layer.weight, std=0.001)

    def forward(self, images: Tensor) -> HRNetOutput:
        """Return heatmaps and features of every crop.

        Args:
            images: RGB crops in [0, 1], ``(B, 3, H, W)``, float; H and W are multiples of 32.

        Returns:
            Heatmaps ``(B, K, H / 4, W / 4)`` and features ``(B, C, H / 4, W / 4)``.

        Raises:
            ValueError: If H or W is not a multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % 32 or width % 32:
            raise ValueError(
                "HRNet input: expected a height and a width that are multiples of 32, got "
                f"{height}x{width}; choose another size in crop.hrnet"
            )
        features: Tensor = self.backbone.forward_features(self.normalize(images))[0]
        return HRNetOutput(heatmaps=self.final_layer(features), features=features)


def build_hrnet(variant: str, joints: int) -> HRNetPose:
    """Build an HRNet with random weights, in evaluation mode.

    Args:
        variant: ``w48`` or ``w32``, the official networks (48 and 32 channels at a quarter of the
            resolution), or ``tiny``, a small network of the same family (32 channels) for the
            embedded data set.
        joints: Number of joints K.

    Raises:
        ValueError: If ``variant`` is unknown.
    """
    if variant not in _CHANNELS:
        raise ValueError(f"HRNet variant: expected one of {sorted(_CHANNELS)}, got {variant!r}")
    return HRNetPose(config=_config(variant), joints=joints).eval()


def feature_channels(variant: str) -> int:
    """Return the number of channels C of the features without building the network."""
    return _CHANNELS[variant]


def _config(variant: str) -> dict[str, Any]:
    if variant == "tiny":
        return _TINY
    from timm.models.hrnet import cfg_cls  # noqa: PLC0415  takes seconds

    config: dict[str, Any] = cfg_cls[f"hrnet_{variant}"]
    return config
