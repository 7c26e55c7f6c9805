"""Deformable cross attention of VREMD (Eqs. 3-4) and the two samplers its Table 6 compares it with.

In all three, each token of a motion map samples a few positions of that map bilinearly. They differ
in the inputs that determine positions and weights:

    deformable cross attention   the token and the enhanced feature; weights by query and key
    deformable attention         the token alone; weights by the token alone
    deformable convolution       the token alone, once per kernel cell; weights by the token alone

Points and offsets are (x, y) in tokens; the center of the first token is (0, 0). Outside the map
the motion is 0.

Shapes: B clips, N = rows x columns tokens in row-major order, D channels, H heads, P points.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.head_parts.token_layout import to_map, to_tokens


def token_centers(grid: tuple[int, int]) -> Tensor:
    """Return the (x, y) of every token of a grid, ``(N, 2)``, in row-major order."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    return torch.stack([columns, rows], dim=-1).flatten(0, 1).float()


def ring(heads: int, points: int, offset_range: float) -> Tensor:
    """Return offsets with one direction per head and one distance per point.

    Deformable DETR initializes its offsets similarly (Zhu et al., ICLR 2021, appendix): points with
    equal initial offsets would get equal gradients and remain equal.

    Args:
        heads: Heads H; head h has the angle 2 pi h / H.
        points: Points P per head; point p is at (p + 1) / (P + 1) of the range.
        offset_range: Largest offset per axis, in tokens.

    Returns:
        Offsets ``(H, P, 2)``, strictly within the range.

    Raises:
        ValueError: If the range is not positive.
    """
    if offset_range <= 0:
        raise ValueError(f"sampling offsets: expected a positive range, got {offset_range} tokens")
    angles = torch.arange(heads) * (2 * math.pi / heads)
    directions = torch.stack([angles.cos(), angles.sin()], dim=-1)
    radii = torch.arange(1, points + 1) * (offset_range / (points + 1))
    return directions[:, None] * radii[:, None]


def sample_bilinear(maps: Tensor, points: Tensor) -> Tensor:
    """Sample maps at fractional positions, 0 outside the map (phi in Eq. 3).

    Args:
        maps: ``(B, C, rows, columns)``.
        points: ``(B, N, P, 2)``: (x, y) in tokens.

    Returns:
        ``(B, C, N, P)``.
    """
    columns_rows = points.new_tensor([maps.shape[3], maps.shape[2]])
    # grid_sample's -1 and 1 are the outer edges of the first and last token, not their centers.
    normalized = (2 * points + 1) / columns_rows - 1
    return F.grid_sample(
        maps, normalized, mode="bilinear", padding_mode="zeros", align_corners=False
    )


class _Places(nn.Module):
    """Sampling positions of each token: its center plus bounded offsets, initially a ring."""

    centers: Tensor

    def __init__(
        self, *, heads: int, points: int, grid: tuple[int, int], offset_range: float
    ) -> None:
        super().__init__()
        self.offset_range = offset_range
        self.shape = (heads, points, 2)
        self.register_buffer("centers", token_centers(grid), persistent=False)
        start = ring(heads, points, offset_range)
        # The ring before tanh: the learnable bias of the offset layer.
        self.start = nn.Parameter(torch.atanh(start / offset_range))

    def forward(self, raw: Tensor) -> Tensor:
        """Convert unbounded offsets ``(B, N, H * P * 2)`` to points ``(B, H, N, P, 2)``."""
        offsets = torch.tanh(torch.unflatten(raw, -1, self.shape) + self.start)
        offsets = offsets * self.offset_range
        return offsets.transpose(1, 2) + self.centers[:, None]


def _split_heads(maps: Tensor, heads: int) -> Tensor:
    """Reshape ``(B, H * C, rows, columns)`` to ``(B * H, C, rows, columns)``."""
    return torch.unflatten(maps, 1, (heads, -1)).flatten(0, 1)


