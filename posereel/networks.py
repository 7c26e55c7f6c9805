"""Networks at the sizes of a params file, with inputs for one forward pass."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models.detection.network import build_detector
from models.head_parts.lookup import all_systems
from models.hrnet.network import build_hrnet, feature_channels
from models.raft.network import build_raft
from models.vit.network import build_vit
from models.vit.sizes import PATCH, embed_dim
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.grid import grid_size
from pipeline.core.params import read_params
from pipeline.core.skeleton import JOINTS
from posereel.configured_head import read_head

Size = tuple[int, int]
Example = tuple[nn.Module, dict[str, object]]
"""A network and the arguments of one forward pass."""


def _hrnet(values: dict[str, Any], params: Path) -> Example:
    network = build_hrnet(values["finetune_backbone"]["variant"], len(JOINTS))
    return network, {"images": torch.empty(1, 3, *read_crop_size(params, "hrnet"))}


def _vit_backbone(values: dict[str, Any], params: Path) -> Example:
    size = read_crop_size(params, "vit")
    return build_vit(values["tokens"]["variant"], size), {"images": torch.empty(1, 3, *size)}


def _raft(values: dict[str, Any], params: Path) -> Example:
    size = read_crop_size(params, "hrnet")
    image = torch.empty(1, 3, *size, dtype=torch.uint8)
    flow = values["flow"]
    network = build_raft(flow["variant"], flow["updates"], flow["scale"])
    return network, {"first": image, "second": image}


def _detector(values: dict[str, Any], _params: Path) -> Example:
    size = values["render"]["height"], values["render"]["width"]
    # Not on the meta device: the detections decide the shapes of the last layers.
    with torch.device("cpu"):
        return build_detector(values["detect"]["variant"]), {"images": [torch.zeros(3, *size)]}


def cache_shapes(values: dict[str, Any], crop: Size, frames: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of a clip's row in every cache."""
    height, width = crop
    grid = grid_size(crop)
    tokens = (height // PATCH) * (width // PATCH)
    return {
        "heatmaps": (frames, len(JOINTS), *grid),
        "flow": (frames - 1, 2, *grid),
        "features": (frames, feature_channels(values["finetune_backbone"]["variant"]), *grid),
        "tokens": (frames, tokens, embed_dim(values["tokens"]["variant"])),
    }


def _head(values: dict[str, Any], params: Path, *, name: str) -> Example:
    configured = read_head(params, name)
    every = cache_shapes(values, configured.crop_size, configured.system.frames)
    shapes = {kind: every[kind] for kind in configured.system.caches}
    inputs = {kind: torch.empty(1, *shape) for kind, shape in shapes.items()}
    return configured.network(shapes).eval(), {**inputs}


BACKBONES: dict[str, Callable[[dict[str, Any], Path], Example]] = {
    "hrnet": _hrnet,
    "vit_backbone": _vit_backbone,
    "raft": _raft,
    "detector": _detector,
}


def trained_systems() -> list[str]:
    """Return the systems that have a network with parameters."""
    return [name for name, system in all_systems().items() if system.trained]


def example(name: str, params: Path) -> Example:
    """Return a network at the sizes of a params file, untrained, with inputs for one pass.

    Args:
        name: One of ``BACKBONES``, or a trained system.
        params: The params file.
    """
    build = BACKBONES.get(name, partial(_head, name=name))
    return build(read_params(params), params)
