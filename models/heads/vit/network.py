"""A frozen ViT and a pose decoder on one frame: the baseline of VREMD's Table 4.

Shapes: B clips, T frames with the key frame in the middle, N = rows x columns tokens in row-major
order, D channels per token, K joints.
"""

from torch import Tensor, nn

from models.head_parts.argument_types import LayerWidths
from models.head_parts.decoder import HeatmapDecoder
from models.head_parts.token_layout import check_tokens, to_map


class ViTDecoder(nn.Module):
    """The classic decoder of ViTPose on the key frame only: the baseline of VREMD's Table 4.

    Args:
        joints: Number of joints K.
        frames: Frames T per clip, odd; the head reads only the middle one.
        grid: (rows, columns) of the tokens.
        embed_dim: Channels D per token.
        decoder_channels: Channels of each transposed convolution.
        decoder_kernels: Kernel side of each transposed convolution, 2, 3 or 4.
    """

    def __init__(
        self,
        *,
        joints: int,
        frames: int,
        grid: tuple[int, int],
        embed_dim: int,
        decoder_channels: LayerWidths,
        decoder_kernels: LayerWidths,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.grid = grid
        self.embed_dim = embed_dim
        self.decoder = HeatmapDecoder(
            in_channels=embed_dim,
            channels=decoder_channels,
            kernels=decoder_kernels,
            joints=joints,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the heatmaps of the key frame.

        Args:
            tokens: Backbone tokens of all frames, ``(B, T, N, D)``.

        Returns:
            Heatmaps, ``(B, K, rows * 2 ** layers, columns * 2 ** layers)``.

        Raises:
            ValueError: If T, N or D is not what the head was built for.
        """
        check_tokens(tokens, frames=self.frames, grid=self.grid, embed_dim=self.embed_dim)
        heatmaps: Tensor = self.decoder(to_map(tokens[:, self.frames // 2], self.grid))
        return heatmaps
