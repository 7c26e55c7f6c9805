"""The classic decoder of ViTPose, from a token map to heatmaps.

Two transposed convolutions with batch norm and ReLU, then a 1x1 convolution (Xu et al., "ViTPose",
NeurIPS 2022, Sec. 3.1; TopdownHeatmapSimpleHead in ViTPose_large_coco_256x192.py of the official
code, originally from Simple Baselines). The motion head of VREMD, its baseline and the control that
fuses frames all end in this decoder, so that they differ only in the layers before it.

Shapes: B clips, D channels, a grid of rows x columns tokens, K joints.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

_PADDING = {2: (0, 0), 3: (1, 1), 4: (1, 0)}
"""Kernel side -> (padding, output_padding) that exactly double a map at stride 2."""


class HeatmapDecoder(nn.Module):
    """Upsample a token map to heatmaps, each transposed convolution by a factor of 2.

    Args:
        in_channels: Channels D of a token.
        channels: Channels of each transposed convolution; ViTPose: (256, 256).
        kernels: Kernel side of each transposed convolution, 2, 3 or 4; ViTPose: (4, 4).
        joints: Number of joints K.

    Raises:
        ValueError: If ``channels`` and ``kernels`` differ in length or a kernel is not 2, 3 or 4.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        channels: Sequence[int],
        kernels: Sequence[int],
        joints: int,
    ) -> None:
        super().__init__()
        if len(channels) != len(kernels) or not channels:
            raise ValueError(
                "heatmap decoder: expected one kernel per layer and at least one layer, got "
                f"channels {tuple(channels)} and kernels {tuple(kernels)}"
            )
        widths = pairwise([in_channels, *channels])
        self.upsample = nn.Sequential(
            *(_double(*width, kernel) for width, kernel in zip(widths, kernels, strict=True))
        )
        self.heatmaps = nn.Conv2d(channels[-1], joints, 1)
        # Heatmaps are 0 almost everywhere: start near 0, as the official head does (std 0.001).
        for parameter in self.heatmaps.parameters():
            nn.init.normal_(parameter, std=0.001)

    def forward(self, token_map: Tensor) -> Tensor:
        """Return the heatmaps of a token map.

        Args:
            token_map: Tokens in their grid, ``(B, D, rows, columns)``.

        Returns:
            ``(B, K, rows * 2 ** layers, columns * 2 ** layers)``.
        """
        heatmaps: Tensor = self.heatmaps(self.upsample(token_map))
        return heatmaps


def _double(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    if kernel not in _PADDING:
        raise ValueError(
            f"heatmap decoder: expected kernels of side {sorted(_PADDING)}, got {kernel}"
        )
    padding, output_padding = _PADDING[kernel]
    return nn.Sequential(
        nn.ConvTranspose2d(
            in_channels,
            out_channels,
            kernel,
            stride=2,
            padding=padding,
            output_padding=output_padding,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
