"""Published networks by the names that their weights have in the project."""

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
from models.published.rules import ConvertedWeights, add_batch_counters
from models.published.vit import convert_vit
from models.raft.network import build_raft
from models.vit.network import build_vit
from models.vit.sizes import PATCH

Family = Literal["hrnet", "vit", "raft", "detector"]
Convert = Callable[[Mapping[str, Tensor], str], ConvertedWeights]

_HRNETS = {"hrnet_w32": "w32", "hrnet_w48": "w48"}
_VITS = {
    "vitpose_s": "vit_small",
    "vitpose_b": "vit_base",
    "vitpose_l": "vit_large",
    "vitpose_h": "vit_huge",
}
_RAFTS = ("raft_large", "raft_small")
_INPUT_SIZE = (256, 192)
"""(height, width) of every published ViTPose: 16 x 12 tokens."""


class PublishedNetwork(NamedTuple):
    """A network with published weights."""

    family: Family
    variant: str
    """Name of the variant in the params of the stages."""
    convert: Convert
    """Converts tensors by their names in the file; the second argument names the file in errors."""
    build: Callable[[], nn.Module]


def find_published(name: str, joints: int) -> PublishedNetwork | None:
    """Return the published network of a name, or None if there is none.

    Args:
        name: Name of the weights, such as ``hrnet_w48``, ``vitpose_l``, ``raft_large`` or a
            detector of torchvision.
        joints: Number of joints K of a pose network's head.
    """
    if name in _HRNETS:
        variant = _HRNETS[name]
        build = partial(build_hrnet, variant, joints)
        return PublishedNetwork("hrnet", variant, convert_hrnet, build)
    if name in _VITS:
        variant, (height, width) = _VITS[name], _INPUT_SIZE
        convert = partial(convert_vit, tokens=height // PATCH * (width // PATCH))
        return PublishedNetwork("vit", variant, convert, partial(build_vit, variant, _INPUT_SIZE))
    if name in _RAFTS:
        return PublishedNetwork("raft", name, convert_raft, partial(build_raft, name))
    if name in _detectors():
        convert = partial(convert_detector, variant=name)
        return PublishedNetwork("detector", name, convert, partial(build_detector, name))
    return None


def list_published() -> list[str]:
    """Return the names that ``find_published`` accepts."""
    return [*_HRNETS, *_VITS, *_RAFTS, *_detectors()]


def _detectors() -> list[str]:
    """Return torchvision's detectors of COCO's 91 labels. Keypoint R-CNN has only people."""
    names = torchvision.models.list_models(module=torchvision.models.detection)
    return [name for name in names if not name.startswith("keypointrcnn")]


def load_converted(
    published: PublishedNetwork, converted: ConvertedWeights, source: str
) -> tuple[dict[str, Tensor], ConvertedWeights]:
    """Load converted weights into the network and return its state dict and the conversion.

    Args:
        published: The network.
        converted: Result of ``published.convert``.
        source: Name of the file in error messages.

    Returns:
        Tensors of every parameter and buffer by name, in the dtypes of the network; the conversion
        with the batch counters that were added.

    Raises:
        ValueError: If a tensor is missing, unexpected, of another shape or not finite.
    """
    with torch.device("meta"):
        network = published.build()
    # Every returned value is copied from the file, so random initialization is skipped.
    network = network.to_empty(device="cpu")
    complete = add_batch_counters(converted, network.state_dict())
    load_weights(network, complete.weights, source)
    return network.state_dict(), complete
