"""Run an imported network on an array of crops.

IN.npy holds uint8 RGB crops: ``(N, H, W, 3)`` for HRNet and ViTPose, pairs ``(N, 2, H, W, 3)`` for
RAFT. OUT.npy gets, in float32, heatmaps ``(N, 15, H / 4, W / 4)``, tokens ``(N, H / 16 * W / 16,
D)``, or the flow from the first to the second of each pair, (dx, dy) in pixels, ``(N, 2, H, W)``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from models.base.crops import crops_to_images
from models.base.weights import load_weights
from models.hrnet.network import build_hrnet
from models.published.catalog import PublishedNetwork, find_published
from models.raft.network import build_raft
from models.vit.network import build_vit
from pipeline.networks.devices import pick_device
from pipeline.networks.weights import read_weights
from pipeline.skeleton import JOINTS

Network = tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]
"""A network, and what it makes of a batch ``(B, F, H, W, 3)`` of uint8, F = 2 for RAFT, else 1."""


def main(
    name: Annotated[str, typer.Argument(help="Weights of data/weights, by --as's name.")],
    source: Annotated[Path, typer.Argument(metavar="IN.npy", help="uint8 RGB crops.")],
    out: Annotated[Path, typer.Argument(metavar="OUT.npy", help="Array to write.")],
    batch: Annotated[int, typer.Option(min=1, help="Crops or pairs per forward pass.")] = 8,
    updates: Annotated[int, typer.Option(min=1, help="RAFT's refinements.")] = 20,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where.")] = "auto",
    weights: Annotated[Path, typer.Option(help="Folder of weights.")] = Path("data/weights"),
) -> None:
    """Write what the network NAME makes of the crops in IN.npy to OUT.npy."""
    published = find_published(name, len(JOINTS))
    if published is None or published.family == "detector":
        raise ValueError(
            f"{name}: expected the name of an HRNet, a ViTPose or a RAFT, such as hrnet_w48, "
            "vitpose_l or raft_large; boxes of a detector are what the stage detect writes"
        )
    crops = _read_crops(source, frames=2 if published.family == "raft" else 1)
    network, run = _build(published, crops.shape[2:4], updates)
    file = weights / f"{name}.safetensors"
    load_weights(network, read_weights(file), str(file))
    chosen = pick_device(device)
    network = network.to(chosen).eval()
    exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
    with torch.inference_mode(), exact:
        parts = [
            run(network, torch.from_numpy(crops[start : start + batch]).to(chosen)).cpu()
            for start in range(0, len(crops), batch)
        ]
    values = torch.cat(parts).float().numpy()
    _write(out, values)
    typer.echo(f"run-network: wrote {values.shape} of {name} to {out}")


def _build(published: PublishedNetwork, crop_size: tuple[int, int], updates: int) -> Network:
    if published.family == "hrnet":
        hrnet = build_hrnet(published.variant, len(JOINTS))
        return hrnet, lambda network, crops: network(crops_to_images(crops)).heatmaps
    if published.family == "vit":
        vit = build_vit(published.variant, crop_size)
        return vit, lambda network, crops: network(crops_to_images(crops))
    raft = build_raft(published.variant, updates)
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


def _write(path: Path, values: NDArray[np.float32]) -> None:
    """Write an array whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.save(file, values)
    partial.replace(path)
