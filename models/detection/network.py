"""Person detectors: a small FCOS for the embedded data set, or any detector of torchvision.

All detectors follow torchvision's interface: they take a list of images and return a list of
boxes, scores and labels. The label of people is ``PERSON``.
"""

from collections import OrderedDict

import torchvision
from torch import Tensor, nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork

PERSON = 1
"""Label of people, among torchvision's 91 COCO labels and among the two of the small detector."""
COCO_LABELS = 91

_WIDTHS = (24, 32, 64, 96, 128)
"""Channels of the small detector's backbone at strides 2, 4, 8, 16 and 32."""
_CHANNELS = 64
_HEAD_CONVOLUTIONS = 2
"""Convolutions per branch of the head; torchvision's default of 4 would dominate the network."""
_STRIDES = (8, 16, 32)
_SHORT_SIDE, _LONG_SIDE = 240, 320


class SmallPyramid(nn.Module):
    """Convolutional backbone with a feature pyramid at strides 8, 16 and 32.

    FCOS assigns a person to a level by the largest distance from a cell to a side of the box: up to
    64 pixels, up to 128 pixels, and above. These limits correspond to people of up to half the
    height of the frame, up to the full height, and above.
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
        """Return the pyramid levels at strides 8, 16 and 32, ``(B, 64, H / stride, W / stride)``.

        Args:
            images: Normalized RGB, ``(B, 3, H, W)``; H and W are multiples of 32.
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
        # Lower than the threshold of the pipeline (detect.score_min), which selects the boxes.
        score_thresh=0.05,
    )
    return detector


def build_detector(variant: str) -> nn.Module:
    """Build a detector with random weights, in evaluation mode.

    In evaluation mode the forward pass takes a list of RGB images ``(3, H, W)``, float in [0, 1],
    of any sizes. It returns one dict per image: ``boxes`` ``(n, 4)``, xyxy in pixels of that image,
    ``scores`` ``(n,)`` in descending order, and ``labels`` ``(n,)``, ``PERSON`` for people.

    Args:
        variant: ``tiny``, a small network for frames of about 240x320, or the name of a detector
            in torchvision, such as ``fasterrcnn_resnet50_fpn_v2``.

    Raises:
        ValueError: If ``variant`` is unknown.
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
