"""Published networks by the names that their weights have in the project."""

from collections.abc import Callable, Iterator, Mapping
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
from models.published.rules import ConversionStep, ConvertedWeights, add_batch_counters
from models.published.vit import convert_vit
from models.raft.network import build_raft
from models.vit.network import LAYER_NORM_EPSILON, build_vit

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
    input_size: tuple[int, int] | None = None
    """(height, width) of the crops that the weights were trained on; None for any size."""


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
        variant = _VITS[name]
        convert = partial(convert_vit, input_size=_INPUT_SIZE)
        network = partial(build_vit, variant, _INPUT_SIZE)
        return PublishedNetwork("vit", variant, convert, network, _INPUT_SIZE)
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
        Tensors of every parameter and buffer by name, in the dtypes of the network, with
        ``LAYER_NORM_EPSILON`` if the network has LayerNorms; the conversion with the batch
        counters and the casts.

    Raises:
        ValueError: As in ``models.base.weights.load_weights``.
    """
    with torch.device("meta"):
        network = published.build()
    # Every returned value is copied from the file, so random initialization is skipped.
    network = network.to_empty(device="cpu")
    complete = add_batch_counters(converted, network.state_dict())
    load_weights(network, complete.weights, source)
    tensors = network.state_dict()
    steps = [*_casts(complete.weights, tensors)]
    if complete.layer_norm_epsilon is not None:
        epsilon = torch.tensor(complete.layer_norm_epsilon, dtype=torch.float64)
        tensors[LAYER_NORM_EPSILON] = epsilon
        what = f"epsilon of the LayerNorms, {complete.layer_norm_epsilon:g}"
        steps.append(ConversionStep(what, "added", 1, LAYER_NORM_EPSILON))
    return tensors, complete._replace(table=(*complete.table, *steps))


def _casts(
    weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> Iterator[ConversionStep]:
    """Yield a step for every pair of dtypes, in the file and in the network, that differ."""
    names: dict[tuple[torch.dtype, torch.dtype], list[str]] = {}
    for name, tensor in tensors.items():
        names.setdefault((weights[name].dtype, tensor.dtype), []).append(name)
    for (given, kept), cast in names.items():
        if given != kept:
            what = f"{given} to {kept}".replace("torch.", "")
            yield ConversionStep(what, "cast", len(cast), cast[0])
