"""Forward passes of imported networks, as ``posereel run-network`` does them."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.hrnet.network import build_hrnet
from models.published.catalog import PublishedNetwork, find_published
from models.raft.network import build_raft
from models.vit.network import load_vit
from pipeline.core.networks.devices import pick_device
from pipeline.core.networks.weights import read_weights
from pipeline.core.skeleton import JOINTS

Network = tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]
"""A network and its forward pass for uint8 crops ``(B, F, H, W, 3)``; F is 2 for RAFT, else 1."""


def run_network(
    name: str,
    source: Path,
    weights: Path,
    *,
    batch: int,
    updates: int,
    device: Literal["auto", "cpu", "cuda"],
) -> NDArray[np.float32]:
    """Return the outputs of an imported network for the crops of a file.

    Args:
        name: Name of the weights, such as ``hrnet_w48``.
        source: File of ``numpy.save``: uint8 RGB ``(N, H, W, 3)``, ``(N, 2, H, W, 3)`` for RAFT.
        weights: Folder of the weights.
        batch: Crops or pairs per forward pass.
        updates: Refinement steps of RAFT.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        Heatmaps ``(N, 15, H / 4, W / 4)``, tokens ``(N, H / 16 * W / 16, D)``, or the flow from the
        first to the second crop of each pair, (dx, dy) in pixels, ``(N, 2, H, W)``.

    Raises:
        ValueError: If the name is unknown or the array does not fit.
    """
    published = find_published(name, len(JOINTS))
    if published is None or published.family == "detector":
        raise ValueError(
            f"{name}: expected the name of an HRNet, a ViTPose or a RAFT, such as hrnet_w48, "
            "vitpose_l or raft_large; the stage detect writes the boxes of a detector"
        )
    crops = _read_crops(source, frames=2 if published.family == "raft" else 1)
    size = crops.shape[2], crops.shape[3]
    if published.input_size not in (None, size):
        raise ValueError(
            f"{source}: expected crops of {published.input_size} pixels (height, width) for "
            f"{name}, got {size}; crop the people to this size"
        )
    network, forward = _load(published, weights / f"{name}.safetensors", size, updates)
    chosen = pick_device(device)
    network = network.to(chosen).eval()
    exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
    with torch.inference_mode(), exact:
        parts = [
            forward(network, torch.from_numpy(crops[start : start + batch]).to(chosen)).cpu()
            for start in range(0, len(crops), batch)
        ]
    return torch.cat(parts).float().numpy()


def _load(
    published: PublishedNetwork, file: Path, crop_size: tuple[int, int], updates: int
) -> Network:
    tensors = read_weights(file)
    if published.family == "vit":
        vit = load_vit(tensors, str(file), crop_size, published.variant)
        return vit, lambda network, crops: network(crops_to_images(crops))
    if published.family == "hrnet":
        hrnet = build_hrnet(published.variant, len(JOINTS))
        load_weights(hrnet, tensors, str(file))
        return hrnet, lambda network, crops: network(crops_to_images(crops)).heatmaps
    raft = build_raft(published.variant, updates)
    load_weights(raft, tensors, str(file))
    return raft, lambda network, crops: network(*crops.permute(1, 0, 4, 2, 3))


def _read_crops(path: Path, frames: int) -> NDArray[np.uint8]:
    """Return the crops, ``(N, F, H, W, 3)``."""
    shape = "(N, 2, H, W, 3)" if frames == 2 else "(N, H, W, 3)"
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: expected an array of numpy.save, got {error}") from error
    crops = found if frames == 2 or found.ndim != 4 else found[:, None]
    fits = crops.ndim == 5 and crops.shape[1] == frames and crops.shape[4] == 3 and crops.size
    if crops.dtype != np.uint8 or not fits:
        raise ValueError(
            f"{path}: expected RGB crops, uint8 {shape}, got {found.dtype} {found.shape}; save "
            "them as they are before any normalization"
        )
    return np.ascontiguousarray(crops)