def _join_heads(gathered: Tensor, heads: int) -> Tensor:
    """Reshape ``(B * H, C, N)`` to ``(B, N, H * C)``."""
    return torch.unflatten(gathered, 0, (-1, heads)).flatten(1, 2).transpose(1, 2)


class DeformableCrossAttention(nn.Module):
    """Attention of a motion token to positions that depend on the enhanced feature (Eqs. 3-4).

    The equations describe one head. Here H heads compute them on D / H channels each, with separate
    offsets, and the results are concatenated. W_k and W_v are applied before
    sampling: without bias they commute with bilinear interpolation, and the N tokens are fewer
    than the N * P samples.

    The offset generation psi, theta is a 3x3 convolution within each head, GELU, a 1x1 convolution
    that starts at zero, and ``offset_range * tanh`` around the ring. The paper mentions convolution
    and offset generation without sizes or bounds.

    Args:
        width: Channels D per token.
        heads: Number of heads H.
        points: Sampling points P per head (N in Eq. 4).
        grid: (rows, columns) of the tokens.
        offset_range: Largest offset per axis, in tokens.
    """

    def __init__(
        self, *, width: int, heads: int, points: int, grid: tuple[int, int], offset_range: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.grid = grid
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.constraint = nn.Linear(width, width, bias=False)
        self.offset_features = nn.Conv2d(2 * width, width, 3, padding=1, groups=heads)
        self.offsets = nn.Conv2d(width, heads * points * 2, 1, groups=heads, bias=False)
        nn.init.zeros_(self.offsets.weight)
        self.places = _Places(heads=heads, points=points, grid=grid, offset_range=offset_range)

    def sampling_points(self, motion: Tensor, enhanced: Tensor) -> Tensor:
        """Return the sampling positions of each token (Delta p + p_z in Eq. 3).

        Args:
            motion: Motion tokens x, ``(B, N, D)``.
            enhanced: Enhanced feature F, ``(B, N, D)``.

        Returns:
            ``(B, H, N, P, 2)``: (x, y) in tokens.
        """
        return self._points(self.query(motion), enhanced)

    def _points(self, query: Tensor, enhanced: Tensor) -> Tensor:
        maps = [
            torch.unflatten(to_map(tokens, self.grid), 1, (self.heads, -1))
            for tokens in (query, self.constraint(enhanced))
        ]
        # The channels of q and z of a head are adjacent, so that one grouped convolution suffices.
        features = F.gelu(self.offset_features(torch.cat(maps, dim=2).flatten(1, 2)))
        points: Tensor = self.places(to_tokens(self.offsets(features)))
        return points

    def forward(self, motion: Tensor, enhanced: Tensor) -> Tensor:
        """Return the attention output of each motion token.

        Args:
            motion: Motion tokens x, ``(B, N, D)``.
            enhanced: Enhanced feature F, ``(B, N, D)``.

        Returns:
            ``(B, N, D)``.
        """
        _, weights, values = self._attend(motion, enhanced)
        gathered = (values * weights[:, None]).sum(dim=-1)
        return _join_heads(gathered, self.heads)

    def attention(self, motion: Tensor, enhanced: Tensor) -> tuple[Tensor, Tensor]:
        """Return sampling positions and attention weights of each token (softmax of Eq. 4).

        Args:
            motion: Motion tokens x, ``(B, N, D)``.
            enhanced: Enhanced feature F, ``(B, N, D)``.

        Returns:
            Positions ``(B, H, N, P, 2)``, (x, y) in tokens, and weights ``(B, H, N, P)``, which sum
            to 1 over the points.
        """
        points, weights, _ = self._attend(motion, enhanced)
        shape = (-1, self.heads)
        return torch.unflatten(points, 0, shape), torch.unflatten(weights, 0, shape)

    def _attend(self, motion: Tensor, enhanced: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return positions ``(B * H, N, P, 2)``, weights and values ``(B * H, D / H, N, P)``."""
        query = self.query(motion)
        points = self._points(query, enhanced).flatten(0, 1)
        # (B, 2, H, D / H, ...) -> (B, H, 2, ...): keys and values of a head are sampled at once.
        key_value = to_map(self.key_value(motion), self.grid)
        key_value = torch.unflatten(key_value, 1, (2, self.heads, -1)).transpose(1, 2)
        sampled = sample_bilinear(key_value.flatten(2, 3).flatten(0, 1), points)
        keys, values = sampled.chunk(2, dim=1)
        query = _split_heads(to_map(query, self.grid), self.heads).flatten(2)
        logits = (query[..., None] * keys).sum(dim=1) / math.sqrt(query.shape[1])
        return points, logits.softmax(dim=-1), values


class DeformableAttention(nn.Module):
    """Plain deformable attention of Deformable DETR (Sec. 4.1), row (b) of VREMD's Table 6.

    One linear layer each computes offsets and weights from the token; there are no keys, and the
    enhanced feature is not used. Offsets have the bound and the ring of the cross attention. The
    MLP that follows in the block replaces the output projection.

    Args:
        width: Channels D per token.
        heads: Number of heads H.
        points: Sampling points P per head.
        grid: (rows, columns) of the tokens.
        offset_range: Largest offset per axis, in tokens.
    """

    def __init__(
        self, *, width: int, heads: int, points: int, grid: tuple[int, int], offset_range: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.grid = grid
        self.value = nn.Linear(width, width, bias=False)
        self.weights = nn.Linear(width, heads * points)
        self.offsets = nn.Linear(width, heads * points * 2, bias=False)
        for parameter in (*self.weights.parameters(), *self.offsets.parameters()):
            nn.init.zeros_(parameter)
        self.places = _Places(heads=heads, points=points, grid=grid, offset_range=offset_range)

    def forward(self, motion: Tensor) -> Tensor:
        """Return the output of each motion token, ``(B, N, D)``, from ``(B, N, D)``."""
        points = self.places(self.offsets(motion)).flatten(0, 1)
        values = _split_heads(to_map(self.value(motion), self.grid), self.heads)
        weights = torch.unflatten(self.weights(motion), -1, (self.heads, -1)).softmax(dim=-1)
        weights = weights.transpose(1, 2).flatten(0, 1)
        gathered = (sample_bilinear(values, points) * weights[:, None]).sum(dim=-1)
        return _join_heads(gathered, self.heads)


class DeformableConvolution(nn.Module):
    """Modulated 3x3 deformable convolution, row (a) of VREMD's Table 6.

    A 3x3 convolution computes offsets and modulation from the motion map. It starts at zero, which
    is an ordinary convolution (Zhu et al., "Deformable ConvNets v2", CVPR 2019).

    Args:
        width: Channels D per token.
        groups: Groups of channels with separate offsets.
        grid: (rows, columns) of the tokens.
    """

    def __init__(self, *, width: int, groups: int, grid: tuple[int, int]) -> None:
        from torchvision.ops import DeformConv2d  # noqa: PLC0415  takes seconds, for one ablation

        super().__init__()
        self.grid = grid
        self.groups = groups
        self.offsets = nn.Conv2d(width, groups * 27, 3, padding=1)
        for parameter in self.offsets.parameters():
            nn.init.zeros_(parameter)
        self.convolve = DeformConv2d(width, width, 3, padding=1)

    def forward(self, motion: Tensor) -> Tensor:
        """Return the output of each motion token, ``(B, N, D)``, from ``(B, N, D)``."""
        maps = to_map(motion, self.grid)
        offsets, modulation = self.offsets(maps).split([18 * self.groups, 9 * self.groups], dim=1)
        # Twice the sigmoid: the initial modulation is 1.
        gathered: Tensor = self.convolve(maps, offsets, 2 * modulation.sigmoid())
        return to_tokens(gathered)
