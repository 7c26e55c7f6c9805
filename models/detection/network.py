"""Person detectors: a small FCOS of the project's own, or any detector that torchvision can build.

All of them speak torchvision's language: a list of images in, a list of boxes, scores and labels
out, and label ``PERSON`` is a person.
"""

from collections import OrderedDict

import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork

PERSON = 1
"""The label of people, in COCO's 91 labels of torchvision and in the two of the small detector."""
COCO_LABELS = 91

_WIDTHS = (24, 32, 64, 96, 128)
"""Channels at strides 2, 4, 8, 16 and 32 of the small detector's backbone."""
_CHANNELS = 64
_HEAD_CONVOLUTIONS = 2
"""Convolutions per branch of the head; torchvision's default of 4 would be most of the network."""
_STRIDES = (8, 16, 32)
_SHORT_SIDE, _LONG_SIDE = 240, 320


class SmallPyramid(nn.Module):
    """A plain convolutional backbone and a feature pyramid with levels at strides 8, 16 and 32.

    FCOS sends a person to the level by the largest distance from a cell to a side of the box: up
    to 64, 128 and more pixels, which is people up to half, all and more of the frame's height.
    """

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = _CHANNELS
        blocks: list[nn.Module] = []
        channels = 3
        for width in _WIDTHS:
            blocks.append(
                nn.Sequential(
                    Conv2dNormActivation(channels, width, stride=2),
                    *([Conv2dNormActivation(width, width)] if len(blocks) > 1 else []),
                )
            )
            channels = width
        self.blocks = nn.ModuleList(blocks)
        self.pyramid = FeaturePyramidNetwork(list(_WIDTHS[2:]), _CHANNELS)

    def forward(self, images: Tensor) -> "OrderedDict[str, Tensor]":
        """Return the pyramid's maps at strides 8, 16, 32, ``(B, 64, H / stride, W / stride)``.

        Args:
            images: Normalized RGB, ``(B, 3, H, W)``, H and W multiples of 32.
        """
        maps: OrderedDict[str, Tensor] = OrderedDict()
        for index, block in enumerate(self.blocks):
            images = block(images)
            if index > 1:
                maps[f"stride{2 ** (index + 1)}"] = images
        levels: OrderedDict[str, Tensor] = self.pyramid(maps)
        return levels


def _build_small() -> nn.Module:
    detector: nn.Module = FCOS(
        SmallPyramid(),
        num_classes=2,
        min_size=_SHORT_SIDE,
        max_size=_LONG_SIDE,
        anchor_generator=AnchorGenerator(tuple((s,) for s in _STRIDES), ((1.0,),) * len(_STRIDES)),
        head=FCOSHead(_CHANNELS, num_anchors=1, num_classes=2, num_convs=_HEAD_CONVOLUTIONS),
        # Below the pipeline's own threshold (detect.score_min), which decides what is kept.
        score_thresh=0.05,
    )
    return detector


def build_detector(variant: str) -> nn.Module:
    """Build a detector with random weights, in evaluation mode.

    In evaluation mode its forward takes a list of RGB images ``(3, H, W)``, float in [0, 1], of
    any sizes, and returns per image a dict of ``boxes`` ``(n, 4)``, xyxy in pixels of that image,
    ``scores`` ``(n,)`` in descending order and ``labels`` ``(n,)``; people have label ``PERSON``.

    Args:
        variant: ``tiny``, the project's own for frames of about 240x320, or the name of a
            detector in torchvision, such as ``fasterrcnn_resnet50_fpn_v2``.

    Raises:
        ValueError: If ``variant`` is neither.
    """
    if variant == "tiny":
        small = _build_small()
        small.eval()
        return small
    known = torchvision.models.list_models(module=torchvision.models.detection)
    if variant not in known:
        raise ValueError(f"detector: expected 'tiny' or one of {known}, got {variant!r}")
    detector: nn.Module = torchvision.models.get_model(
        variant, weights=None, weights_backbone=None, num_classes=COCO_LABELS
    )
    detector.eval()
    return detector
