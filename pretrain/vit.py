"""Pretrain the tiny ViT: every token says what the heatmaps look like on its own patch.

The head is one linear layer, so that a small decoder can read the tokens later. A transformer
learns slowly from few pictures; two starting points make up for some of it: patches begin as
their lowest frequencies, positions as waves.
"""

import math
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from torch import Tensor, nn

from models.vit.network import ViTBackbone, build_vit
from models.vit.sizes import PATCH
from pipeline.core.grid import STRIDE
from pipeline.core.params import Section, read_section
from pipeline.core.skeleton import JOINTS
from pretrain.crops import Batch, Crops, batches
from pretrain.fitting import Fitting, fit
from pretrain.scenes import read_scenes

app = typer.Typer(add_completion=False)

_CELLS = PATCH // STRIDE


class ViT(Section):
    """Params of this run."""

    variant: str
    """Variant of models/vit/network.py."""
    scenes: list[str]
    """Sets of rendered videos that it is trained on."""
    crops: Crops
    """Its crops."""
    fitting: Fitting
    """Its run."""


class TokenReader(nn.Module):
    """The backbone, and the linear layer that reads heatmaps off its tokens.

    Args:
        backbone: What is pretrained.
        joints: Number of joints K.
    """

    def __init__(self, *, backbone: ViTBackbone, joints: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.read = nn.Linear(backbone.embed_dim, joints * _CELLS**2)
        nn.init.normal_(self.read.weight, std=0.001)
        self.unfold = nn.PixelShuffle(_CELLS)

    def forward(self, images: Tensor) -> Tensor:
        """Return heatmaps ``(B, K, H / 4, W / 4)`` of images ``(B, 3, H, W)`` in [0, 1]."""
        patches: Tensor = self.read(self.backbone(images)).transpose(1, 2)
        heatmaps: Tensor = self.unfold(patches.reshape(*patches.shape[:2], *self.backbone.grid))
        return heatmaps


def frequencies(count: int) -> Tensor:
    """Return the lowest cosines on a patch, ``(count, 16, 16)``, slow ones first.

    They are orthogonal, and of a length that grows with the frequency f as the rendered pictures'
    contents fall, by about 1 / f^2: their answers to a picture have deviations of about 1.
    """
    n = torch.arange(PATCH, dtype=torch.float64)
    waves = torch.cos(math.pi * (n + 0.5) * n[:, None] / PATCH) * math.sqrt(2 / PATCH)
    waves[0] /= math.sqrt(2)
    pairs = sorted((math.hypot(u, v), u, v) for u in range(PATCH) for v in range(PATCH))
    chosen = pairs[:count]
    return torch.stack(
        [0.05 * (1 + f) * waves[u][:, None] * waves[v] for f, u, v in chosen]
    ).float()


@torch.no_grad()
def start(backbone: ViTBackbone) -> None:
    """Set the first weights of patches (cosines of lightness and of two colors) and positions."""
    dim = backbone.embed_dim
    color = dim // 5
    opponents = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]])
    opponents = opponents / opponents.norm(dim=1, keepdim=True)
    filters = [
        frequencies(count)[:, None] * mix[:, None, None]
        for count, mix in zip((dim - 2 * color, color, color), opponents, strict=True)
    ]
    embeddings = backbone.backbone.embeddings
    embeddings.patch_embeddings.projection.weight.copy_(torch.cat(filters))
    places = torch.meshgrid(*(torch.arange(n) for n in backbone.grid), indexing="ij")
    rates = math.pi / 2 * torch.logspace(0, -1, dim // 4)
    phases = [place.flatten()[:, None] * rates for place in places]
    waves = [wave for phase in phases for wave in (phase.sin(), phase.cos())]
    embeddings.position_embeddings.zero_()
    embeddings.position_embeddings[0, 1:] = 0.5 * torch.cat(waves, dim=1)


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    images, targets = batch
    heatmaps: Tensor = network(images)
    return 100 * (heatmaps.float() - targets).square().mean()


@app.command()
def main(
    scenes: Annotated[Path, typer.Option(help="Folder of scenes.")] = Path("pretrain/out/scenes"),
    out: Annotated[Path, typer.Option(help="Weights to write.")] = Path(
        "pretrain/out/vit.safetensors"
    ),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("pretrain/params.yaml"),
) -> None:
    """Fit the network and write the average of its weights, linear head included, to OUT."""
    run = read_section(params, "vit", ViT)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(run.fitting.seed)
    backbone = build_vit(run.variant, run.crops.size)
    start(backbone)
    source = batches(
        [read_scenes(scenes / name) for name in run.scenes], run.crops, run.fitting.batch
    )
    reader = TokenReader(backbone=backbone, joints=len(JOINTS))
    hidden = [p for p in backbone.backbone.encoder.parameters() if p.ndim == 2]
    fit(reader, _loss, source, run.fitting, out, hidden)
    typer.echo(f"{out}: {run.fitting.steps} steps of {run.fitting.batch} crops")


if __name__ == "__main__":
    app()
