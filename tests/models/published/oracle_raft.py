"""Literal RAFT (Teed and Deng, ECCV 2020) on the tensor names of its official files.

Follows Sec. 3 and Figs. 2 and 4 of the paper. Details that the paper leaves open (normalization,
padding, the order of the cells in a lookup, the factor of the mask) follow princeton-vl/RAFT.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.models.published.random_tensors import Weights

LEVELS = 4


def conv(x: Tensor, w: Weights, name: str, stride: int = 1) -> Tensor:
    kernel = w[f"{name}.weight"]
    padding = (kernel.shape[2] // 2, kernel.shape[3] // 2)
    return F.conv2d(x, kernel, w[f"{name}.bias"], stride=stride, padding=padding)


def norm(x: Tensor, w: Weights, name: str, kind: str) -> Tensor:
    """Apply instance normalization (features), batch normalization (context), or none."""
    if kind == "none":
        return x
    if kind == "instance":
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
        return (x - mean) / (var + 1e-5).sqrt()
    mean, var, scale, shift = (
        w[f"{name}.{part}"][:, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def encoder(x: Tensor, w: Weights, name: str, kind: str) -> Tensor:
    """Apply a stem of stride 2, three levels of two blocks and a 1x1: 1/8 of the resolution."""
    x = F.relu(norm(conv(x, w, f"{name}.conv1", 2), w, f"{name}.norm1", kind))
    for level in (1, 2, 3):
        for block in (0, 1):
            at = f"{name}.layer{level}.{block}"
            stride = 2 if level > 1 and block == 0 else 1
            bottleneck = f"{at}.conv3.weight" in w
            y = x
            for i in (1, 2, 3) if bottleneck else (1, 2):
                # Bottlenecks have the stride in the 3x3, basic blocks in the first convolution.
                own = stride if i == (2 if bottleneck else 1) else 1
                y = F.relu(norm(conv(y, w, f"{at}.conv{i}", own), w, f"{at}.norm{i}", kind))
            if f"{at}.downsample.0.weight" in w:
                x = conv(x, w, f"{at}.downsample.0", stride)
                x = norm(x, w, f"{at}.downsample.1", kind)
            x = F.relu(x + y)
    return conv(x, w, f"{name}.conv2")


def pyramid(first: Tensor, second: Tensor) -> list[Tensor]:
    """Return the correlation of all pairs of cells and its averages over 2, 4 and 8 cells."""
    b, c, h, w = first.shape
    volume = torch.einsum("bcij,bckl->bijkl", first, second) / c**0.5
    levels = [volume.reshape(b * h * w, 1, h, w)]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def look_up(levels: list[Tensor], positions: Tensor, radius: int) -> Tensor:
    """Sample (2 r + 1)^2 cells around each position on every level, column by column."""
    b, _, h, w = positions.shape
    steps = torch.arange(-radius, radius + 1).to(positions)
    dx, dy = torch.meshgrid(steps, steps, indexing="ij")
    read = []
    for level, volume in enumerate(levels):
        center = positions.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2) / 2**level
        at = center + torch.stack([dx, dy], dim=-1)
        limits = torch.tensor([volume.shape[3] - 1, volume.shape[2] - 1]).to(positions)
        found = F.grid_sample(volume, 2 * at / limits - 1, align_corners=True)
        read.append(found.reshape(b, h, w, -1))
    return torch.cat(read, dim=-1).permute(0, 3, 1, 2)


def gru(hidden: Tensor, x: Tensor, w: Weights, ending: str) -> Tensor:
    at = "update_block.gru.conv"
    both = torch.cat([hidden, x], dim=1)
    update = conv(both, w, f"{at}z{ending}").sigmoid()
    reset = conv(both, w, f"{at}r{ending}").sigmoid()
    fresh = conv(torch.cat([reset * hidden, x], dim=1), w, f"{at}q{ending}").tanh()
    return (1 - update) * hidden + update * fresh


def motion(flow: Tensor, correlation: Tensor, w: Weights, *, small: bool) -> Tensor:
    at = "update_block.encoder"
    for i in (1,) if small else (1, 2):
        correlation = F.relu(conv(correlation, w, f"{at}.convc{i}"))
    x = flow
    for i in (1, 2):
        x = F.relu(conv(x, w, f"{at}.convf{i}"))
    x = F.relu(conv(torch.cat([correlation, x], dim=1), w, f"{at}.conv"))
    return torch.cat([x, flow], dim=1)


def enlarge(flow: Tensor, mask: Tensor | None) -> Tensor:
    """Upsample by 8: bilinear, or a convex combination of the 3x3 cells around."""
    if mask is None:
        return 8 * F.interpolate(flow, scale_factor=8, mode="bilinear", align_corners=True)
    b, _, h, w = flow.shape
    shares = mask.view(b, 9, 8, 8, h, w).softmax(1)
    around = F.unfold(8 * flow, 3, padding=1).view(b, 2, 9, h, w)
    fine = torch.einsum("bkuvij,bckij->bciujv", shares, around)
    return fine.reshape(b, 2, 8 * h, 8 * w)


def literal_raft(first: Tensor, second: Tensor, w: Weights, updates: int) -> Tensor:
    """Return the flow in pixels of images in [0, 255], ``(B, 2, H, W)``."""
    small = "update_block.mask.0.weight" not in w
    hidden_width, radius = (96, 3) if small else (128, 4)
    first, second = first / 127.5 - 1, second / 127.5 - 1
    levels = pyramid(*(encoder(x, w, "fnet", "instance") for x in (first, second)))
    context = encoder(first, w, "cnet", "none" if small else "batch")
    hidden, inputs = context[:, :hidden_width].tanh(), F.relu(context[:, hidden_width:])
    h, width = context.shape[2:]
    grid = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(h), indexing="xy"))
    grid = grid.to(context)[None]
    flow = torch.zeros_like(grid).expand(len(first), -1, -1, -1)
    mask = None
    for _ in range(updates):
        moved = motion(flow, look_up(levels, grid + flow, radius), w, small=small)
        x = torch.cat([inputs, moved], dim=1)
        for ending in ("",) if small else ("1", "2"):
            hidden = gru(hidden, x, w, ending)
        step = F.relu(conv(hidden, w, "update_block.flow_head.conv1"))
        flow = flow + conv(step, w, "update_block.flow_head.conv2")
        if not small:
            wide = F.relu(conv(hidden, w, "update_block.mask.0"))
            mask = 0.25 * conv(wide, w, "update_block.mask.2")
    return enlarge(flow, mask)
