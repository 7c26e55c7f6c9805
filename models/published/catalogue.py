"""The published networks by the names of their weights in the project."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import torch
import torchvision
from torch import Tensor, nn

from models.base.weights import load_weights
from models.detection.network import build_detector
from models.hrnet.network import build_hrnet
from models.published.detector import convert_detector
from models.published.hrnet import convert_hrnet
from models.published.raft import convert_raft
from models.published.rules import Converted, with_counters
from models.published.vit import convert_vit
from models.raft.network import build_raft
from models.vit.network import build_vit
from models.vit.sizes import PATCH

Family = Literal["hrnet", "vit", "raft", "detector"]
Convert = Callable[[Mapping[str, Tensor], str], Converted]

_HRNETS = {"hrnet_w32": "w32", "hrnet_w48": "w48"}
_VITS = {
    "vitpose_s": "vit_small",
    "vitpose_b": "vit_base",
    "vitpose_l": "vit_large",
    "vitpose_h": "vit_huge",
}
_RAFTS = ("raft_large", "raft_small")
_INPUT_SIZE = (256, 192)
"""Of every published ViTPose: 16 x 12 tokens."""


class Published(NamedTuple):
    """A network whose weights others publish."""

    family: Family
    variant: str
    """As the params of the stages call it."""
    convert: Convert
    build: Callable[[], nn.Module]


def find_published(name: str, joints: int) -> Published | None:
    """Return the network whose weights have a name in the project; None if there is none.

    Args:
        name: Such as ``hrnet_w48``, ``vitpose_l``, ``raft_large`` or a detector of torchvision.
        joints: Number of joints K that a pose network shall have.
    """
    if name in _HRNETS:
        variant = _HRNETS[name]
        return Published("hrnet", variant, convert_hrnet, partial(build_hrnet, variant, joints))
    if name in _VITS:
        variant, (height, width) = _VITS[name], _INPUT_SIZE
        convert = partial(convert_vit, tokens=height // PATCH * (width // PATCH))
        return Published("vit", variant, convert, partial(build_vit, variant, _INPUT_SIZE))
    if name in _RAFTS:
        return Published("raft", name, convert_raft, partial(build_raft, name))
    if name in _detectors():
        convert = partial(convert_detector, variant=name)
        return Published("detector", name, convert, partial(build_detector, name))
    return None


def published_names() -> list[str]:
    """Return the names that ``find_published`` knows."""
    return [*_HRNETS, *_VITS, *_RAFTS, *_detectors()]


def _detectors() -> list[str]:
    """Return torchvision's detectors of COCO's 91 labels; Keypoint R-CNN has people alone."""
    names = torchvision.models.list_models(module=torchvision.models.detection)
    return [name for name in names if not name.startswith("keypointrcnn")]


def fit(
    published: Published, converted: Converted, source: str
) -> tuple[dict[str, Tensor], Converted]:
    """Return what the network holds after loading, and the conversion with its last lines.

    Args:
        published: The network.
        converted: From ``published.convert``.
        source: What errors call the file.

    Returns:
        Tensor of every parameter and buffer by name, in the network's dtypes; the conversion.

    Raises:
        ValueError: If a tensor is missing, left over, of another shape or not finite.
    """
    with torch.device("meta"):
        network = published.build()
    # Everything that is returned is copied from the file: no time for random values.
    network = network.to_empty(device="cpu")
    whole = with_counters(converted, network.state_dict())
    load_weights(network, whole.weights, source)
    return network.state_dict(), whole
