"""HRNet for pose (Sun et al., "Deep High-Resolution Representation Learning", CVPR 2019).

The network is timm's ``HighResolutionNet``; only the last 1x1 convolution is ours. timm's
``features_only`` models are not used: their default maps are outputs of the classification head
(64, 128, ... channels), not the high-resolution branch that the pose network reads.

The parameters are those of the official pose network, one for one: ``backbone.<name>`` is its
``<name>``, ``final_layer.weight`` and ``final_layer.bias`` are its heatmap layer.

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
"""C of every variant."""


class HRNetOutput(NamedTuple):
    """What HRNet says about a batch of crops, both at a quarter of the input's resolution."""

    heatmaps: Tensor
    """Heatmaps, ``(B, K, H / 4, W / 4)``, about 1 at a joint."""
    features: Tensor
    """High-resolution maps that ``heatmaps`` are read from, ``(B, C, H / 4, W / 4)``."""


class HRNetPose(nn.Module):
    """HRNet for single-frame pose estimation (Sun et al. 2019, Sec. 3).

    Args:
        config: timm's description of the stages.
        joints: Number of joints K.
    """

    def __init__(self, *, config: dict[str, Any], joints: int) -> None:
        from timm.models.hrnet import HighResolutionNet  # noqa: PLC0415  takes seconds

        super().__init__()
        self.normalize = ImageNetNormalization()
        self.backbone = HighResolutionNet(config, head="")
        # The last exchange also feeds the lower branches, which nothing reads here. The official
        # pose network has no such layers (pose_hrnet.py, multi_scale_output=False in stage 4).
        last = self.backbone.stage4[-1]
        last.fuse_layers = last.fuse_layers[:1]
        self.final_layer = nn.Conv2d(config["stage4"]["num_channels"][0], joints, kernel_size=1)
        nn.init.normal_(self.final_layer.weight, std=0.001)

    def forward(self, images: Tensor) -> HRNetOutput:
        """Return the heatmaps of every crop and the maps that they are read from.

        Args:
            images: RGB crops, ``(B, 3, H, W)``, float, in [0, 1]; H and W are multiples of 32.

        Returns:
            Heatmaps ``(B, K, H / 4, W / 4)`` and features ``(B, C, H / 4, W / 4)``.

        Raises:
            ValueError: If H or W is no multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % 32 or width % 32:
            raise ValueError(
                f"HRNet halves its input 5 times: expected a height and a width that are multiples "
                f"of 32, got {height}x{width}; choose another crop.hrnet input size"
            )
        features: Tensor = self.backbone.forward_features(self.normalize(images))[0]
        return HRNetOutput(heatmaps=self.final_layer(features), features=features)


def build_hrnet(variant: str, joints: int) -> HRNetPose:
    """Build an HRNet with random weights, in evaluation mode.

    Args:
        variant: ``w48`` or ``w32``, the official networks (48 and 32 channels at a quarter of the
            resolution), or ``tiny``, a small one of the same family (32 channels) that the
            embedded data set is made for.
        joints: Number of joints K.

    Raises:
        ValueError: If ``variant`` is none of these.
    """
    if variant not in _CHANNELS:
        raise ValueError(f"HRNet variant: expected one of {sorted(_CHANNELS)}, got {variant!r}")
    return HRNetPose(config=_config(variant), joints=joints).eval()


def feature_channels(variant: str) -> int:
    """Return C, the channels of ``HRNetOutput.features``, without building the network."""
    return _CHANNELS[variant]


def _config(variant: str) -> dict[str, Any]:
    if variant == "tiny":
        return _TINY
    from timm.models.hrnet import cfg_cls  # noqa: PLC0415  as above

    config: dict[str, Any] = cfg_cls[f"hrnet_{variant}"]
    return config
